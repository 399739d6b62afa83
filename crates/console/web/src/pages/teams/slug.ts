export const MAX_SLUG = 64;

/** A short name that goes with a name: small letters, digits and hyphens. Empty if the name has none of them. */
export function suggestedSlug(name: string): string {
  const plain = name.replaceAll("ß", "ss").normalize("NFKD").toLowerCase();
  const words = plain.replace(/\p{Mark}/gu, "").replace(/[^a-z0-9]+/g, "-");
  return words.slice(0, MAX_SLUG).replace(/^-+|-+$/g, "");
}
