/** Characters that change the direction of text or are not seen; hostile text hides words with them. */
const INVISIBLE = /[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** The text without them. */
export function visibleText(text: string): string {
  return text.replace(INVISIBLE, "");
}

function escapeCharacter(character: string) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** A value as JSON, exactly as it is: what could not be seen is written as an escape sequence. */
export function exactJson(value: unknown): string {
  return (JSON.stringify(value, null, 2) ?? "null").replace(INVISIBLE, escapeCharacter);
}
