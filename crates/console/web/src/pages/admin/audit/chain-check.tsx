// Whether the audit log is what was written: its export is verified in the browser.

import { ShieldCheck, Square } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { send } from "@/api/client";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";
import { type ChainReport, fromHex, linesOf, verifyChain } from "./chain";

const KEY_BYTES = 32;

type State =
  | { status: "idle" }
  | { status: "checking"; entries: number }
  | { status: "done"; report: ChainReport }
  | { status: "failed"; message: string };

function Report({ report }: { report: ChainReport }) {
  const { t, moment, number } = useI18n();
  const { entries, lastSeq, purged, checkpoints, lastCheckpoint, signatures, findings, findingCount } = report;
  const facts = [
    t("chainCheckpoints", { count: checkpoints }),
    lastCheckpoint ? t("chainLastCheckpoint", { at: moment(lastCheckpoint) }) : "",
    purged > 0 ? t("chainPurged", { count: purged }) : "",
    t(`signatures.${signatures}`),
  ];
  return (
    <div className="flex flex-col gap-2">
      {findingCount === 0 ? (
        <Notice tone="plain">
          <p className="font-semibold text-ink">{t("chainIntact", { count: entries, last: number(lastSeq) })}</p>
        </Notice>
      ) : (
        <Notice>
          <p className="font-semibold">{t("chainBroken", { count: findingCount })}</p>
          <ul className="mt-1">
            {findings.map(({ seq, code }, index) => (
              <li key={index}>
                {seq !== undefined && `${t("atEntry", { seq: number(seq) })}: `}
                {t(`finding.${code}` as MessageKey)}
              </li>
            ))}
          </ul>
        </Notice>
      )}
      <p className="text-sm text-quiet">{facts.filter(Boolean).join(" · ")}</p>
    </div>
  );
}

function useCheck() {
  const { t } = useI18n();
  const [state, setState] = useState<State>({ status: "idle" });
  const abort = useRef<AbortController>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const stop = () => {
    abort.current?.abort();
    setState({ status: "idle" });
  };
  const start = async (publicKey: Uint8Array<ArrayBuffer> | undefined) => {
    const current = new AbortController();
    abort.current = current;
    setState({ status: "checking", entries: 0 });
    try {
      const { body } = await send("/v1/audit/export", { signal: current.signal });
      if (!body) throw new Error(t("notReachable"));
      const onProgress = (entries: number) => !current.signal.aborted && setState({ status: "checking", entries });
      const report = await verifyChain(linesOf(body), { publicKey, onProgress });
      if (!current.signal.aborted) setState({ status: "done", report });
    } catch (error) {
      if (current.signal.aborted) return;
      setState({ status: "failed", message: error instanceof Error && error.message ? error.message : t("notReachable") });
    }
  };
  return { state, start, stop };
}

export function ChainCheck() {
  const { t, number } = useI18n();
  const { state, start, stop } = useCheck();
  const [text, setText] = useState("");
  const key = text.trim() === "" ? undefined : fromHex(text.trim());
  const isKeyBad = text.trim() !== "" && key?.length !== KEY_BYTES;
  const isPossible = globalThis.crypto?.subtle !== undefined;
  return (
    <section aria-labelledby="chain" className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      <h2 id="chain">{t("chain")}</h2>
      <p className="text-quiet">{t("chainHint")}</p>
      {!isPossible && <Notice tone="warning">{t("chainNeedsHttps")}</Notice>}
      <form
        className="flex flex-wrap items-center gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          void start(key);
        }}
      >
        <Field label={t("publicKey")} hint={isKeyBad ? t("badPublicKey") : t("publicKeyHint")} className="flex-1 basis-72">
          {(ids) => (
            <Input
              {...ids}
              className="font-mono"
              autoComplete="off"
              spellCheck={false}
              aria-invalid={isKeyBad}
              value={text}
              onChange={(event) => setText(event.target.value)}
            />
          )}
        </Field>
        {state.status === "checking" ? (
          <Button onClick={stop}>
            <Square fill="currentColor" aria-hidden /> {t("stop")}
          </Button>
        ) : (
          <Button type="submit" disabled={!isPossible || isKeyBad}>
            <ShieldCheck aria-hidden /> {t("checkChain")}
          </Button>
        )}
      </form>
      <div role="status">
        {state.status === "checking" && <p className="text-quiet">{t("chainChecking", { count: number(state.entries) })}</p>}
        {state.status === "done" && <Report report={state.report} />}
      </div>
      {state.status === "failed" && <Notice>{state.message}</Notice>}
    </section>
  );
}
