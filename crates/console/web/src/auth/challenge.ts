// What a refused token asks for, by the challenges of the response (`WWW-Authenticate`).

import type { SignInReason } from "./session";

export interface Challenge {
  reason: SignInReason;
  /** Claims that the next login must ask the issuer for, as JSON: a claims challenge of Microsoft Entra ID. */
  claims?: string;
}

function decodeBase64(text: string): string | undefined {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)));
  } catch {
    return undefined;
  }
}

/** Reads a header with one or several challenges. RFC 9470: the token is valid, but its login is not recent enough. */
export function parseChallenge(header: string): Challenge {
  if (!/error="insufficient_(user_authentication|claims)"/.test(header)) return { reason: "expired" };
  const claims = /claims="([^"]*)"/.exec(header)?.[1];
  return { reason: "step-up", claims: claims && decodeBase64(claims) };
}
