import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { User } from "@/api/types";
import { Badge, LoadError, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";

/** Each user is a request that counts towards the administrator's limit. */
const MAX_USERS = 25;

interface Reader {
  user: User;
  allowed: boolean;
  reason: string | null | undefined;
}

/** Asks the platform about each user what it would decide. */
async function readers(document: string): Promise<Reader[]> {
  const users = await body(api.GET("/v1/admin/users", { params: { query: { limit: MAX_USERS } } }));
  const active = users.data.filter(({ is_active }) => is_active);
  return Promise.all(
    active.map(async (user) => {
      const simulation = { user_id: user.id, resource: "documents", operation: "read", resource_id: document } as const;
      const { allowed, reason } = await body(api.POST("/v1/admin/decisions/simulate", { body: simulation }));
      return { user, allowed, reason };
    }),
  );
}

export function WhoCanSee({ document }: { document: string }) {
  const { t } = useI18n();
  const list = useQuery({ queryKey: ["readers", document], queryFn: () => readers(document) });
  if (list.isPending) return <Spinner label={t("loading")} />;
  if (list.isError) return <LoadError error={list.error} retry={() => void list.refetch()} />;
  return (
    <ul className="flex flex-col gap-2">
      {list.data.map(({ user, allowed, reason }) => (
        <li key={user.id} className="flex flex-wrap items-center gap-2">
          <span className="min-w-0 flex-1 basis-40 truncate">{user.name ?? user.email}</span>
          <Badge>{allowed ? t("mayRead") : t("mayNotRead")}</Badge>
          {!allowed && reason && <span className="basis-full text-sm text-quiet">{reason}</span>}
        </li>
      ))}
    </ul>
  );
}
