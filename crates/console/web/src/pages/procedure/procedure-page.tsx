// The steps of a procedure with boxes to tick, for paper. All of a document's text is text here: nothing is rendered.

import { useQuery } from "@tanstack/react-query";
import { ArrowLeft, Printer } from "lucide-react";
import { Link, useParams, useSearchParams } from "react-router";
import { useAccount } from "@/account";
import type { Document } from "@/api/types";
import { Page } from "@/components/page";
import { Button, buttonVariants } from "@/components/ui/button";
import { Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Checkbox, Field, Select } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";
import { displayName } from "@/lib/display-name";
import { cn } from "@/lib/utils";
import { useDocument } from "@/viewer/document-view";
import { readSections } from "./read";
import { type Part, type Section, chosen, hasSteps } from "./steps";

function PrintHead({ document }: { document: Document }) {
  const { t, moment } = useI18n();
  const account = useAccount();
  const facts = [
    document.filename,
    document.revision ? `${t("revision")} ${document.revision}` : "",
    t(`class.${document.classification}` as MessageKey),
    `${t("changed")} ${moment(document.updated_at)}`,
  ];
  return (
    <header className="flex flex-col gap-1 border-b-2 border-ink pb-2">
      <p className="text-lg font-semibold [overflow-wrap:anywhere]">{document.title || document.filename}</p>
      <p className="text-sm [overflow-wrap:anywhere]">{facts.filter(Boolean).join(" · ")}</p>
      <p className="text-sm">
        {t("printedBy", { at: moment(new Date().toISOString()), name: displayName(account) })} · {account.tenant.name}
      </p>
      {document.superseded_by ? (
        <p role="alert" className="border-2 border-alarm p-2 font-semibold text-alarm">{t("supersededCopy")}</p>
      ) : (
        <p className="text-sm font-semibold">{t("uncontrolledCopy")}</p>
      )}
    </header>
  );
}

function PartView({ part: { kind, number, text } }: { part: Part }) {
  const { t } = useI18n();
  if (kind === "step") {
    return (
      <li className="flex min-h-target items-start gap-3 py-1 break-inside-avoid">
        <input type="checkbox" className="mt-1 size-6 shrink-0 accent-primary" aria-label={t("stepDone", { number: number ?? "" })} />
        <span className="w-8 shrink-0 font-semibold">{number}</span>
        <span className="min-w-0 [overflow-wrap:anywhere]">{text}</span>
      </li>
    );
  }
  if (kind === "warning") {
    return <li className="my-1 border-2 border-ink p-2 font-semibold break-inside-avoid [overflow-wrap:anywhere]">{text}</li>;
  }
  return <li className="py-1 [overflow-wrap:anywhere] whitespace-pre-line">{text}</li>;
}

function SectionView({ section: { heading, parts } }: { section: Section }) {
  return (
    <section aria-label={heading || undefined} className="flex flex-col gap-1">
      {heading && <h2 className="mt-3 break-after-avoid">{heading}</h2>}
      <ol>
        {parts.map((part, index) => (
          <PartView key={index} part={part} />
        ))}
      </ol>
    </section>
  );
}

/** Lines to sign at the end. */
function SignOff() {
  const { t } = useI18n();
  return (
    <dl className="mt-6 grid grid-cols-3 gap-6 text-sm break-inside-avoid">
      {(["workDoneBy", "dateAndTime", "signature"] as const).map((name) => (
        <div key={name} className="border-t border-ink pt-1">
          <dt>{t(name)}</dt>
          <dd />
        </div>
      ))}
    </dl>
  );
}

function useChoice(sections: readonly Section[]) {
  const [parameters, setParameters] = useSearchParams();
  const text = parameters.get("section");
  const index = text !== null && Number(text) < sections.length ? Number(text) : undefined;
  const stepsOnly = parameters.get("steps") === "only";
  const set = (name: string, value: string) => {
    const next = new URLSearchParams(parameters);
    if (value) next.set(name, value);
    else next.delete(name);
    setParameters(next, { replace: true });
  };
  return { index, stepsOnly, set };
}

function Steps({ document, sections }: { document: Document; sections: readonly Section[] }) {
  const { t } = useI18n();
  const { index, stepsOnly, set } = useChoice(sections);
  const shown = chosen(sections, index, stepsOnly);
  const options = sections.map((section, at) => ({ section, at })).filter(({ section }) => section.heading);
  return (
    <>
      <div className="no-print flex flex-wrap items-end gap-3">
        <Field label={t("section")} className="min-w-0 flex-1 basis-60">
          {(ids) => (
            <Select {...ids} value={index ?? ""} onChange={(event) => set("section", event.target.value)}>
              <option value="">{t("wholeDocument")}</option>
              {options.map(({ section, at }) => (
                <option key={at} value={at}>
                  {hasSteps(section) ? "☐ " : ""}
                  {section.heading}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Checkbox label={t("stepsOnly")} checked={stepsOnly} onChange={(event) => set("steps", event.target.checked ? "only" : "")} />
        <Button variant="primary" onClick={() => window.print()}>
          <Printer aria-hidden /> {t("print")}
        </Button>
      </div>
      {!shown.some(hasSteps) && (
        <div className="no-print">
          <Notice tone="warning">{t("noSteps")}</Notice>
        </div>
      )}
      <article aria-label={t("procedure")} className="rounded-lg border border-line bg-raised p-5 print:border-0 print:p-0">
        <PrintHead document={document} />
        {shown.map((section, at) => (
          <SectionView key={at} section={section} />
        ))}
        <SignOff />
      </article>
    </>
  );
}

export function ProcedurePage() {
  const { t } = useI18n();
  const { id = "" } = useParams();
  const document = useDocument(id);
  const data = document.data;
  const content = useQuery({
    queryKey: ["procedure", id, data?.sha256],
    enabled: data !== undefined,
    queryFn: () => readSections(data as Document),
    staleTime: Infinity,
  });
  const failed = document.isError ? document : content.isError ? content : undefined;
  return (
    <Page title={t("procedure")}>
      <div className="no-print flex flex-wrap items-center gap-3">
        <Link to={`/documents/${id}`} className={cn(buttonVariants())}>
          <ArrowLeft aria-hidden /> {t("backToDocument")}
        </Link>
        <p className="min-w-0 flex-1 basis-60 text-quiet">{t("procedureHint")}</p>
      </div>
      {!failed && content.isPending && <Spinner label={t("loading")} />}
      {failed && <LoadError error={failed.error} retry={() => void failed.refetch()} />}
      {data && content.data?.length === 0 && <Empty>{t("noText")}</Empty>}
      {data && content.data && content.data.length > 0 && <Steps document={data} sections={content.data} />}
    </Page>
  );
}
