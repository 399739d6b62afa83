// Sign-in as a user of the demo tenant, which a server in development mode offers.

import { type Credential } from "./session";

export interface DevelopmentUser {
  id: string;
  name: string;
  role: "admin" | "user" | "viewer";
}

export async function developmentUsers(): Promise<DevelopmentUser[]> {
  const response = await fetch("/v1/development/users");
  if (!response.ok) throw new Error(`the users cannot be listed (${response.status})`);
  const { data } = (await response.json()) as { data: DevelopmentUser[] };
  return data;
}

export async function developmentCredential(user: string): Promise<Credential> {
  const response = await fetch(`/v1/development/users/${encodeURIComponent(user)}/token`, { method: "POST" });
  if (!response.ok) throw new Error(`no token for this user (${response.status})`);
  const token = (await response.json()) as { access_token: string; expires_in: number };
  return {
    token: token.access_token,
    expiresAt: Date.now() + token.expires_in * 1_000,
    renew: () => developmentCredential(user),
  };
}
