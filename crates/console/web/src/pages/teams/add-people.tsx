// How people come into a team: colleagues at once, people of other plants by invitation.

import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { isAdmin, useAccount } from "@/account";
import { api, body } from "@/api/client";
import type { Team, TeamRole } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Field, Input, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";
import { useUserNames } from "@/pages/admin/user-names";
import { TEAM_ROLES } from "./members";
import { useMembers, useRefreshTeams } from "./queries";

const UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";

/** Chooses a user of the plant: by name where the user may read names, otherwise by id. */
function PersonField({ team, value, onChange }: { team: Team; value: string; onChange: (id: string) => void }) {
  const { t } = useI18n();
  const mayList = isAdmin(useAccount());
  const names = useUserNames(mayList);
  const members = useMembers(team.id, true);
  const there = new Set(members.data?.map(({ user_id }) => user_id));
  if (!mayList) {
    return (
      <Field label={t("team.personId")} hint={t("team.personIdHint")} className="flex-1 basis-64">
        {(ids) => (
          <Input
            {...ids}
            required
            pattern={UUID}
            value={value}
            onChange={(event) => onChange(event.target.value.trim())}
          />
        )}
      </Field>
    );
  }
  return (
    <Field label={t("team.person")} className="flex-1 basis-64">
      {(ids) => (
        <Select {...ids} required value={value} onChange={(event) => onChange(event.target.value)}>
          <option value="">{t("team.choosePerson")}</option>
          {[...names]
            .filter(([id]) => !there.has(id))
            .map(([id, name]) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
        </Select>
      )}
    </Field>
  );
}

export function AddMember({ team, onClose }: { team: Team; onClose: () => void }) {
  const { t } = useI18n();
  const refresh = useRefreshTeams();
  const { fields, set, discard } = useFormDraft(`team-member.${team.id}`, { user: "", role: "member" as TeamRole });
  const add = useMutation({
    mutationFn: () => {
      const params = { path: { id: team.id, user: fields.user } };
      return api.PUT("/v1/teams/{id}/members/{user}", { params, body: { team_role: fields.role } });
    },
    onSuccess: () => {
      discard();
      void refresh();
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate();
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <PersonField team={team} value={fields.user} onChange={(user) => set({ ...fields, user })} />
      <Field label={t("role")}>
        {(ids) => (
          <Select
            {...ids}
            value={fields.role}
            onChange={(event) => set({ ...fields, role: event.target.value as TeamRole })}
          >
            {TEAM_ROLES.map((role) => (
              <option key={role} value={role}>
                {t(`team.role.${role}`)}: {t(`team.roleHint.${role}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {add.isError && <Notice>{add.error.message || t("notSaved")}</Notice>}
      <Button type="submit" variant="primary" disabled={add.isPending || !fields.user}>
        {t("add")}
      </Button>
    </form>
  );
}

const NOBODY = { tenant: "", email: "" };

export function InviteGuest({ team }: { team: Team }) {
  const { t, moment } = useI18n();
  const { fields, set, discard } = useFormDraft(`team-invitation.${team.id}`, NOBODY);
  const [expires, setExpires] = useState<string>();
  const invite = useMutation({
    mutationFn: () => {
      const sent = { tenant: fields.tenant.trim(), email: fields.email.trim() };
      return body(api.POST("/v1/teams/{id}/invitations", { params: { path: { id: team.id } }, body: sent }));
    },
    onMutate: () => setExpires(undefined),
    onSuccess: ({ expires_at }) => {
      discard();
      set(NOBODY);
      setExpires(expires_at);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    invite.mutate();
  };
  const isComplete = fields.tenant.trim() && fields.email.trim();
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <Field label={t("team.inviteTenant")}>
        {(ids) => (
          <Input
            {...ids}
            required
            maxLength={64}
            value={fields.tenant}
            onChange={(event) => set({ ...fields, tenant: event.target.value })}
          />
        )}
      </Field>
      <Field label={t("email")}>
        {(ids) => (
          <Input
            {...ids}
            required
            type="email"
            maxLength={255}
            value={fields.email}
            onChange={(event) => set({ ...fields, email: event.target.value })}
          />
        )}
      </Field>
      <div role="status">
        {expires && <Notice tone="plain">{t("team.invited", { at: moment(expires) })}</Notice>}
      </div>
      {invite.isError && <Notice>{invite.error.message || t("notSaved")}</Notice>}
      <Button type="submit" variant="primary" disabled={invite.isPending || !isComplete}>
        {t("team.inviteSend")}
      </Button>
    </form>
  );
}
