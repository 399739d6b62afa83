import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import type { AuditEvent } from "@/api/types";
import type { ItemProps } from "@/components/long-list";
import { Button } from "@/components/ui/button";
import { Badge, LoadError, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { RuleSteps } from "../rule-steps";
import type { Filter } from "./filter";

const IN_SUMMARY = ["event_type", "created_at", "result_status", "phase"];

function isAbnormal(status: string | null | undefined) {
  return status !== null && status !== undefined && !["success", "pending"].includes(status);
}

/** Which rule refused a request, and the user's rights at that moment. */
function Refusal({ id }: { id: string }) {
  const { t } = useI18n();
  const decision = useQuery({
    queryKey: ["decision", id],
    queryFn: () => body(api.GET("/v1/admin/decisions/{id}", { params: { path: { id } } })),
    staleTime: Infinity,
  });
  if (decision.isPending) return <Spinner label={t("loading")} />;
  if (decision.isError) return <LoadError error={decision.error} retry={() => void decision.refetch()} />;
  const { steps, standing } = decision.data;
  return <RuleSteps steps={steps} standing={standing ?? undefined} />;
}

interface EventRowProps {
  event: AuditEvent;
  item: ItemProps;
  onFollow: (filter: Filter) => void;
}

export function EventRow({ event, item, onFollow }: EventRowProps) {
  const { t, moment } = useI18n();
  const [isExplained, setExplained] = useState(false);
  const details = Object.entries(event).filter(([name, value]) => value !== null && value !== "" && !IN_SUMMARY.includes(name));
  return (
    <li {...item} className="rounded-md border border-line bg-raised">
      <details>
        <summary className="flex min-h-target cursor-pointer flex-wrap items-center gap-x-4 gap-y-1 px-3 py-2">
          <span className="w-44 text-sm text-quiet">{moment(event.created_at)}</span>
          <span className="font-semibold">{event.event_type}</span>
          <span className="text-sm text-quiet">{event.phase}</span>
          {event.result_status && (
            <Badge tone={isAbnormal(event.result_status) ? "warning" : "plain"}>{event.result_status}</Badge>
          )}
        </summary>
        <div className="flex flex-col gap-3 border-t border-line p-3">
          <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1 text-sm">
            {details.map(([name, value]) => (
              <div key={name} className="contents">
                <dt className="text-quiet">{name}</dt>
                <dd className="[overflow-wrap:anywhere]">{typeof value === "object" ? JSON.stringify(value) : String(value)}</dd>
              </div>
            ))}
          </dl>
          <div className="flex flex-wrap gap-2">
            <Button onClick={() => onFollow({ correlation_id: event.correlation_id })}>{t("sameOperation")}</Button>
            {event.event_type === "policy.denied" && (
              <Button aria-expanded={isExplained} onClick={() => setExplained(!isExplained)}>
                {t("whyRefused")}
              </Button>
            )}
          </div>
          {isExplained && <Refusal id={event.id} />}
        </div>
      </details>
    </li>
  );
}
