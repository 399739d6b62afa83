import { useMutation, useQueryClient } from "@tanstack/react-query";
import { UserPlus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useAccount } from "@/account";
import { api, body } from "@/api/client";
import { hasFeature } from "@/api/features";
import type { Role, User } from "@/api/types";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Notice } from "@/components/ui/feedback";
import { Checkbox, Field, Input, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { displayName } from "@/lib/display-name";
import { useFormDraft } from "@/lib/use-form-draft";
import { type SessionSource, SessionList } from "@/pages/sessions/session-list";

export const ROLES: readonly Role[] = ["viewer", "user", "admin"];
const GRANTS = ["auditor", "approver"] as const;

interface Change {
  role?: Role;
  is_active?: boolean;
  grants?: (typeof GRANTS)[number][];
}

function sessionsOf(user: string): SessionSource {
  return {
    key: ["sessions", user],
    load: (cursor) => {
      const params = { path: { id: user }, query: { cursor, limit: 50 } };
      return body(api.GET("/v1/admin/users/{id}/sessions", { params }));
    },
    end: (session) => {
      const params = { path: { id: user, session } };
      return api.DELETE("/v1/admin/users/{id}/sessions/{session}", { params });
    },
  };
}

function UserRow({ user, onSessions }: { user: User; onSessions: () => void }) {
  const { t, moment } = useI18n();
  const self = useAccount().id === user.id;
  const queries = useQueryClient();
  const change = useMutation({
    mutationFn: (body: Change) => api.PATCH("/v1/admin/users/{id}", { params: { path: { id: user.id } }, body }),
    onSettled: () => void queries.invalidateQueries({ queryKey: ["users"] }),
  });
  const name = displayName(user);
  const toggleGrant = (grant: (typeof GRANTS)[number], isOn: boolean) => {
    const others = GRANTS.filter((one) => one !== grant && user.grants.includes(one));
    change.mutate({ grants: isOn ? [...others, grant] : others });
  };
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-56">
        <p className="font-semibold [overflow-wrap:anywhere]">
          {name} {!user.is_active && <Badge>{t("inactive")}</Badge>}
        </p>
        <p className="text-sm text-quiet [overflow-wrap:anywhere]">
          {user.email}
          {user.last_login && <> · {t("lastLogin", { at: moment(user.last_login) })}</>}
        </p>
      </div>
      <Select
        aria-label={t("roleOf", { name })}
        className="w-auto"
        value={user.role}
        disabled={change.isPending || self}
        onChange={(event) => change.mutate({ role: event.target.value as Role })}
      >
        {ROLES.map((role) => (
          <option key={role} value={role}>
            {t(`role.${role}`)}
          </option>
        ))}
      </Select>
      {GRANTS.map((grant) => (
        <Checkbox
          key={grant}
          label={t(`grant.${grant}`)}
          checked={user.grants.includes(grant)}
          disabled={change.isPending}
          onChange={(event) => toggleGrant(grant, event.target.checked)}
        />
      ))}
      {hasFeature("sessions") && <Button onClick={onSessions}>{t("sessions")}</Button>}
      <Button disabled={change.isPending || self} onClick={() => change.mutate({ is_active: !user.is_active })}>
        {user.is_active ? t("deactivate") : t("activate")}
      </Button>
      {change.isError && (
        <div className="basis-full">
          <Notice>{change.error.message}</Notice>
        </div>
      )}
    </li>
  );
}

const NEW_USER = { external_id: "", email: "", name: "", role: "viewer" as Role };

function NewUser({ onClose }: { onClose: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const { fields, set: setFields, discard } = useFormDraft("user", NEW_USER);
  const create = useMutation({
    mutationFn: () => api.POST("/v1/admin/users", { body: { ...fields, name: fields.name || null } }),
    onSuccess: () => {
      discard();
      void queries.invalidateQueries({ queryKey: ["users"] });
      onClose();
    },
  });
  const set = (name: keyof typeof fields) => (event: { target: { value: string } }) =>
    setFields({ ...fields, [name]: event.target.value });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <form className="flex flex-col gap-3" onSubmit={submit}>
      <Field label={t("externalId")} hint={t("externalIdHint")}>
        {(ids) => <Input {...ids} required value={fields.external_id} onChange={set("external_id")} />}
      </Field>
      <Field label={t("email")}>{(ids) => <Input {...ids} required type="email" value={fields.email} onChange={set("email")} />}</Field>
      <Field label={t("name")}>{(ids) => <Input {...ids} value={fields.name} onChange={set("name")} />}</Field>
      <Field label={t("role")}>
        {(ids) => (
          <Select {...ids} value={fields.role} onChange={set("role")}>
            {ROLES.map((role) => (
              <option key={role} value={role}>
                {t(`role.${role}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {create.isError && <Notice>{create.error.message}</Notice>}
      <Button type="submit" variant="primary" disabled={create.isPending}>
        {t("save")}
      </Button>
    </form>
  );
}

export function UsersPage() {
  const { t } = useI18n();
  const list = usePages<User>({
    key: ["users"],
    load: (cursor) => body(api.GET("/v1/admin/users", { params: { query: { cursor, limit: 50 } } })),
  });
  const [isAdding, setAdding] = useState(false);
  const [watched, setWatched] = useState<User>();
  return (
    <section aria-label={t("users")} className="flex flex-col gap-3">
      <Button className="self-start" onClick={() => setAdding(true)}>
        <UserPlus aria-hidden /> {t("addPerson")}
      </Button>
      <Dialog open={isAdding} onClose={() => setAdding(false)} title={t("addPerson")}>
        <NewUser onClose={() => setAdding(false)} />
      </Dialog>
      <PagedList list={list} empty={t("nothingFound")}>
        {(users) => (
          <ul className="flex flex-col gap-2">
            {users.map((user) => (
              <UserRow key={user.id} user={user} onSessions={() => setWatched(user)} />
            ))}
          </ul>
        )}
      </PagedList>
      {watched && (
        <Dialog
          open
          onClose={() => setWatched(undefined)}
          title={t("sessionsOf", { name: displayName(watched) })}
          description={t("sessionsHint")}
        >
          <SessionList source={sessionsOf(watched.id)} />
        </Dialog>
      )}
    </section>
  );
}
