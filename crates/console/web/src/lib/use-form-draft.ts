// The fields of a form, kept while the user signs in again: an issuer's login leaves the page.

import { useCallback, useState } from "react";
import { useAccount } from "@/account";
import { drafts } from "./drafts";

/** The stored fields, or the initial ones if nothing readable is stored. */
export function parseDraft<T>(stored: string, initial: T): T {
  try {
    return stored === "" ? initial : (JSON.parse(stored) as T);
  } catch {
    return initial;
  }
}

/** What to store: nothing if the user changed nothing. */
export function formatDraft<T>(fields: T, initial: T): string {
  const [text, unchanged] = [JSON.stringify(fields), JSON.stringify(initial)];
  return text === unchanged ? "" : text;
}

export interface FormDraft<T> {
  fields: T;
  set: (fields: T) => void;
  /** Forgets what was typed: after it was sent, or when the user cancels. */
  discard: () => void;
}

/** Like `useState` for the fields of a form. `name` must be unique per form and edited object. */
export function useFormDraft<T>(name: string, initial: T): FormDraft<T> {
  const user = useAccount().id;
  const key = `form.${name}`;
  const [fields, setFields] = useState(() => parseDraft(drafts.get(user, key), initial));
  const set = (next: T) => {
    setFields(next);
    drafts.set(user, key, formatDraft(next, initial));
  };
  const discard = useCallback(() => drafts.set(user, key, ""), [user, key]);
  return { fields, set, discard };
}
