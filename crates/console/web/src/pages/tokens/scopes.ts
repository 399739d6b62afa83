// The scopes of access tokens, grouped by what they are about.

import type { components } from "@/api/schema";

export type Scope = components["schemas"]["NewToken"]["scopes"][number];

/** All scopes; the compiler finds one that the API has and this list lacks. */
const KNOWN: Record<Scope, true> = {
  "search:read": true,
  "documents:list": true,
  "documents:read": true,
  "documents:create": true,
  "documents:update": true,
  "documents:delete": true,
  "conversations:list": true,
  "conversations:read": true,
  "conversations:create": true,
  "conversations:update": true,
  "conversations:delete": true,
  "memories:list": true,
  "memories:create": true,
  "memories:update": true,
  "memories:delete": true,
  "models:list": true,
  "models:read": true,
  "models:create": true,
  "account:read": true,
  "usage:read": true,
  "feedback:list": true,
  "feedback:update": true,
  "feedback:delete": true,
  "users:list": true,
  "audit_logs:list": true,
  "audit_logs:export": true,
  "reasoning:read": true,
  "readings:list": true,
  "readings:read": true,
  "tools:list": true,
  "tools:create": true,
  "foreign_tools:read": true,
  "foreign_tools:create": true,
  "work_orders:list": true,
  "work_orders:read": true,
  "work_orders:create": true,
  "approvals:list": true,
  "approvals:read": true,
  "teams:list": true,
  "teams:read": true,
  "agents:list": true,
  "goals:list": true,
  "goals:read": true,
  "goals:create": true,
  "goals:update": true,
  "goals:delete": true,
};

export const SCOPES = Object.keys(KNOWN) as Scope[];

type ResourceOf<S extends Scope> = S extends `${infer R}:${string}` ? R : never;
type OperationOf<S extends Scope> = S extends `${string}:${infer O}` ? O : never;
export type ScopeResource = ResourceOf<Scope>;
export type ScopeOperation = OperationOf<Scope>;

export interface ScopeGroup {
  resource: ScopeResource;
  scopes: { scope: Scope; operation: ScopeOperation }[];
}

/** The scopes by resource, in the order of the list. */
export function scopeGroups(scopes: readonly Scope[] = SCOPES): ScopeGroup[] {
  const groups = new Map<ScopeResource, ScopeGroup>();
  for (const scope of scopes) {
    const [resource, operation] = scope.split(":") as [ScopeResource, ScopeOperation];
    const group = groups.get(resource) ?? { resource, scopes: [] };
    group.scopes.push({ scope, operation });
    groups.set(resource, group);
  }
  return [...groups.values()];
}
