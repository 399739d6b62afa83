import { useMutation } from "@tanstack/react-query";
import type { components } from "@/api/schema";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Badge, Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";

type Session = components["schemas"]["Session"];

/** Whose sessions: how they are listed and ended. */
export interface SessionSource {
  key: readonly unknown[];
  load: (cursor: string | undefined) => Promise<{ data: Session[]; next_cursor?: string | null }>;
  end: (session: string) => Promise<unknown>;
}

/** Where somebody is signed in. */
export function SessionList({ source }: { source: SessionSource }) {
  const { t, moment } = useI18n();
  const list = usePages<Session>({ key: source.key, load: source.load, staleTime: 0 });
  const end = useMutation({
    // One after the other: each is a request that counts towards the user's limit.
    mutationFn: async (ids: string[]) => {
      for (const id of ids) await source.end(id);
    },
    onSettled: () => void list.query.refetch(),
  });
  const others = list.items.filter(({ current }) => !current);
  return (
    <div className="flex flex-col gap-2">
      <PagedList list={list} empty={t("noSessions")}>
        {(sessions) => (
          <ul className="flex flex-col gap-2">
            {sessions.map(({ id, client, created_at, last_seen_at, current }) => (
              <li key={id} className="flex flex-wrap items-center gap-2 rounded-lg border border-line bg-raised p-3">
                <span className="min-w-0 flex-1 basis-48">
                  {client ?? t("unknownClient")}
                  <span className="block text-sm text-quiet">
                    {t("sessionSeen", { at: moment(last_seen_at) })} · {t("sessionSince", { at: moment(created_at) })}
                  </span>
                </span>
                {current ? (
                  <Badge>{t("thisLogin")}</Badge>
                ) : (
                  <Button disabled={end.isPending} onClick={() => end.mutate([id])}>
                    {t("endLogin")}
                  </Button>
                )}
              </li>
            ))}
          </ul>
        )}
      </PagedList>
      {end.isError && <Notice>{end.error.message}</Notice>}
      {others.length > 1 && (
        <Button className="self-start" disabled={end.isPending} onClick={() => end.mutate(others.map(({ id }) => id))}>
          {t("endAllSessions")}
        </Button>
      )}
    </div>
  );
}
