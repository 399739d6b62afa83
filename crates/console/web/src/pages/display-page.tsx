import { KeyRound } from "lucide-react";
import { Link } from "react-router";
import { api, body } from "@/api/client";
import { hasFeature } from "@/api/features";
import { Page } from "@/components/page";
import { buttonVariants } from "@/components/ui/button";
import { Checkbox, Field, Select } from "@/components/ui/field";
import { THEMES, type Theme, changeDisplay, useDisplay } from "@/display";
import { LANGUAGES, type Language, useI18n } from "@/i18n";
import { cn } from "@/lib/utils";
import { SessionList, type SessionSource } from "@/pages/sessions/session-list";

const LOCK_MINUTES = [0, 5, 15, 30, 60];

const SHORTCUTS = [
  { keys: "/", text: "shortcut.message" },
  { keys: "Enter", text: "shortcut.send" },
  { keys: "Shift + Enter", text: "shortcut.line" },
  { keys: "Alt + N", text: "shortcut.new" },
  { keys: "Esc", text: "shortcut.stop" },
] as const;

const OWN_SESSIONS: SessionSource = {
  key: ["sessions"],
  load: (cursor) => body(api.GET("/v1/sessions", { params: { query: { cursor, limit: 50 } } })),
  end: (id) => api.DELETE("/v1/sessions/{id}", { params: { path: { id } } }),
};

export function DisplayPage() {
  const { t, language, setLanguage } = useI18n();
  const display = useDisplay();
  return (
    <Page title={t("display")}>
      <section aria-label={t("display")} className="grid max-w-2xl gap-4 sm:grid-cols-2">
        <Field label={t("theme")}>
          {(ids) => (
            <Select {...ids} value={display.theme} onChange={(event) => changeDisplay({ theme: event.target.value as Theme })}>
              {THEMES.map((theme) => (
                <option key={theme} value={theme}>
                  {t(`theme.${theme}`)}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Field label={t("language")}>
          {(ids) => (
            <Select {...ids} value={language} onChange={(event) => setLanguage(event.target.value as Language)}>
              {Object.entries(LANGUAGES).map(([tag, name]) => (
                <option key={tag} value={tag}>
                  {name}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Field label={t("lockAfter")} hint={t("lockHint")}>
          {(ids) => (
            <Select
              {...ids}
              value={display.lockAfterMinutes}
              onChange={(event) => changeDisplay({ lockAfterMinutes: Number(event.target.value) })}
            >
              {LOCK_MINUTES.map((minutes) => (
                <option key={minutes} value={minutes}>
                  {t("minutes", { minutes })}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Checkbox
          label={t("gloveMode")}
          checked={display.gloves}
          onChange={(event) => changeDisplay({ gloves: event.target.checked })}
        />
      </section>
      {hasFeature("sessions") && (
        <section className="flex flex-col gap-2" aria-labelledby="logins">
          <h2 id="logins">{t("logins")}</h2>
          <SessionList source={OWN_SESSIONS} />
        </section>
      )}
      {hasFeature("tokens") && (
        <section className="flex flex-col gap-2" aria-labelledby="access-tokens">
          <h2 id="access-tokens">{t("accessTokens")}</h2>
          <p className="text-quiet">{t("accessTokensHint")}</p>
          <Link to="/tokens" className={cn(buttonVariants(), "self-start")}>
            <KeyRound aria-hidden /> {t("accessTokens")}
          </Link>
        </section>
      )}
      <section aria-labelledby="shortcuts">
        <h2 id="shortcuts">{t("shortcuts")}</h2>
        <dl className="mt-2 grid max-w-xl grid-cols-[auto_1fr] gap-x-6 gap-y-1">
          {SHORTCUTS.map(({ keys, text }) => (
            <div key={keys} className="contents">
              <dt className="font-semibold">{keys}</dt>
              <dd>{t(text)}</dd>
            </div>
          ))}
        </dl>
      </section>
    </Page>
  );
}
