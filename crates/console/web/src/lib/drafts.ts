import { tabState } from "./storage";

/** What a user typed and did not send, per conversation. It survives a reload and another sign-in, but not a sign-out. */
export const drafts = {
  get: (user: string, conversation: string) => tabState.get(`draft.${user}.${conversation}`) ?? "",
  set: (user: string, conversation: string, text: string) =>
    tabState.set(`draft.${user}.${conversation}`, text === "" ? null : text),
  clearAll: () => tabState.clear("draft."),
};
