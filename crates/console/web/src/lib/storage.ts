// What the console keeps in the browser: preferences, drafts and which run to resume. Never tokens, and never anything
// of a document.

function read(storage: Storage, key: string): string | null {
  try {
    return storage.getItem(key);
  } catch {
    return null;
  }
}

function write(storage: Storage, key: string, value: string | null) {
  try {
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // A browser that keeps nothing is still of use.
  }
}

/** Preferences of this device; they outlast the browser. */
export const preferences = {
  get: (name: string) => read(localStorage, `console.${name}`),
  set: (name: string, value: string | null) => write(localStorage, `console.${name}`, value),
};

/** What belongs to this tab and its user; it is gone when the tab is closed. */
export const tabState = {
  get: (name: string) => read(sessionStorage, `console.${name}`),
  set: (name: string, value: string | null) => write(sessionStorage, `console.${name}`, value),
  /** Forgets all that `prefix` begins. */
  clear(prefix: string) {
    const keys = Object.keys(sessionStorage).filter((key) => key.startsWith(`console.${prefix}`));
    for (const key of keys) write(sessionStorage, key, null);
  },
};
