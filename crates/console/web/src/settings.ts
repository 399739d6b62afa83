/** The console as a client of an issuer. */
export interface ConsoleClient {
  issuer: string;
  client_id: string;
  scope: string;
}

/** What the server tells the page about signing in. */
export interface ConsoleSettings {
  sign_in: ConsoleClient | null;
  development: boolean;
  /** The API's resources, such as `admin/users`. */
  resources: string[];
}

function content(name: string): string {
  return document.querySelector(`meta[name="${name}"]`)?.getAttribute("content") ?? "";
}

function readSettings(): ConsoleSettings {
  try {
    return JSON.parse(content("console-settings")) as ConsoleSettings;
  } catch {
    // Vite's development server fills nothing in.
    return { sign_in: null, development: true, resources: ["admin/feedback"] };
  }
}

export const settings = readSettings();
/** Nonce for `<style>` elements that libraries add. */
export const nonce = content("csp-nonce");
