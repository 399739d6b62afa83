import { Check, X } from "lucide-react";
import type { components } from "@/api/schema";
import { type MessageKey, useI18n } from "@/i18n";

type Step = components["schemas"]["DecisionStep"];
type Standing = components["schemas"]["Standing"];

/** What each rule said, in order, up to the one that decided. */
export function RuleSteps({ steps, standing }: { steps: readonly Step[]; standing?: Standing }) {
  const { t } = useI18n();
  return (
    <div className="flex flex-col gap-1 text-sm">
      {standing && (
        <p className="text-quiet">
          {t("standing", {
            role: [t(`role.${standing.role}`), ...standing.grants.map((grant) => t(`grant.${grant}` as MessageKey))].join(", "),
            clearance: t(`class.${standing.clearance}`),
          })}
        </p>
      )}
      <ol className="flex flex-col gap-1" aria-label={t("rulesInOrder")}>
        {steps.map(({ rule, passed, detail }) => (
          <li key={rule} className="flex items-start gap-2">
            {passed ? <Check className="mt-0.5 size-4 shrink-0" aria-hidden /> : <X className="mt-0.5 size-4 shrink-0" aria-hidden />}
            <span>
              <span className="font-semibold">{t(`rule.${rule}`)}</span> <span className="sr-only">{t(passed ? "passed" : "refused")}: </span>
              {detail}
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}
