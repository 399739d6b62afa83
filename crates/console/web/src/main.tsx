import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "@/app";
import { restoreSession } from "@/auth/restore";
import { startDisplay } from "@/display";
import { I18nProvider } from "@/i18n";
import { nonce } from "@/settings";
import "./index.css";

// Dialogs add a `<style>` element while they keep the page behind them from scrolling.
setNonce(nonce);
startDisplay();

const root = document.getElementById("root");
if (root) {
  void restoreSession().then(({ failed }) =>
    createRoot(root).render(
      <StrictMode>
        <I18nProvider>
          <App signInFailed={failed} />
        </I18nProvider>
      </StrictMode>,
    ),
  );
}
