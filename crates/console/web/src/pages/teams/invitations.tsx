import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { api, body } from "@/api/client";
import type { Invitation } from "@/api/types";
import { usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { LoadError, Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { INVITATIONS_KEY, useRefreshTeams } from "./queries";

function Row({ invitation: { id, team, expires_at } }: { invitation: Invitation }) {
  const { t, moment } = useI18n();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const refresh = useRefreshTeams();
  const name = `invitation-${id}`;
  const answer = useMutation({
    mutationFn: (verdict: "accept" | "decline") => {
      const params = { path: { id } };
      return body(
        verdict === "accept"
          ? api.POST("/v1/invitations/{id}/accept", { params })
          : api.POST("/v1/invitations/{id}/decline", { params }),
      );
    },
    onSuccess: ({ status }) => {
      void refresh();
      if (status === "accepted") void navigate(`/teams/${team.id}`);
    },
    onSettled: () => queries.invalidateQueries({ queryKey: INVITATIONS_KEY }),
  });
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-56">
        <p id={name} className="font-semibold [overflow-wrap:anywhere]">
          {visibleText(team.name)}
        </p>
        <p className="text-sm text-quiet">{t("invitation.expires", { at: moment(expires_at) })}</p>
      </div>
      <Button
        variant="primary"
        aria-describedby={name}
        disabled={answer.isPending}
        onClick={() => answer.mutate("accept")}
      >
        {t("accept")}
      </Button>
      <Button aria-describedby={name} disabled={answer.isPending} onClick={() => answer.mutate("decline")}>
        {t("decline")}
      </Button>
      {answer.isError && (
        <div className="basis-full">
          <Notice>{answer.error.message || t("notReachable")}</Notice>
        </div>
      )}
    </li>
  );
}

/** Invitations to the user that wait for an answer. Without any, there is nothing to see. */
export function Invitations() {
  const { t } = useI18n();
  const list = usePages<Invitation>({
    key: INVITATIONS_KEY,
    staleTime: 0,
    load: (cursor) => body(api.GET("/v1/invitations", { params: { query: { cursor, limit: 50 } } })),
  });
  const isPending = ({ status, expires_at }: Invitation) => status === "pending" && Date.parse(expires_at) > Date.now();
  const pending = list.items.filter(isPending);
  if (list.query.isError) return <LoadError error={list.query.error} retry={() => void list.query.refetch()} />;
  if (pending.length === 0) return null;
  return (
    <section aria-labelledby="invitations" className="flex flex-col gap-2">
      <h2 id="invitations">{t("invitation.title")}</h2>
      <ul aria-label={t("invitation.title")} className="flex flex-col gap-2">
        {pending.map((invitation) => (
          <Row key={invitation.id} invitation={invitation} />
        ))}
      </ul>
    </section>
  );
}
