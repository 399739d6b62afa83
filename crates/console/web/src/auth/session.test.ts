import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type Credential,
  currentToken,
  getSession,
  interrupt,
  isLocked,
  refreshIfExpiring,
  signIn,
  signInAgain,
  signOut,
} from "./session";

const HOUR_MS = 3_600_000;

function credential(token: string, renew?: Credential["renew"]): Credential {
  return { token, expiresAt: Date.now() + HOUR_MS, renew };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  signOut();
  vi.useRealTimers();
});

describe("silent renewal", () => {
  it("replaces the token before it expires", async () => {
    signIn(credential("first", () => Promise.resolve(credential("second"))));
    await vi.advanceTimersByTimeAsync(HOUR_MS - 61_000);
    expect(currentToken()).toBe("first");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(currentToken()).toBe("second");
  });

  it("is tried again while the token is valid, and asks the user only after that", async () => {
    const renew = vi.fn(() => Promise.reject(new TypeError("offline")));
    signIn(credential("first", renew));
    await vi.advanceTimersByTimeAsync(HOUR_MS - 1_000);
    expect(renew.mock.calls.length).toBeGreaterThan(2);
    expect(currentToken()).toBe("first");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(getSession()).toEqual({ status: "interrupted", reason: "expired" });
  });

  it("does not unlock a console that was locked meanwhile", async () => {
    let finish = (_: Credential) => {};
    signIn(credential("first", () => new Promise((resolve) => (finish = resolve))));
    await vi.advanceTimersByTimeAsync(HOUR_MS - 59_000);
    interrupt("locked");
    finish(credential("second"));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(getSession()).toEqual({ status: "interrupted", reason: "locked" });
  });

  it("happens before a request if the computer slept until the token had expired", async () => {
    const renew = vi.fn(() => Promise.resolve(credential("second")));
    signIn(credential("first", renew));
    await refreshIfExpiring();
    expect(renew).not.toHaveBeenCalled();
    vi.setSystemTime(Date.now() + 2 * HOUR_MS);
    await Promise.all([refreshIfExpiring(), refreshIfExpiring()]);
    expect(renew).toHaveBeenCalledTimes(1);
    expect(currentToken()).toBe("second");
  });
});

describe("an interruption", () => {
  it("drops the token and ends with the next login", async () => {
    signIn(credential("first"));
    let isSignedIn = false;
    void signInAgain("step-up").then(() => (isSignedIn = true));
    expect(currentToken()).toBeUndefined();
    signIn(credential("second"));
    await vi.advanceTimersByTimeAsync(0);
    expect(isSignedIn).toBe(true);
  });

  it("is remembered by the tab if it is a lock, until somebody signs in or out", () => {
    signIn(credential("first"));
    interrupt("expired");
    expect(isLocked()).toBe(false);
    signIn(credential("second"));
    interrupt("locked");
    expect(isLocked()).toBe(true);
    signIn(credential("third"));
    expect(isLocked()).toBe(false);
  });
});
