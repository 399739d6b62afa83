import { useMutation } from "@tanstack/react-query";
import { FileText, MessageSquareText, Pencil, Search, Trash2, UserPlus } from "lucide-react";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { useAccount } from "@/account";
import { ApiError, api } from "@/api/client";
import type { Team } from "@/api/types";
import { DeleteDialog } from "@/components/delete-dialog";
import { Page } from "@/components/page";
import { Button, buttonVariants } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { cn } from "@/lib/utils";
import { inSpace, isGuestIn } from "@/space/space";
import { useTeams } from "@/space/use-space";
import { AddMember, InviteGuest } from "./add-people";
import { Members } from "./members";
import { useRefreshTeams, useTeam } from "./queries";
import { TeamForm } from "./team-form";

type Action = "change" | "add" | "invite" | "delete";

/** What the user may do here, and what a guest should know. */
function Standing({ team }: { team: Team }) {
  const { t } = useI18n();
  const account = useAccount();
  const { team_role } = team;
  return (
    <div className="flex flex-col gap-2">
      <p>{t("team.yourRole", { role: t(`team.role.${team_role}`), may: t(`team.roleHint.${team_role}`) })}</p>
      {account.role === "viewer" && team_role !== "viewer" && <p className="text-quiet">{t("team.lowered")}</p>}
      {isGuestIn(account, team) && (
        <section aria-label={t("team.asGuest")} className="rounded-md border border-line bg-surface p-4">
          <p className="font-semibold">{t("team.asGuest")}</p>
          <p>{t("team.guestHint")}</p>
          <p>{t("team.guestOff")}</p>
        </section>
      )}
    </div>
  );
}

function Contents({ team: { id } }: { team: Team }) {
  const { t } = useI18n();
  const links = [
    { path: "/chat", name: t("team.openChat"), picture: MessageSquareText },
    { path: "/documents", name: t("team.openDocuments"), picture: FileText },
    { path: "/search", name: t("team.openSearch"), picture: Search },
  ];
  return (
    <div className="flex flex-wrap gap-2">
      {links.map(({ path, name, picture: Picture }) => (
        <Link key={path} to={inSpace(path, id)} className={cn(buttonVariants())}>
          <Picture aria-hidden /> {name}
        </Link>
      ))}
    </div>
  );
}

function Deleted({ team }: { team: Team }) {
  const { t, moment } = useI18n();
  const refresh = useRefreshTeams();
  const restore = useMutation({
    mutationFn: () => api.POST("/v1/teams/{id}/restore", { params: { path: { id: team.id } } }),
    onSuccess: () => refresh(),
  });
  return (
    <>
      <Notice
        tone="warning"
        action={
          <Button disabled={restore.isPending} onClick={() => restore.mutate()}>
            {t("team.restore")}
          </Button>
        }
      >
        {t("team.deletedHint", { at: moment(team.deleted_at ?? "") })}
      </Notice>
      {restore.isError && <Notice>{restore.error.message || t("notReachable")}</Notice>}
    </>
  );
}

/** What an owner does with the team itself. */
function Management({ team }: { team: Team }) {
  const { t } = useI18n();
  const refresh = useRefreshTeams();
  const [action, setAction] = useState<Action>();
  const close = () => setAction(undefined);
  return (
    <div className="flex flex-wrap gap-2">
      <Button onClick={() => setAction("add")}>
        <UserPlus aria-hidden /> {t("team.addMember")}
      </Button>
      <Button onClick={() => setAction("invite")}>{t("team.invite")}</Button>
      <Button onClick={() => setAction("change")}>
        <Pencil aria-hidden /> {t("team.change")}
      </Button>
      <Button onClick={() => setAction("delete")}>
        <Trash2 aria-hidden /> {t("team.delete")}
      </Button>
      <Dialog open={action === "add"} onClose={close} title={t("team.addMember")}>
        <AddMember team={team} onClose={close} />
      </Dialog>
      <Dialog open={action === "invite"} onClose={close} title={t("team.invite")} description={t("team.inviteHint")}>
        <InviteGuest team={team} />
      </Dialog>
      <Dialog open={action === "change"} onClose={close} title={t("team.changeTitle")}>
        <TeamForm team={team} onClose={close} />
      </Dialog>
      {action === "delete" && (
        <DeleteDialog
          title={t("team.deleteTitle", { name: visibleText(team.name) })}
          description={t("team.deleteHint")}
          remove={() => api.DELETE("/v1/teams/{id}", { params: { path: { id: team.id } } })}
          onDeleted={() => void refresh()}
          onClose={close}
        />
      )}
    </div>
  );
}

function OneTeam({ team }: { team: Team }) {
  return (
    <>
      <p className="text-quiet [overflow-wrap:anywhere]">{team.slug}</p>
      <Standing team={team} />
      {team.deleted_at ? (
        <Deleted team={team} />
      ) : (
        <>
          <Contents team={team} />
          <Members team={team} />
          {team.team_role === "owner" && <Management team={team} />}
        </>
      )}
    </>
  );
}

/** One team: who belongs to it, and what its owners do with it. */
export function TeamPage() {
  const { t } = useI18n();
  const { id = "" } = useParams();
  const team = useTeam(id);
  const mine = useTeams();
  const isRefused = team.error instanceof ApiError && team.error.status === 404;
  // A team that is marked for deletion is not reachable by itself; its owners have it in their list.
  const shown = isRefused ? mine.data?.find((one) => one.id === id && one.deleted_at) : team.data;
  const isMissing = isRefused && !shown && !mine.isFetching;
  return (
    <Page title={shown ? visibleText(shown.name) : t("teams")}>
      <Link to="/teams" className={cn(buttonVariants(), "self-start")}>
        {t("team.backToList")}
      </Link>
      {(team.isPending || (isRefused && mine.isFetching)) && <Spinner label={t("loading")} />}
      {isMissing && <Notice tone="warning">{t("team.missing")}</Notice>}
      {team.isError && !isRefused && <LoadError error={team.error} retry={() => void team.refetch()} />}
      {shown && <OneTeam key={id} team={shown} />}
    </Page>
  );
}
