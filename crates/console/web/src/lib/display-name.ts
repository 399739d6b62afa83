/** What identifies a user to people. An issuer may send neither a name nor an e-mail address. */
export function displayName(user: { name?: string | null; email?: string | null; external_id?: string }): string {
  return user.name || user.email || user.external_id || "";
}
