// Authorization code with PKCE at the configured issuer. Tokens stay in memory; the verifier of a login in progress is
// in the tab's storage until its code is redeemed.

import { InMemoryWebStorage, type User, UserManager, WebStorageStateStore } from "oidc-client-ts";
import { type ConsoleClient } from "@/settings";
import { type Credential } from "./session";

export const CALLBACK_PATH = "/ui/callback";

let manager: UserManager | undefined;

function userManager(client: ConsoleClient): UserManager {
  manager ??= new UserManager({
    authority: client.issuer,
    client_id: client.client_id,
    scope: client.scope,
    redirect_uri: `${location.origin}${CALLBACK_PATH}`,
    post_logout_redirect_uri: `${location.origin}/ui/`,
    response_type: "code",
    automaticSilentRenew: false,
    monitorSession: false,
    loadUserInfo: false,
    userStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
    stateStore: new WebStorageStateStore({ store: sessionStorage }),
  });
  return manager;
}

function credential(client: ConsoleClient, user: User): Credential {
  const renew = async () => {
    const renewed = await userManager(client).signinSilent();
    if (!renewed) throw new Error("the issuer renews no token");
    return credential(client, renewed);
  };
  const expiresAt = (user.expires_at ?? Date.now() / 1_000 + 300) * 1_000;
  return { token: user.access_token, expiresAt, renew: user.refresh_token ? renew : undefined };
}

/** Whether the issuer is Microsoft Entra ID, whose parameter `claims` has a form of its own. */
function isEntra({ issuer }: ConsoleClient) {
  return /(^|\.)microsoftonline\.(com|us|cn)$/.test(new URL(issuer).hostname);
}

export interface SignInWish {
  /** The issuer asks for the password again. */
  fresh?: boolean;
  /** Claims to ask Entra ID for, as JSON. */
  claims?: string;
}

/** Leaves for the issuer; the user comes back to `returnTo`. */
export async function beginSignIn(client: ConsoleClient, returnTo: string, { fresh, claims }: SignInWish = {}) {
  const extra = fresh ? { prompt: "login", max_age: 0 } : {};
  const extraQueryParams = claims && isEntra(client) ? { claims } : undefined;
  await userManager(client).signinRedirect({ state: { returnTo }, extraQueryParams, ...extra });
}

/** Redeems the code in the address; returns the credential and where the user wanted to go. */
export async function completeSignIn(client: ConsoleClient) {
  const user = await userManager(client).signinRedirectCallback();
  const { returnTo } = (user.state ?? {}) as { returnTo?: string };
  const isPage = returnTo?.startsWith("/ui/") && !returnTo.startsWith(CALLBACK_PATH);
  return { credential: credential(client, user), returnTo: isPage && returnTo ? returnTo : "/ui/" };
}

/** Ends the session at the issuer too, if it offers that. */
export async function endSession(client: ConsoleClient) {
  const users = userManager(client);
  const endpoint = await users.metadataService.getEndSessionEndpoint().catch(() => undefined);
  if (endpoint) await users.signoutRedirect();
  else await users.removeUser();
}
