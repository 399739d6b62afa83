// Plant systems: what the tools that read them take and return, and the administration of connectors, channels and the
// maintenance system. Written by hand, in the shape of the API; a request goes through the client like every other.

import { send } from "./client";
import type { WorkOrder } from "./types";

export type Quality = "good" | "uncertain" | "bad";
export type TagValue = number | boolean | string;

/** A tag of the catalogue. */
export interface Tag {
  tag: string;
  unit?: string | null;
  description?: string | null;
  equipment?: string | null;
}

/** Limits of a tag, in its unit. */
export interface TagLimits {
  normal_low?: number | null;
  normal_high?: number | null;
  alarm_low?: number | null;
  alarm_high?: number | null;
}

/** The newest value of a tag. */
export interface Reading {
  tag: string;
  value: TagValue | null;
  unit?: string | null;
  quality: Quality;
  source_timestamp: string | null;
  age_s: number;
  stale: boolean;
  limits?: TagLimits;
  source: string;
  classification: string;
}

export interface HistoryPoint {
  /** Start of the interval. */
  at: string;
  value: TagValue | null;
  quality: Quality;
}

export interface History {
  points: HistoryPoint[];
  /** From 0 to 1. */
  good_share: number;
  unit?: string | null;
  limits?: TagLimits;
}

