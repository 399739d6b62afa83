import type { Quality, TagValue } from "./plant";
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Account = Schemas["Account"];
export type Agent = Schemas["Agent"];
export type Approval = Schemas["Approval"];
export type ApprovalPolicy = Schemas["ApprovalPolicy"];
export type AuditEvent = Schemas["AuditEvent"];
export type Classification = Account["clearance"];
export type Conversation = Schemas["Conversation"];
export type Document = Schemas["Document"];
export type Invitation = Schemas["Invitation"];
export type ManagedAgent = Schemas["ManagedAgent"];
export type Memory = Schemas["Memory"];
export type PlannedStep = Schemas["PlannedStep"];
export type Role = Account["role"];
export type SearchAnswer = Schemas["SearchAnswer"];
export type SearchResult = Schemas["SearchResult"];
export type Team = Schemas["Team"];
export type TeamMember = Schemas["TeamMember"];
export type TeamRole = Team["team_role"];
export type User = Schemas["User"];
export type UsageReport = Schemas["UsageReport"];
export type WorkOrder = Schemas["WorkOrder"];

/** A passage of a document that an answer rests on. */
export interface DocumentCitation {
  /** The number in the text, from 1. */
  n: number;
  kind: "document";
  document_id: string;
  /** File name of the document. */
  doc: string;
  title: string;
  page?: number | null;
  section?: string | null;
  chunk_id: string;
  quote: string;
  score: number;
}

/** A value of a plant system that an answer rests on. */
export interface ReadingCitation {
  n: number;
  kind: "reading";
  tag: string;
  value: TagValue | null;
  unit?: string | null;
  quality: Quality;
  /** When the value was taken; null if the source does not say. */
  at: string | null;
  /** Whether it was too old to stand for the present when it was read. */
  stale?: boolean;
  /** Kind and name of the connector. */
  source: string;
}

export type Citation = DocumentCitation | ReadingCitation;

export type Message = Omit<Schemas["Message"], "citations"> & { citations: Citation[] };

/** A conversation with its messages, of which the generated type knows only citations of documents. */
export type Transcript = Omit<Schemas["ConversationWithMessages"], "messages"> & { messages: Message[] };

/** A part of an answer that no passage supports, in Unicode code points. */
export interface TextRange {
  start: number;
  end: number;
}

/** A step of a plan, of which the generated type knows only citations in general. */
export type Step = Omit<Schemas["Step"], "citations"> & { citations: Citation[] };
export type StepStatus = Step["status"];

/** A goal with its plan. */
export type Goal = Omit<Schemas["Goal"], "plan"> & {
  plan?: (Omit<Schemas["Plan"], "steps"> & { steps: Step[] }) | null;
};
export type GoalStatus = Goal["status"];
