import { IntlMessageFormat } from "intl-messageformat";
import { describe, expect, it } from "vitest";
import { format, initialLanguage, loadMessages } from ".";
import { en } from "./en";

/** The names that a message needs values for. */
function placeholders(text: string) {
  return [...text.matchAll(/\{(\w+)/g)].map(([, name]) => name).filter((name) => name && /^[a-z]+$/.test(name));
}

describe("messages", () => {
  it.each(["en", "de"] as const)("of %s are valid and take the same values as the English ones", async (language) => {
    const messages = await loadMessages(language);
    for (const [key, text] of Object.entries(messages)) {
      expect(() => new IntlMessageFormat(text, language), key).not.toThrow();
      const english = new Set(placeholders(en[key as keyof typeof en]).slice(0, 1));
      for (const name of english) expect(text, key).toContain(`{${name}`);
    }
  });

  it("count in words of their language", async () => {
    const german = await loadMessages("de");
    expect(format(german, "de", "pageCount", { count: 1 })).toBe("eine Seite");
    expect(format(en, "en", "pageCount", { count: 25 })).toBe("25 pages");
  });
});

describe("initialLanguage", () => {
  it("is the chosen one, then the browser's, then English", () => {
    expect(initialLanguage("de", ["en"])).toBe("de");
    expect(initialLanguage(null, ["fr-FR", "de-AT"])).toBe("de");
    expect(initialLanguage(null, ["fr"])).toBe("en");
  });
});
