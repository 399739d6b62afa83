// What a request would write: its exact arguments, and what changes.

import type { Approval } from "@/api/types";
import { useI18n } from "@/i18n";
import { type Difference, differences } from "@/lib/differences";
import { exactJson } from "@/lib/invisible";
import type { JsonValue } from "@/lib/merge-patch";
import { cn } from "@/lib/utils";

/** A value as it is, character by character. */
export function ExactValue({ value }: { value: unknown }) {
  return (
    <pre className="rounded-md border border-line bg-surface p-3 font-mono text-sm [overflow-wrap:anywhere] whitespace-pre-wrap">
      {exactJson(value)}
    </pre>
  );
}

function Value({ value }: { value: JsonValue | undefined }) {
  const { t } = useI18n();
  if (value === undefined) return <span className="text-quiet">{t("notSet")}</span>;
  return <code className="font-mono text-sm [overflow-wrap:anywhere] whitespace-pre-wrap">{exactJson(value)}</code>;
}

interface DifferenceRowProps {
  difference: Difference;
  /** Whether there is nothing to compare with. */
  isNew: boolean;
}

function DifferenceRow({ difference: { path, before, after, kind }, isNew }: DifferenceRowProps) {
  const { t } = useI18n();
  const differs = kind !== "same" && !isNew;
  return (
    <tr className={cn("border-t border-line align-top", differs && "font-semibold")}>
      <th scope="row" className="py-1.5 pr-3 text-left text-sm font-[inherit] [overflow-wrap:anywhere]">
        {path}
        {differs && <span className="block font-normal text-quiet">{t(`difference.${kind}`)}</span>}
      </th>
      {!isNew && (
        <td className="py-1.5 pr-3">
          <Value value={before} />
        </td>
      )}
      <td className="py-1.5">
        <Value value={after} />
      </td>
    </tr>
  );
}

interface DifferencesProps {
  name: string;
  /** Null if there is nothing yet. */
  before: JsonValue;
  after: JsonValue;
}

/** Two states side by side. What differs is told by weight and a word, not by a colour. */
export function Differences({ name, before, after }: DifferencesProps) {
  const { t } = useI18n();
  const isNew = before === null;
  return (
    <table aria-label={name} className="w-full table-fixed">
      <thead className="text-left text-sm text-quiet">
        <tr>
          <th scope="col" className="w-1/3 pr-3 font-medium md:w-1/4">
            {t("approval.field")}
          </th>
          {!isNew && (
            <th scope="col" className="pr-3 font-medium">
              {t("valueBefore")}
            </th>
          )}
          <th scope="col" className="font-medium">
            {t(isNew ? "approval.value" : "valueAfter")}
          </th>
        </tr>
      </thead>
      <tbody>
        {differences(before, after).map((difference) => (
          <DifferenceRow key={difference.path} difference={difference} isNew={isNew} />
        ))}
      </tbody>
    </table>
  );
}

interface States {
  before: JsonValue;
  after: JsonValue;
}

/** The states before and after, if the preview has them. */
export function statesOf(preview: Approval["preview"]): States | undefined {
  const { before = null, after } = preview as Partial<States>;
  return after === undefined ? undefined : { before, after };
}

/** What the write does to what is there now. */
export function Preview({ preview }: { preview: Approval["preview"] }) {
  const { t } = useI18n();
  const states = statesOf(preview);
  if (!states) return <ExactValue value={preview} />;
  const others = Object.fromEntries(Object.entries(preview).filter(([name]) => name !== "before" && name !== "after"));
  return (
    <div className="flex flex-col gap-3">
      {states.before === null && <p className="text-sm text-quiet">{t("approval.creates")}</p>}
      <Differences before={states.before} after={states.after} name={t("approval.preview")} />
      {Object.keys(others).length > 0 && (
        <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1 text-sm">
          {Object.entries(others).map(([name, value]) => (
            <div key={name} className="contents">
              <dt className="text-quiet">{name}</dt>
              <dd>
                <code className="font-mono [overflow-wrap:anywhere]">{exactJson(value)}</code>
              </dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}
