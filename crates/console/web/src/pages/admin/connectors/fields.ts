// The fields of a connector's form, and what is sent of them.

import type { Connector, ConnectorFields, ConnectorKind, ConnectorSecret } from "@/api/plant";
import { formatTags, parseTags } from "./tags";

/** What is typed. Secrets are no part of it: they are never stored as a draft. */
export interface FormFields {
  name: string;
  kind: ConnectorKind;
  endpoint: string;
  /** JSON. */
  config: string;
  classification: string;
  staleAfter: string;
  tags: string;
  isRecorded: boolean;
  interval: string;
  keepDays: string;
  enabled: boolean;
}

export const EMPTY: FormFields = {
  name: "",
  kind: "opcua",
  endpoint: "",
  config: "{}",
  classification: "internal",
  staleAfter: "60",
  tags: "",
  isRecorded: false,
  interval: "60",
  keepDays: "90",
  enabled: true,
};

export function fieldsOf(connector: Connector): FormFields {
  const { name, kind, endpoint, config, classification, stale_after_s, tags, record, enabled } = connector;
  return {
    name,
    kind,
    endpoint: endpoint ?? "",
    config: JSON.stringify(config ?? {}, null, 2),
    classification,
    staleAfter: String(stale_after_s),
    tags: formatTags(tags),
    isRecorded: record !== null && record !== undefined,
    interval: String(record?.interval_s ?? EMPTY.interval),
    keepDays: String(record?.keep_days ?? EMPTY.keepDays),
    enabled,
  };
}

/** The settings of the kind; `undefined` if the text is no JSON object. */
export function parseConfig(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text.trim() === "" ? "{}" : text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** All that the form says; its config and tags must have been found to be readable. */
export function connectorOf(fields: FormFields, before?: Connector): ConnectorFields {
  return {
    name: fields.name.trim(),
    kind: fields.kind,
    endpoint: fields.kind === "simulator" ? "" : fields.endpoint.trim(),
    config: parseConfig(fields.config) ?? {},
    classification: fields.classification,
    stale_after_s: Number(fields.staleAfter),
    tags: parseTags(fields.tags, before?.tags).tags,
    record: fields.isRecorded ? { interval_s: Number(fields.interval), keep_days: Number(fields.keepDays) } : null,
    enabled: fields.enabled,
  };
}

/** What changes; a connector never changes its kind, and a new endpoint drops the secret even if it is the same again. */
export function changesOf(before: Connector, fields: FormFields): Partial<ConnectorFields> {
  const [old, next] = [connectorOf(fieldsOf(before), before), connectorOf(fields, before)];
  const names = Object.keys(next).filter((name) => name !== "kind") as (keyof ConnectorFields)[];
  const changed = names.filter((name) => JSON.stringify(old[name]) !== JSON.stringify(next[name]));
  return Object.fromEntries(changed.map((name) => [name, next[name]]));
}

/** A name with a password, or a token by itself. */
export function secretOf(username: string, secret: string): ConnectorSecret | undefined {
  if (secret === "") return undefined;
  return username.trim() ? { username: username.trim(), password: secret } : { token: secret };
}
