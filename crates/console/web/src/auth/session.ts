// Who is signed in. The token is kept in this module and nowhere else.

import { useSyncExternalStore } from "react";
import { tabState } from "@/lib/storage";

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
  | { status: "interrupted"; reason: SignInReason; claims?: string };

/** A token is renewed this long before it expires. */
const RENEW_BEFORE_MS = 60_000;
/** How long after a failed renewal the next one is tried, while the token is still valid. */
const RENEW_AGAIN_MS = 10_000;
/** A token that expires this soon is renewed before it is used. */
const NEARLY_EXPIRED_MS = 5_000;
/** Keeps a locked tab locked when it is reloaded. */
const LOCKED = "locked";

let state: SessionState = { status: "signed-out" };
let renewal: ReturnType<typeof setTimeout> | undefined;
let pendingRefresh: Promise<void> | undefined;
const listeners = new Set<() => void>();
const signInWaiters = new Set<() => void>();

function change(next: SessionState) {
  state = next;
  for (const listener of listeners) listener();
}

function scheduleRenewal(credential: Credential) {
  clearTimeout(renewal);
  if (!credential.renew) return;
  const remaining = credential.expiresAt - Date.now();
  const delay = Math.max(remaining - RENEW_BEFORE_MS, remaining / 2, 1_000);
  renewal = setTimeout(() => void renewNow(credential), Math.min(delay, 2_147_000_000));
}

function isCurrent(credential: Credential) {
  return state.status === "signed-in" && state.credential === credential;
}

/** Renews a token. A failure counts only once the token has expired: the network may be back before. */
async function renewNow(credential: Credential): Promise<void> {
  clearTimeout(renewal);
  try {
    const renewed = await credential.renew?.();
    // Whoever signed out or was locked meanwhile stays so.
    if (renewed && isCurrent(credential)) signIn(renewed);
  } catch {
    if (!isCurrent(credential)) return;
    const remaining = credential.expiresAt - Date.now();
    if (remaining <= 0) interrupt("expired");
    else renewal = setTimeout(() => void renewNow(credential), Math.min(RENEW_AGAIN_MS, remaining));
  }
}

/** Renews a token that is about to expire, as one is after a computer slept, before it is used. */
export async function refreshIfExpiring(): Promise<void> {
  if (state.status !== "signed-in") return;
  const { credential } = state;
  if (!credential.renew || credential.expiresAt - Date.now() > NEARLY_EXPIRED_MS) return;
  pendingRefresh ??= renewNow(credential).finally(() => {
    pendingRefresh = undefined;
  });
  await pendingRefresh;
}

/** Whether this tab was locked and nobody has signed in since. */
export function isLocked() {
  return tabState.get(LOCKED) !== null;
}

export function signIn(credential: Credential) {
  scheduleRenewal(credential);
  tabState.set(LOCKED, null);
  change({ status: "signed-in", credential });
  for (const resolve of signInWaiters) resolve();
  signInWaiters.clear();
}

/**
 * Drops the token and asks the user to sign in again; what is on the page stays. The new login asks the issuer for
 * `claims`, a JSON text, if they are given.
 */
export function interrupt(reason: SignInReason, claims?: string) {
  clearTimeout(renewal);
  if (state.status !== "signed-in") return;
  if (reason === "locked") tabState.set(LOCKED, "on");
  change({ status: "interrupted", reason, claims });
}

/** Asks for a new login and resolves once the user is signed in, for what needs a recent one. */
export function signInAgain(reason: SignInReason): Promise<void> {
  interrupt(reason);
  return new Promise((resolve) => signInWaiters.add(resolve));
}

export function signOut() {
  clearTimeout(renewal);
  signInWaiters.clear();
  tabState.set(LOCKED, null);
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

/** Whether the console is locked at the moment, so that nothing of its user may be visible. */
export function useIsLocked() {
  const session = useSession();
  return session.status === "interrupted" && session.reason === "locked";
}
