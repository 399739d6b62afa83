// Where the user works: in the plant's own space, or in one of the user's teams. The choice is in the address, so that
// a link to it can be sent.

import type { Account, Team } from "@/api/types";

/** The parameter of the address; without it, it is the plant's own space. */
export const SPACE = "team";

/** The pages that show one space. */
export const SPACED_PAGES: readonly string[] = ["/chat", "/search", "/documents"];

export function spaceOf(parameters: URLSearchParams): string | undefined {
  return parameters.get(SPACE) || undefined;
}

/** A path of this console, in the given space. */
export function inSpace(path: string, team: string | null | undefined): string {
  return team ? `${path}?${SPACE}=${encodeURIComponent(team)}` : path;
}

/** Whether the user may ask, upload and begin something there: the lower one of both roles decides. */
export function mayContribute({ role }: Account, team: Team | undefined): boolean {
  return role !== "viewer" && team !== undefined && team.team_role !== "viewer" && !team.deleted_at;
}

/** Whether the team belongs to another tenant. */
export function isGuestIn({ tenant }: Account, team: Team): boolean {
  return team.tenant_id !== tenant.id;
}