/** A request whose body and response are JSON, for parts of the API whose types are written by hand. */
export async function json<T>(path: string, method: string, body?: unknown): Promise<T> {
  const init = body === undefined ? { method } : { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await send(path, init);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function invoke<T>(tool: string, given: object): Promise<T> {
  const { result } = await json<{ result: T }>(`/v1/tools/${tool}/invoke`, "POST", { arguments: given });
  return result;
}

export const plant = {
  searchTags: (query: string, limit: number) => invoke<{ tags: Tag[] }>("plant_tag_search", { query, limit }),
  /** Reads at most 50 tags. */
  read: (tags: readonly string[]) => invoke<{ readings: Reading[] }>("plant_system_read", { tags }),
  history: (tag: string, from: Date, to: Date, interval_s: number) => {
    const period = { from: from.toISOString(), to: to.toISOString() };
    return invoke<History>("plant_history_read", { tag, ...period, aggregate: "avg", interval_s });
  },
};

export const CONNECTOR_KINDS = ["opcua", "mqtt", "sparkplug", "modbus", "pi_web_api", "simulator"] as const;
export type ConnectorKind = (typeof CONNECTOR_KINDS)[number];

export const DATA_TYPES = ["int16", "uint16", "int32", "uint32", "float32", "bool"] as const;
export type DataType = (typeof DATA_TYPES)[number];

export interface ConnectorTag {
  tag: string;
  address: string;
  unit?: string | null;
  description?: string | null;
  equipment?: string | null;
  data_type?: DataType | null;
  scale?: number | null;
  limits?: TagLimits;
}

/** How values are recorded. */
export interface Recording {
  interval_s: number;
  keep_days: number;
}

/** What an administrator sets of a connector. */
export interface ConnectorFields {
  name: string;
  kind: ConnectorKind;
  endpoint: string | null;
  config: object;
  classification: string;
  stale_after_s: number;
  tags: ConnectorTag[];
  record: Recording | null;
  enabled: boolean;
}

export interface Connector extends ConnectorFields {
  id: string;
  has_secret?: boolean;
}

/** Never returned by the API. */
export type ConnectorSecret = { username: string; password: string } | { token: string };

export interface ConnectorCheck {
  ok: boolean;
  detail: string;
  /** SHA-256 of the certificate that the server presents, if nobody has trusted it yet. */
  untrusted_thumbprint?: string | null;
}

/** A tag that a plant system offers. Names and descriptions are the plant system's. */
export type OfferedTag = Pick<ConnectorTag, "tag" | "address" | "unit" | "description" | "data_type">;

export interface OfferedTags {
  /** Whether the protocol can list tags at all. */
  supported: boolean;
  tags: OfferedTag[];
}

/** What an import did. */
export interface TagImport {
  /** Number of tags in the file. */
  imported: number;
  /** Number of tags that the connector has now. */
  tags: number;
}

export interface Listing<T> {
  data: T[];
  next_cursor?: string | null;
  has_more?: boolean;
}

/** The path of a page of a list. */
export function page(path: string, cursor: string | undefined) {
  const query = new URLSearchParams({ limit: "50", ...(cursor && { cursor }) });
  return `${path}?${query.toString()}`;
}

const CONNECTORS = "/v1/admin/connectors";

export const connectors = {
  list: (cursor?: string) => json<Listing<Connector>>(page(CONNECTORS, cursor), "GET"),
  create: (fields: ConnectorFields & { secret?: ConnectorSecret }) => json<Connector>(CONNECTORS, "POST", fields),
  change: (id: string, fields: Partial<ConnectorFields> & { secret?: ConnectorSecret }) =>
    json<Connector>(`${CONNECTORS}/${id}`, "PATCH", fields),
  remove: (id: string) => json<undefined>(`${CONNECTORS}/${id}`, "DELETE"),
  check: (id: string) => json<ConnectorCheck>(`${CONNECTORS}/${id}/check`, "POST"),
  trust: (id: string, thumbprint: string) => json<unknown>(`${CONNECTORS}/${id}/trust`, "POST", { thumbprint }),
  browse: (id: string, limit: number) => json<OfferedTags>(`${CONNECTORS}/${id}/browse?limit=${limit}`, "GET"),
  /** Adds the tags of a CSV file, and changes those of the same name. */
  importTags: async (id: string, csv: Blob | string) => {
    const init = { method: "POST", headers: { "content-type": "text/csv" }, body: csv };
    return (await (await send(`${CONNECTORS}/${id}/tags/import`, init)).json()) as TagImport;
  },
};

export const CHANNEL_KINDS = ["email", "teams", "webhook"] as const;
export type ChannelKind = (typeof CHANNEL_KINDS)[number];

export const EMAIL_ENCRYPTIONS = ["starttls", "tls", "none"] as const;
export type EmailEncryption = (typeof EMAIL_ENCRYPTIONS)[number];

/** Settings of a channel: `url` of a webhook or of Teams, the others of e-mail. */
export interface ChannelConfig {
  url?: string;
  host?: string;
  port?: number;
  from?: string;
  to?: string[];
  tls?: EmailEncryption;
}

/** A key or a password; never returned by the API. */
export type ChannelSecret = string | { username: string; password: string };

export interface Channel {
  id: string;
  name: string;
  kind: ChannelKind;
  config: ChannelConfig;
  has_secret?: boolean;
}

/** What an administrator sets of a channel. */
export type ChannelFields = Pick<Channel, "name" | "kind" | "config">;

interface DeliveryError {
  code: string;
  detail: string;
}

/** One message of a channel, and how often it was tried. */
export interface Delivery {
  id: string;
  /** Such as `approval.requested`. */
  event: string;
  status: "pending" | "delivered" | "failed";
  /** The approver whom it is mailed to alone. */
  recipient_id?: string | null;
  attempts: number;
  /** Why the last attempt failed. */
  last_error?: DeliveryError | null;
  created_at: string;
}

/** What came of a test message. */
export interface ChannelTest {
  ok: boolean;
  detail: string;
}

const CHANNELS = "/v1/admin/channels";

export const channels = {
  list: (cursor?: string) => json<Listing<Channel>>(page(CHANNELS, cursor), "GET"),
  create: (fields: ChannelFields & { secret?: ChannelSecret }) => json<Channel>(CHANNELS, "POST", fields),
  change: (id: string, fields: Partial<Omit<ChannelFields, "kind">> & { secret?: ChannelSecret }) =>
    json<Channel>(`${CHANNELS}/${id}`, "PATCH", fields),
  remove: (id: string) => json<undefined>(`${CHANNELS}/${id}`, "DELETE"),
  test: (id: string) => json<ChannelTest>(`${CHANNELS}/${id}/test`, "POST"),
  deliveries: (id: string, cursor?: string) => json<Listing<Delivery>>(page(`${CHANNELS}/${id}/deliveries`, cursor), "GET"),
};

export const MAINTENANCE_KINDS = ["builtin", "rest", "maximo", "sap_pm"] as const;
export type MaintenanceKind = (typeof MAINTENANCE_KINDS)[number];

/** How the system is reached and how orders are written in it; each kind uses some of it. */
export interface MaintenanceConfig {
  base_url?: string;
  auth?: "bearer" | "basic";
  site?: string;
  object_structure?: string;
  reference_field?: string;
  notification_type?: string;
}

export interface MaintenanceSystem {
  kind: MaintenanceKind;
  config: MaintenanceConfig;
  has_secret?: boolean;
}

const MAINTENANCE = "/v1/admin/maintenance-system";

export const maintenanceSystem = {
  get: () => json<MaintenanceSystem>(MAINTENANCE, "GET"),
  put: (system: Pick<MaintenanceSystem, "kind" | "config"> & { secret?: string }) => json<MaintenanceSystem>(MAINTENANCE, "PUT", system),
};

const WORK_ORDERS = "/v1/work-orders";

function withStatus(path: string, status: WorkOrder["status"] | "", more: Record<string, string> = {}) {
  return `${path}?${new URLSearchParams({ ...more, ...(status && { status }) }).toString()}`;
}

export const workOrders = {
  list: (status: WorkOrder["status"] | "", limit: number, cursor?: string) => {
    const page = { limit: String(limit), ...(cursor && { cursor }) };
    return json<Listing<WorkOrder>>(withStatus(WORK_ORDERS, status, page), "GET");
  },
  close: (id: string) => json<unknown>(`${WORK_ORDERS}/${id}/close`, "POST"),
  /** Comma-separated values. */
  export: async (status: WorkOrder["status"] | "") => (await send(withStatus(`${WORK_ORDERS}/export`, status))).blob(),
};
