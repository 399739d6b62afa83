import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import { Badge, Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";

const REFRESH_MS = 30_000;
const TONES = { up: "plain", failing: "warning", down: "alarm" } as const;
/** What needs attention comes first. */
const ORDER = ["down", "failing", "up"];

/** The health of the servers that models run on. */
export function ModelsPage() {
  const { t, moment } = useI18n();
  const list = useQuery({
    queryKey: ["models"],
    queryFn: () => body(api.GET("/v1/admin/models")),
    refetchInterval: REFRESH_MS,
  });
  if (list.isPending) return <Spinner label={t("loading")} />;
  if (list.isError) return <LoadError error={list.error} retry={() => void list.refetch()} />;
  const backends = list.data.data.toSorted((one, other) => ORDER.indexOf(one.status) - ORDER.indexOf(other.status));
  const troubled = backends.filter(({ status }) => status !== "up").length;
  return (
    <section aria-label={t("models")} className="flex flex-col gap-3">
      {backends.length === 0 && <Empty>{t("noBackends")}</Empty>}
      {troubled > 0 && <Notice tone="warning">{t("backendTrouble", { count: troubled })}</Notice>}
      <ul className="flex flex-col gap-2">
        {backends.map(({ name, is_cloud, status, models }) => (
          <li key={name} className="flex flex-wrap items-center gap-x-4 gap-y-1 rounded-lg border border-line bg-raised p-3">
            <span className="min-w-0 flex-1 basis-40 font-semibold [overflow-wrap:anywhere]">{name}</span>
            <span className="text-quiet">{is_cloud ? t("inCloud") : t("inPlant")}</span>
            <Badge tone={TONES[status]}>{t(`backend.${status}`)}</Badge>
            {models.length > 0 && (
              <span className="basis-full text-sm text-quiet [overflow-wrap:anywhere]">
                <span className="sr-only">{t("modelsOf")}: </span>
                {models.join(", ")}
              </span>
            )}
          </li>
        ))}
      </ul>
      <p className="text-sm text-quiet">{t("lastChecked", { at: moment(new Date(list.dataUpdatedAt).toISOString()) })}</p>
    </section>
  );
}
