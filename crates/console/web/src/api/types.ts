import type { components } from "./schema";

type Schemas = components["schemas"];

export type Account = Schemas["Account"];
export type AuditEvent = Schemas["AuditEvent"];
export type Citation = Schemas["Citation"];
export type Classification = Account["clearance"];
export type Conversation = Schemas["Conversation"];
export type Document = Schemas["Document"];
export type Memory = Schemas["Memory"];
export type Message = Schemas["Message"];
export type Role = Account["role"];
export type SearchAnswer = Schemas["SearchAnswer"];
export type SearchResult = Schemas["SearchResult"];
export type User = Schemas["User"];
export type UsageReport = Schemas["UsageReport"];

/** A part of an answer that no passage supports, in Unicode code points. */
export interface TextRange {
  start: number;
  end: number;
}
