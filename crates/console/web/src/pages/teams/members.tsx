import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { useAccount } from "@/account";
import { api } from "@/api/client";
import type { Team, TeamMember, TeamRole } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { useMembers, useRefreshTeams } from "./queries";

export const TEAM_ROLES: readonly TeamRole[] = ["viewer", "member", "owner"];

interface RemoveProps {
  team: Team;
  member: TeamMember;
  isSelf: boolean;
  onClose: () => void;
}

function RemoveDialog({ team, member, isSelf, onClose }: RemoveProps) {
  const { t } = useI18n();
  const navigate = useNavigate();
  const refresh = useRefreshTeams();
  const remove = useMutation({
    mutationFn: () => {
      const params = { path: { id: team.id, user: member.user_id } };
      return api.DELETE("/v1/teams/{id}/members/{user}", { params });
    },
    onSuccess: async () => {
      onClose();
      if (isSelf) await navigate("/teams");
      await refresh();
    },
  });
  const name = visibleText(member.name);
  return (
    <Dialog
      open
      onClose={onClose}
      title={isSelf ? t("team.leaveTitle") : t("team.removeTitle", { name })}
      description={t(isSelf ? "team.leaveHint" : "team.removeHint")}
    >
      {remove.isError && <Notice>{remove.error.message || t("notReachable")}</Notice>}
      <div className="mt-2 flex flex-wrap justify-end gap-2">
        <Button onClick={onClose}>{t("cancel")}</Button>
        <Button variant="danger" disabled={remove.isPending} onClick={() => remove.mutate()}>
          {t(isSelf ? "team.leave" : "team.remove")}
        </Button>
      </div>
    </Dialog>
  );
}

interface RowProps {
  team: Team;
  member: TeamMember;
  isLastOwner: boolean;
  onRemove: () => void;
}

function Row({ team, member, isLastOwner, onRemove }: RowProps) {
  const { t, moment } = useI18n();
  const refresh = useRefreshTeams();
  const isSelf = useAccount().id === member.user_id;
  const isManaged = team.team_role === "owner";
  const name = visibleText(member.name);
  const change = useMutation({
    mutationFn: (team_role: TeamRole) => {
      const params = { path: { id: team.id, user: member.user_id } };
      return api.PUT("/v1/teams/{id}/members/{user}", { params, body: { team_role } });
    },
    onSettled: () => refresh(),
  });
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-48">
        <p className="font-semibold [overflow-wrap:anywhere]">
          {name} {isSelf && <span className="font-normal text-quiet">({t("byYou")})</span>}{" "}
          {member.guest && <Badge>{t("team.guest")}</Badge>}
        </p>
        <p className="text-sm text-quiet">{t("team.joined", { at: moment(member.joined_at) })}</p>
      </div>
      {isManaged ? (
        <Select
          aria-label={t("team.roleOf", { name })}
          className="w-auto"
          value={member.team_role}
          disabled={change.isPending || isLastOwner}
          onChange={(event) => change.mutate(event.target.value as TeamRole)}
        >
          {TEAM_ROLES.map((role) => (
            <option key={role} value={role}>
              {t(`team.role.${role}`)}
            </option>
          ))}
        </Select>
      ) : (
        <Badge>{t(`team.role.${member.team_role}`)}</Badge>
      )}
      {isSelf && (
        <Button disabled={isLastOwner} onClick={onRemove}>
          {t("team.leave")}
        </Button>
      )}
      {!isSelf && isManaged && <Button onClick={onRemove}>{t("team.remove")}</Button>}
      {isSelf && isLastOwner && <p className="basis-full text-sm text-quiet">{t("team.lastOwner")}</p>}
      {change.isError && (
        <div className="basis-full">
          <Notice>{change.error.message || t("notReachable")}</Notice>
        </div>
      )}
    </li>
  );
}

/** Who belongs to a team. Its owners change that. */
export function Members({ team }: { team: Team }) {
  const { t } = useI18n();
  const { id } = useAccount();
  const members = useMembers(team.id, true);
  const [leaving, setLeaving] = useState<TeamMember>();
  const owners = members.data?.filter(({ team_role }) => team_role === "owner").length ?? 0;
  return (
    <section aria-labelledby="members" className="flex flex-col gap-2">
      <h2 id="members">{t("team.members")}</h2>
      {members.isPending && <Spinner label={t("loading")} />}
      {members.isError && <LoadError error={members.error} retry={() => void members.refetch()} />}
      <ul aria-label={t("team.members")} className="flex flex-col gap-2">
        {members.data?.map((member) => (
          <Row
            key={member.user_id}
            team={team}
            member={member}
            isLastOwner={member.team_role === "owner" && owners === 1}
            onRemove={() => setLeaving(member)}
          />
        ))}
      </ul>
      {leaving && (
        <RemoveDialog
          team={team}
          member={leaving}
          isSelf={leaving.user_id === id}
          onClose={() => setLeaving(undefined)}
        />
      )}
    </section>
  );
}
