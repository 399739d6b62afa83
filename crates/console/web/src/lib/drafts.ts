import { tabState } from "./storage";

/** What a user typed and did not send, per conversation or form. It survives a reload and another sign-in, but not a sign-out. */
export const drafts = {
  get: (user: string, name: string) => tabState.get(`draft.${user}.${name}`) ?? "",
  set: (user: string, name: string, text: string) => tabState.set(`draft.${user}.${name}`, text === "" ? null : text),
  clearAll: () => tabState.clear("draft."),
};
