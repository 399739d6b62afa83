// Texts in the user's language, as ICU messages.

import { IntlMessageFormat } from "intl-messageformat";
import { type ReactNode, createContext, useContext, useEffect, useMemo, useState } from "react";
import { preferences } from "@/lib/storage";
import { en } from "./en";

export type MessageKey = keyof typeof en;
export type Messages = Record<MessageKey, string>;
export type Values = Record<string, string | number | Date>;

export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

interface I18n {
  language: Language;
  setLanguage: (language: Language) => void;
  t: (key: MessageKey, values?: Values) => string;
  /** A moment, as short as is still clear. */
  moment: (iso: string) => string;
  number: (value: number, options?: Intl.NumberFormatOptions) => string;
}

/** The language that was chosen, otherwise the first of the browser's that there is. */
export function initialLanguage(chosen: string | null, browser: readonly string[]): Language {
  const wanted = [chosen ?? "", ...browser].map((tag) => tag.split("-")[0]);
  return (wanted.find((tag) => tag && tag in LANGUAGES) as Language | undefined) ?? "en";
}

/** Loads the texts of a language; English is always there. */
export async function loadMessages(language: Language): Promise<Messages> {
  return language === "de" ? (await import("./de")).de : en;
}

export function format(messages: Messages, language: Language, key: MessageKey, values?: Values): string {
  const text = messages[key];
  if (!values) return text;
  return String(new IntlMessageFormat(text, language).format(values));
}

function i18n(language: Language, messages: Messages, setLanguage: I18n["setLanguage"]): I18n {
  const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  return {
    language,
    setLanguage,
    t: (key, values) => format(messages, language, key, values),
    moment: (iso) => moments.format(new Date(iso)),
    number: (value, options) => new Intl.NumberFormat(language, options).format(value),
  };
}

const Context = createContext<I18n>(i18n("en", en, () => {}));

export function I18nProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(() => initialLanguage(preferences.get("language"), navigator.languages));
  const [loaded, setLoaded] = useState<{ language: Language; messages: Messages }>();
  useEffect(() => {
    let current = true;
    void loadMessages(language).then((messages) => current && setLoaded({ language, messages }));
    document.documentElement.lang = language;
    return () => {
      current = false;
    };
  }, [language]);
  const value = useMemo(() => {
    const choose = (chosen: Language) => {
      preferences.set("language", chosen);
      setLanguage(chosen);
    };
    return loaded && i18n(loaded.language, loaded.messages, choose);
  }, [loaded]);
  return value ? <Context value={value}>{children}</Context> : null;
}

export function useI18n() {
  return useContext(Context);
}
