import { useQuery } from "@tanstack/react-query";
import { send } from "@/api/client";
import { Badge, Empty, LoadError, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";

interface Backend {
  name: string;
  kind?: string;
  status: string;
  models?: string[];
  detail?: string | null;
}

/** The health of each model backend. */
export function ModelsPage() {
  const { t } = useI18n();
  const list = useQuery({
    queryKey: ["models"],
    queryFn: async () => (await (await send("/v1/admin/models")).json()) as { data: Backend[] },
    refetchInterval: 10_000,
  });
  if (list.isPending) return <Spinner label={t("loading")} />;
  if (list.isError) return <LoadError error={list.error} retry={() => void list.refetch()} />;
  const backends = list.data.data;
  return (
    <section aria-label={t("models")} className="flex flex-col gap-3">
      {backends.length === 0 && <Empty>{t("noBackends")}</Empty>}
      <ul className="flex flex-col gap-2">
        {backends.map(({ name, kind, status, models, detail }) => (
          <li key={name} className="flex flex-wrap items-center gap-x-4 gap-y-1 rounded-lg border border-line bg-raised p-3">
            <span className="min-w-0 flex-1 basis-40 font-semibold [overflow-wrap:anywhere]">{name}</span>
            {kind && <span className="text-quiet">{kind}</span>}
            <Badge tone={status === "up" ? "plain" : "alarm"}>{status}</Badge>
            {models && models.length > 0 && <span className="basis-full text-sm text-quiet">{models.join(", ")}</span>}
            {detail && <span className="basis-full text-sm">{detail}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
