import { describe, expect, it, vi } from "vitest";
import { ApiError } from "@/api/client";
import { parseChallenge } from "./challenge";
import { withRecentSignIn } from "./step-up";

const stepUp = new ApiError(401, "step_up_required", "Sign in again.");

describe("withRecentSignIn", () => {
  it("repeats the request after a new login", async () => {
    const request = vi.fn().mockRejectedValueOnce(stepUp).mockResolvedValueOnce("approved");
    const signIn = vi.fn().mockResolvedValue(undefined);
    await expect(withRecentSignIn(request, signIn)).resolves.toBe("approved");
    expect([request.mock.calls.length, signIn.mock.calls.length]).toEqual([2, 1]);
  });

  it("repeats it once only", async () => {
    const request = vi.fn().mockRejectedValue(stepUp);
    const signIn = vi.fn().mockResolvedValue(undefined);
    await expect(withRecentSignIn(request, signIn)).rejects.toBe(stepUp);
    expect([request.mock.calls.length, signIn.mock.calls.length]).toEqual([2, 1]);
  });

  it("asks for no login if something else is wrong", async () => {
    const signIn = vi.fn();
    const conflict = new ApiError(409, "already_decided", "Too late.");
    const expired = new ApiError(401, "invalid_token", "Expired.");
    for (const error of [conflict, expired]) {
      await expect(withRecentSignIn(() => Promise.reject(error), signIn)).rejects.toBe(error);
    }
    expect(signIn).not.toHaveBeenCalled();
  });
});

describe("parseChallenge", () => {
  const claims = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}';

  it("asks for a recent login, with the claims that the issuer shall be asked for", () => {
    const rfc9470 = 'Bearer error="insufficient_user_authentication", max_age="300"';
    const entra = `Bearer realm="", error="insufficient_claims", claims="${btoa(claims)}", cc_type="authcontext"`;
    expect(parseChallenge(rfc9470)).toEqual({ reason: "step-up" });
    expect(parseChallenge(`${rfc9470}, ${entra}`)).toEqual({ reason: "step-up", claims });
    expect(parseChallenge(entra)).toEqual({ reason: "step-up", claims });
  });

  it("is an expired login otherwise, and passes over claims that cannot be read", () => {
    expect(parseChallenge("")).toEqual({ reason: "expired" });
    expect(parseChallenge('Bearer error="invalid_token"')).toEqual({ reason: "expired" });
    expect(parseChallenge('Bearer error="insufficient_claims", claims="%"')).toEqual({ reason: "step-up" });
  });
});
