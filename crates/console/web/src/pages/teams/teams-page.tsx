import { Users } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";
import { useAccount } from "@/account";
import { api, body } from "@/api/client";
import type { Team } from "@/api/types";
import { CopyButton } from "@/components/copy-button";
import { Page } from "@/components/page";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { isGuestIn } from "@/space/space";
import { TEAMS_KEY } from "@/space/use-space";
import { Invitations } from "./invitations";
import { TeamForm } from "./team-form";

function Row({ team }: { team: Team }) {
  const { t, moment } = useI18n();
  const account = useAccount();
  const { id, name, slug, team_role, created_at, deleted_at } = team;
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-56">
        <Link
          to={`/teams/${id}`}
          className="inline-flex min-h-target min-w-target items-center font-semibold [overflow-wrap:anywhere] hover:underline"
        >
          {visibleText(name)}
        </Link>
        <p className="text-sm text-quiet [overflow-wrap:anywhere]">
          {slug} · {t("created", { at: moment(created_at) })}
        </p>
      </div>
      <div className="flex flex-wrap items-center gap-2">
        {deleted_at && <Badge tone="warning">{t("team.deleted")}</Badge>}
        {isGuestIn(account, team) && <Badge>{t("team.guest")}</Badge>}
        <Badge>{t(`team.role.${team_role}`)}</Badge>
      </div>
    </li>
  );
}

/** The user's teams, and invitations to others. */
export function TeamsPage() {
  const { t } = useI18n();
  const account = useAccount();
  const [isAdding, setAdding] = useState(false);
  const list = usePages<Team>({
    key: [...TEAMS_KEY, "list"],
    staleTime: 0,
    load: (cursor) => body(api.GET("/v1/teams", { params: { query: { cursor, limit: 50 } } })),
  });
  return (
    <Page title={t("teams")}>
      <p className="text-quiet">{t("team.hint")}</p>
      <Invitations />
      {account.role !== "viewer" && (
        <Button className="self-start" onClick={() => setAdding(true)}>
          <Users aria-hidden /> {t("team.new")}
        </Button>
      )}
      <PagedList list={list} empty={t("team.none")}>
        {(teams) => (
          <ul aria-label={t("teams")} className="flex flex-col gap-2">
            {teams.map((team) => (
              <Row key={team.id} team={team} />
            ))}
          </ul>
        )}
      </PagedList>
      <div className="flex flex-wrap items-center gap-x-2 text-sm text-quiet">
        <span>{t("team.yourId")}</span>
        <span className="flex items-center gap-1">
          <span className="font-mono [overflow-wrap:anywhere]">{account.id}</span> <CopyButton text={account.id} />
        </span>
      </div>
      <Dialog open={isAdding} onClose={() => setAdding(false)} title={t("team.new")}>
        <TeamForm onClose={() => setAdding(false)} />
      </Dialog>
    </Page>
  );
}
