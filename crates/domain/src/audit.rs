//! The audit log: event types, intents, outcomes and rows. No row contains a prompt, a title or document text.

mod canonical;
pub mod chain;
pub mod export;
pub mod ocsf;

use crate::ids::{AuditId, ConversationId, RequestId, SessionId, TenantId, UserId};
use crate::role::{Resource, string_enum};
use crate::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// The stored name of an audited event: a resource and a verb, joined by a dot.
///
/// Events of commands are declared with the commands ([`crate::command`]); all other events are constants here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct EventType(&'static str);

impl EventType {
    /// A new token was verified.
    pub const AUTH_LOGIN: Self = Self("auth.login");
    /// A token was refused.
    pub const AUTH_DENIED: Self = Self("auth.denied");
    /// The policy gate refused a command, or the tool gateway a tool call.
    pub const POLICY_DENIED: Self = Self("policy.denied");
    /// A chat turn or a direct completion ended: the outcome event of `chat.request`.
    pub const CHAT_RESPONSE: Self = Self("chat.response");
    /// A tool was called.
    pub const TOOL_INVOCATION: Self = Self("tool.invocation");
    /// The platform suggested a memory that it inferred from what a user wrote.
    pub const MEMORY_SUGGESTED: Self = Self("memory.suggested");
    /// A document was ingested.
    pub const DOC_INGESTION: Self = Self("doc.ingestion");
    /// A write waits for approval.
    pub const APPROVAL_REQUESTED: Self = Self("approval.requested");
    /// An approver approved or rejected a write.
    pub const APPROVAL_DECIDED: Self = Self("approval.decided");
    /// Nobody decided in time, so others are asked as well.
    pub const APPROVAL_ESCALATED: Self = Self("approval.escalated");
    /// Nobody decided in time, or an approved write could not be executed in time.
    pub const APPROVAL_EXPIRED: Self = Self("approval.expired");
    /// The requester withdrew the request, or a change of the policy voided it.
    pub const APPROVAL_CANCELLED: Self = Self("approval.cancelled");
    /// The worker executed an approved write, or found that it may not be executed.
    pub const APPROVAL_EXECUTED: Self = Self("approval.executed");
    /// A user did something in a team of another tenant; recorded in the user's own.
    pub const TEAM_GUEST_ACCESS: Self = Self("team.guest_access");
    /// An invitation of another tenant's user was stored in that tenant.
    pub const TEAM_INVITATION_DELIVERED: Self = Self("team.invitation_delivered");
    /// A guest accepted or declined; recorded in the tenant that owns the team.
    pub const TEAM_INVITATION_ANSWERED: Self = Self("team.invitation_answered");
    /// A guest left a team or was removed; recorded in the guest's own tenant.
    pub const TEAM_MEMBERSHIP_ENDED: Self = Self("team.membership_ended");
    /// The content of a deleted team was deleted, with the numbers of documents and conversations.
    pub const TEAM_PURGED: Self = Self("team.content_deleted");
    /// A worker made a plan for a goal, or found that it cannot.
    pub const GOAL_PLANNED: Self = Self("goal.planned");
    /// A worker started a try of a goal's step.
    pub const STEP_STARTED: Self = Self("step.started");
    /// A try of a goal's step ended: the outcome event of `step.started`.
    pub const STEP_FINISHED: Self = Self("step.finished");
    /// The operator purged old rows from the audit log.
    pub const AUDIT_PURGED: Self = Self("audit.retired");
    /// A process of the platform started. The row's metadata contains a keyed hash of the configuration, so that
    /// configuration changes are visible.
    pub const PLATFORM_STARTED: Self = Self("platform.started");

    /// All events that are not caused by a command.
    pub const NON_COMMAND_EVENTS: &'static [Self] = &[
        Self::AUTH_LOGIN,
        Self::AUTH_DENIED,
        Self::POLICY_DENIED,
        Self::TOOL_INVOCATION,
        Self::MEMORY_SUGGESTED,
        Self::DOC_INGESTION,
        Self::APPROVAL_REQUESTED,
        Self::APPROVAL_DECIDED,
        Self::APPROVAL_ESCALATED,
        Self::APPROVAL_EXPIRED,
        Self::APPROVAL_CANCELLED,
        Self::APPROVAL_EXECUTED,
        Self::TEAM_GUEST_ACCESS,
        Self::TEAM_INVITATION_DELIVERED,
        Self::TEAM_INVITATION_ANSWERED,
        Self::TEAM_MEMBERSHIP_ENDED,
        Self::TEAM_PURGED,
        Self::GOAL_PLANNED,
        Self::STEP_STARTED,
        Self::STEP_FINISHED,
        Self::AUDIT_PURGED,
        Self::PLATFORM_STARTED,
    ];

    /// The event of a command. `name` is lower-case ASCII: words joined by `_`, parts joined by `.`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

