import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { type ScopeOperation, type ScopeResource, scopeGroups } from "./scopes";
import { type AccessToken, isUsable, tokenState } from "./token-state";

export const TOKENS_KEY = ["access-tokens"];

function RevokeDialog({ token, onClose }: { token: AccessToken; onClose: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const revoke = useMutation({
    mutationFn: () => api.DELETE("/v1/tokens/{id}", { params: { path: { id: token.id } } }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: TOKENS_KEY });
      onClose();
    },
  });
  return (
    <Dialog open onClose={onClose} title={t("revokeToken", { name: token.name })} description={t("revokeTokenHint")}>
      {revoke.isError && <Notice>{revoke.error.message}</Notice>}
      <div className="mt-2 flex justify-end gap-2">
        <Button onClick={onClose}>{t("cancel")}</Button>
        <Button variant="danger" disabled={revoke.isPending} onClick={() => revoke.mutate()}>
          {t("revoke")}
        </Button>
      </div>
    </Dialog>
  );
}

function TokenRow({ token, owner, onRevoke }: { token: AccessToken; owner: string | undefined; onRevoke: () => void }) {
  const { t, moment } = useI18n();
  const state = tokenState(token, Date.now());
  const scope = (resource: ScopeResource, operations: ScopeOperation[]) =>
    `${t(`resource.${resource}`)}: ${operations.map((operation) => t(`operation.${operation}`)).join(", ")}`;
  const scopes = scopeGroups(token.scopes).map((group) => scope(group.resource, group.scopes.map(({ operation }) => operation)));
  const facts = [
    t("tokenUntil", { at: moment(token.expires_at) }),
    token.last_used_at ? t("tokenUsed", { at: moment(token.last_used_at) }) : t("tokenUnused"),
  ];
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-64">
        <p className="font-semibold [overflow-wrap:anywhere]">
          {token.name} {owner && <span className="font-normal text-quiet">{t("tokenOf", { name: owner })}</span>}
        </p>
        <p className="text-sm text-quiet">{facts.join(" · ")}</p>
        <p className="text-sm text-quiet [overflow-wrap:anywhere]">{scopes.join(" · ")}</p>
      </div>
      <Badge tone={state === "expiring" ? "warning" : "plain"}>{t(`token.${state}`)}</Badge>
      {isUsable(state) && <Button onClick={onRevoke}>{t("revoke")}</Button>}
    </li>
  );
}

interface TokenListProps {
  /** Whose tokens; those of all users unless given. */
  user?: string;
  /** Names of users by id, where the list has those of several. */
  names?: ReadonlyMap<string, string>;
}

/** Access tokens, newest first, with those that are revoked or expired. */
export function TokenList({ user, names }: TokenListProps) {
  const { t } = useI18n();
  const [revoked, setRevoked] = useState<AccessToken>();
  const list = usePages<AccessToken>({
    key: [...TOKENS_KEY, user ?? "all"],
    load: (cursor) => body(api.GET("/v1/tokens", { params: { query: { user_id: user, cursor, limit: 50 } } })),
  });
  return (
    <>
      <PagedList list={list} empty={t("noTokens")}>
        {(tokens) => (
          <ul aria-label={t("accessTokens")} className="flex flex-col gap-2">
            {tokens.map((token) => (
              <TokenRow
                key={token.id}
                token={token}
                owner={names && (names.get(token.user_id) ?? token.user_id)}
                onRevoke={() => setRevoked(token)}
              />
            ))}
          </ul>
        )}
      </PagedList>
      {revoked && <RevokeDialog token={revoked} onClose={() => setRevoked(undefined)} />}
    </>
  );
}
