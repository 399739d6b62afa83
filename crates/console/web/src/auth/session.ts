// Who is signed in. The token is kept in this module and nowhere else.

import { useSyncExternalStore } from "react";

/** A token, and what renews it. */
export interface Credential {
  token: string;
  /** Milliseconds since the epoch. */
  expiresAt: number;
  /** Gets the next token without the user; rejects if that is not possible. */
  renew?: () => Promise<Credential>;
}

/** Why the dialog `Sign in again` is shown. */
export type SignInReason = "expired" | "locked" | "step-up";

export type SessionState =
  | { status: "signed-out" }
  | { status: "signed-in"; credential: Credential }
  | { status: "interrupted"; reason: SignInReason };

/** A token is renewed this long before it expires. */
const RENEW_BEFORE_MS = 60_000;

let state: SessionState = { status: "signed-out" };
let renewal: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();
const signInWaiters = new Set<() => void>();

function change(next: SessionState) {
  state = next;
  for (const listener of listeners) listener();
}

function scheduleRenewal({ expiresAt, renew }: Credential) {
  clearTimeout(renewal);
  if (!renew) return;
  const remaining = expiresAt - Date.now();
  const delay = Math.max(remaining - RENEW_BEFORE_MS, remaining / 2, 1_000);
  renewal = setTimeout(() => {
    renew().then(signIn, () => interrupt("expired"));
  }, Math.min(delay, 2_147_000_000));
}

export function signIn(credential: Credential) {
  scheduleRenewal(credential);
  change({ status: "signed-in", credential });
  for (const resolve of signInWaiters) resolve();
  signInWaiters.clear();
}

/** Drops the token and asks the user to sign in again; what is on the page stays. */
export function interrupt(reason: SignInReason) {
  clearTimeout(renewal);
  if (state.status === "signed-in") change({ status: "interrupted", reason });
}

/** Asks for a new login and resolves once the user is signed in, for what needs a recent one. */
export function signInAgain(reason: SignInReason): Promise<void> {
  interrupt(reason);
  return new Promise((resolve) => signInWaiters.add(resolve));
}

export function signOut() {
  clearTimeout(renewal);
  signInWaiters.clear();
  change({ status: "signed-out" });
}

export function currentToken(): string | undefined {
  return state.status === "signed-in" ? state.credential.token : undefined;
}

export function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function getSession() {
  return state;
}

export function useSession() {
  return useSyncExternalStore(subscribe, getSession);
}
