// What signs a tab in without a question: the answer of the issuer, or what signed it in before a reload.

import { tabState } from "@/lib/storage";
import { settings } from "@/settings";
import { developmentCredential } from "./development";
import { REMEMBERED } from "./sign-in";
import { isLocked, signIn } from "./session";

const CALLBACK_PATH = "/ui/callback";

/** Signs in if possible; returns whether a login that was begun has failed. */
export async function restoreSession(): Promise<{ failed: boolean }> {
  const remembered = tabState.get(REMEMBERED);
  try {
    if (location.pathname === CALLBACK_PATH && settings.sign_in) {
      const { completeSignIn } = await import("./oidc");
      const { credential, returnTo } = await completeSignIn(settings.sign_in);
      history.replaceState(null, "", returnTo);
      tabState.set(REMEMBERED, "issuer");
      signIn(credential);
    } else if (isLocked()) {
      // Reloading the page must not unlock it.
      return { failed: false };
    } else if (remembered?.startsWith("development:") && settings.development) {
      signIn(await developmentCredential(remembered.slice("development:".length)));
    } else if (remembered === "issuer" && settings.sign_in) {
      const { beginSignIn } = await import("./oidc");
      // If the page cannot be left, the user signs in by hand.
      tabState.set(REMEMBERED, null);
      await beginSignIn(settings.sign_in, location.pathname + location.search + location.hash);
      await new Promise(() => {});
    }
    return { failed: false };
  } catch {
    tabState.set(REMEMBERED, null);
    const wasLogin = location.pathname === CALLBACK_PATH || remembered !== null;
    if (location.pathname === CALLBACK_PATH) history.replaceState(null, "", "/ui/");
    return { failed: wasLogin };
  }
}
