import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Page } from "@/components/page";
import { hasFeature } from "@/api/features";
import { send } from "@/api/client";
import { Button } from "@/components/ui/button";
import { Badge, LoadError, Spinner } from "@/components/ui/feedback";
import { Checkbox, Field, Select } from "@/components/ui/field";
import { THEMES, type Theme, changeDisplay, useDisplay } from "@/display";
import { LANGUAGES, type Language, useI18n } from "@/i18n";

const LOCK_MINUTES = [0, 5, 15, 30, 60];

const SHORTCUTS = [
  { keys: "/", text: "shortcut.message" },
  { keys: "Enter", text: "shortcut.send" },
  { keys: "Shift + Enter", text: "shortcut.line" },
  { keys: "Alt + N", text: "shortcut.new" },
  { keys: "Esc", text: "shortcut.stop" },
] as const;

interface Login {
  id: string;
  client: string | null;
  created_at: string;
  last_seen_at: string;
  current: boolean;
}

/** Where the user is signed in. */
function Logins() {
  const { t, moment } = useI18n();
  const queries = useQueryClient();
  const list = useQuery({
    queryKey: ["sessions"],
    queryFn: async () => (await (await send("/v1/sessions")).json()) as { data: Login[] },
  });
  const end = useMutation({
    mutationFn: (id: string) => send(`/v1/sessions/${id}`, { method: "DELETE" }),
    onSettled: () => void queries.invalidateQueries({ queryKey: ["sessions"] }),
  });
  return (
    <section className="flex flex-col gap-2" aria-labelledby="logins">
      <h2 id="logins">{t("logins")}</h2>
      {list.isPending && <Spinner label={t("loading")} />}
      {list.isError && <LoadError error={list.error} retry={() => void list.refetch()} />}
      <ul className="flex flex-col gap-2">
        {list.data?.data.map(({ id, client, last_seen_at, current }) => (
          <li key={id} className="flex flex-wrap items-center gap-2 rounded-lg border border-line bg-raised p-3">
            <span className="min-w-0 flex-1 basis-48">
              {client ?? t("unknownClient")}
              <span className="block text-sm text-quiet">{moment(last_seen_at)}</span>
            </span>
            {current ? <Badge>{t("thisLogin")}</Badge> : <Button onClick={() => end.mutate(id)}>{t("endLogin")}</Button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

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
      {hasFeature("sessions") && <Logins />}
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