string_enum! {
    /// State of an operation, as recorded in an audit row.
    ResultStatus {
        /// Intent row: the operation is about to start.
        Pending = "pending",
        /// The operation succeeded.
        Success = "success",
        /// The operation failed.
        Error = "error",
        /// The operation was refused.
        Denied = "denied",
        /// The operation was cancelled by its user, or because no client was reading the result.
        Cancelled = "cancelled",
        /// The process died before it recorded an outcome.
        Unknown = "unknown",
    }
}

/// The operation that a row is about; part of intent and outcome rows.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditedOperation {
    /// Event of the intent, or of the outcome.
    pub event: EventType,
    /// Kind of the resource that the operation acts on.
    pub resource: Option<Resource>,
    /// Id of the resource; `None` for operations on several resources.
    pub resource_id: Option<Uuid>,
    /// Conversation that the operation belongs to.
    pub conversation_id: Option<ConversationId>,
    /// Keyed hash (HMAC-SHA-256, hex) of the request's content; the key is not in the database.
    pub request_hash: Option<String>,
    /// Details of the operation: a JSON object, never content.
    pub metadata: Value,
}

/// A resource before and after a change; the audit row records both.
#[derive(Clone, PartialEq, Debug)]
pub struct Change<T> {
    /// State before the change.
    pub before: T,
    /// State after the change.
    pub after: T,
}

/// The result of an operation, for its outcome row.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The operation of the intent row, but with the event and metadata of the outcome.
    pub operation: AuditedOperation,
    /// State in which the operation ended.
    pub status: ResultStatus,
    /// Model that answered, if one was called.
    pub model: Option<String>,
    /// Names of the tools that were called, in order.
    pub tools_used: Vec<String>,
}

/// A row of the audit log, as returned to readers.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditRecord {
    /// UUIDv7 of the row.
    pub id: AuditId,
    /// Tenant whose log contains the row.
    pub tenant_id: TenantId,
    /// The acting user; `None` for the worker, the system and refused tokens.
    pub user_id: Option<UserId>,
    /// Session of the actor, or the id of the personal access token; also `None` if an earlier version wrote the row.
    pub session_id: Option<SessionId>,
    /// Conversation that the operation belongs to.
    pub conversation_id: Option<ConversationId>,
    /// Name of the event.
    pub event_type: String,
    /// Kind of resource that the operation is about.
    pub resource_type: Option<String>,
    /// Id of the resource.
    pub resource_id: Option<Uuid>,
    /// Model that answered, if one was called.
    pub model: Option<String>,
    /// Names of the tools that were called, in order.
    pub tools_used: Vec<String>,
    /// Keyed hash (HMAC-SHA-256, hex) of the request's content.
    pub request_hash: Option<String>,
    /// `pending` for an intent, otherwise the result of the operation.
    pub result_status: Option<String>,
    /// Milliseconds from intent to outcome.
    pub latency_ms: Option<i32>,
    /// Id of the intent row; the same in the intent and its outcome.
    pub correlation_id: Uuid,
    /// Id of the HTTP request or job that caused the row.
    pub request_id: Option<RequestId>,
    /// Details of the operation: a JSON object, never content.
    pub metadata: Value,
    /// `intent`, `outcome`, or `event` for a single row that is both.
    pub phase: String,
    /// Time of the insert.
    pub created_at: Timestamp,
}

/// Filter for audit rows; all conditions that are set must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct AuditFilter {
    /// Name of an event; an unknown name matches no rows.
    pub event_type: Option<String>,
    /// The acting user of the row.
    pub user_id: Option<UserId>,
    /// Resource that the row is about.
    pub resource_id: Option<Uuid>,
    /// Earliest time, inclusive.
    pub from: Option<Timestamp>,
    /// Latest time, exclusive.
    pub to: Option<Timestamp>,
    /// Recorded result of the operation.
    pub result_status: Option<ResultStatus>,
    /// Session that the row belongs to.
    pub session_id: Option<SessionId>,
    /// Conversation that the row belongs to.
    pub conversation_id: Option<ConversationId>,
    /// One operation: matches its intent and its outcome.
    pub correlation_id: Option<Uuid>,
    /// HTTP request that caused the rows.
    pub request_id: Option<String>,
}
