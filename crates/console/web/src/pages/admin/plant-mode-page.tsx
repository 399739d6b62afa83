import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, TextArea } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { useFormDraft } from "@/lib/use-form-draft";

type Mode = components["schemas"]["PlantMode"]["mode"];

const MODES: readonly Mode[] = ["normal", "read_only", "off"];
const KEY = ["plant-mode"];

function ModeForm({ current }: { current: Mode }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const initial = { mode: current, reason: "" };
  const { fields, set, discard } = useFormDraft("plant-mode", initial);
  const [isAsking, setAsking] = useState(false);
  const change = useMutation({
    mutationFn: () => api.PUT("/v1/admin/plant-mode", { body: { mode: fields.mode, reason: fields.reason.trim() } }),
    onSuccess: () => {
      discard();
      // The banner on every page shows what the account says.
      void queries.invalidateQueries({ queryKey: ["account"] });
      void queries.invalidateQueries({ queryKey: KEY });
    },
    onSettled: () => setAsking(false),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setAsking(true);
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      <fieldset className="flex flex-col gap-1">
        <legend className="text-sm font-medium">{t("plantMode.new")}</legend>
        {MODES.map((mode) => (
          <label key={mode} className="flex min-h-target cursor-pointer items-center gap-3">
            <input
              type="radio"
              name="mode"
              className="size-5 accent-primary"
              checked={fields.mode === mode}
              onChange={() => set({ ...fields, mode })}
            />
            <span>
              <span className="font-semibold">{t(`plantMode.${mode}`)}</span>{" "}
              <span className="text-quiet">{t(`plantMode.hint.${mode}`)}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <Field label={t("plantMode.reason")} hint={t("plantMode.reasonHint")}>
        {(ids) => (
          <TextArea
            {...ids}
            required
            maxLength={2_000}
            value={fields.reason}
            onChange={(event) => set({ ...fields, reason: event.target.value })}
          />
        )}
      </Field>
      {change.isError && <Notice>{change.error.message}</Notice>}
      <Button type="submit" variant="primary" className="self-start" disabled={fields.mode === current || !fields.reason.trim()}>
        {t("plantMode.change")}
      </Button>
      <Dialog
        open={isAsking}
        onClose={() => setAsking(false)}
        title={t("plantMode.confirm", { mode: t(`plantMode.${fields.mode}`) })}
        description={t(`plantMode.hint.${fields.mode}`)}
      >
        <p className="[overflow-wrap:anywhere]">
          <span className="text-quiet">{t("plantMode.reason")}:</span> {fields.reason}
        </p>
        <div className="mt-4 flex flex-wrap justify-end gap-2">
          <Button onClick={() => setAsking(false)}>{t("cancel")}</Button>
          <Button
            variant={fields.mode === "normal" ? "primary" : "danger"}
            disabled={change.isPending}
            onClick={() => change.mutate()}
          >
            {t("plantMode.change")}
          </Button>
        </div>
      </Dialog>
    </form>
  );
}

/** Whether the plant systems may be read and written: the switch for everything at once. */
export function PlantModePage() {
  const { t, moment } = useI18n();
  const state = useQuery({ queryKey: KEY, queryFn: () => body(api.GET("/v1/admin/plant-mode")), staleTime: 0 });
  if (state.isPending) return <Spinner label={t("loading")} />;
  if (state.isError) return <LoadError error={state.error} retry={() => void state.refetch()} />;
  const { mode, reason, changed_at } = state.data;
  return (
    <section aria-label={t("plantMode")} className="flex flex-col gap-4">
      <Notice tone={mode === "normal" ? "plain" : "warning"}>
        <p>
          <span className="font-semibold">{t(`plantMode.${mode}`)}</span> {t(`plantMode.hint.${mode}`)}
        </p>
        {changed_at && (
          <p className="text-sm [overflow-wrap:anywhere]">
            {t("plantMode.since", { at: moment(changed_at) })} {visibleText(reason)}
          </p>
        )}
      </Notice>
      <ModeForm key={`${mode} ${changed_at ?? ""}`} current={mode} />
    </section>
  );
}
