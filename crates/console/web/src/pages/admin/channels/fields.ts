// The fields of a channel's form, and what is sent of them.

import type { Channel, ChannelConfig, ChannelKind, ChannelSecret, EmailEncryption } from "@/api/plant";

/** What is typed. Secrets are no part of it: they are never stored as a draft. */
export interface ChannelFields {
  name: string;
  kind: ChannelKind;
  url: string;
  host: string;
  port: string;
  from: string;
  /** Addresses, separated by commas or lines. */
  to: string;
  tls: EmailEncryption;
}

export const EMPTY: ChannelFields = { name: "", kind: "webhook", url: "", host: "", port: "", from: "", to: "", tls: "starttls" };

export function fieldsOf({ name, kind, config }: Channel): ChannelFields {
  const { url = "", host = "", port, from = "", to = [], tls = "starttls" } = config;
  return { name, kind, url, host, port: port ? String(port) : "", from, to: to.join("\n"), tls };
}

function addresses(text: string): string[] {
  return text.split(/[\s,;]+/).filter(Boolean);
}

/** The configuration of a kind. A port that is missing is the usual one of the encryption. */
export function configOf({ kind, url, host, port, from, to, tls }: ChannelFields): ChannelConfig {
  if (kind !== "email") return { url: url.trim() };
  return { host: host.trim(), ...(port && { port: Number(port) }), from: from.trim(), to: addresses(to), tls };
}

/** What changed in a configuration. The URL of a Teams flow is shown without its secret part, so that it must not go back. */
export function changedConfig(before: Channel, fields: ChannelFields): ChannelConfig | undefined {
  const after = configOf(fields);
  return JSON.stringify(configOf(fieldsOf(before))) === JSON.stringify(after) ? undefined : after;
}

/** The secret as the API takes it: a key, or a name and a password for a mail server. */
export function secretOf(username: string, secret: string): ChannelSecret | undefined {
  if (secret === "") return undefined;
  return username.trim() ? { username: username.trim(), password: secret } : secret;
}
