//! The audit log: events, intents, outcomes and rows. No row carries a prompt, a title or document text.

mod canonical;
pub mod lines;
pub mod ocsf;
pub mod sealed;

use crate::ids::{AuditId, ConversationId, RequestId, TenantId, UserId};
use crate::role::{Resource, string_enum};
use crate::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// The name of an audited event, as it is stored: a resource and what happened to it, joined by a dot.
///
/// The events of commands stand beside them ([`crate::command`]); here are those that no command causes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct EventType(&'static str);

impl EventType {
    /// A new token was verified.
    pub const AUTH_LOGIN: Self = Self("auth.login");
    /// A token was refused.
    pub const AUTH_DENIED: Self = Self("auth.denied");
    /// The policy gate refused a command, or the tool gateway a tool call.
    pub const POLICY_DENIED: Self = Self("policy.denied");
    /// A chat turn or a direct completion ended: the outcome of `chat.request`.
    pub const CHAT_RESPONSE: Self = Self("chat.response");
    /// A tool was called.
    pub const TOOL_INVOCATION: Self = Self("tool.invocation");
    /// A document was ingested.
    pub const DOC_INGESTION: Self = Self("doc.ingestion");
    /// The operator removed old rows from the audit log.
    pub const AUDIT_RETIRED: Self = Self("audit.retired");
    /// A process of the platform started. Its facts hold a keyed hash of the configuration, so that a change shows.
    pub const PLATFORM_STARTED: Self = Self("platform.started");

    /// All events that no command causes.
    pub const WITHOUT_COMMAND: &'static [Self] = &[
        Self::AUTH_LOGIN,
        Self::AUTH_DENIED,
        Self::POLICY_DENIED,
        Self::TOOL_INVOCATION,
        Self::DOC_INGESTION,
        Self::AUDIT_RETIRED,
        Self::PLATFORM_STARTED,
    ];

    /// An event of a command. `name` is lower-case ASCII: words joined by `_`, parts joined by `.`.
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
    /// State of an operation, as a row records it.
    ResultStatus {
        /// Intent row: the operation is about to start.
        Pending = "pending",
        /// The operation succeeded.
        Success = "success",
        /// The operation failed.
        Error = "error",
        /// The operation was refused.
        Denied = "denied",
        /// The operation was cancelled by its user, or because nobody read its result.
        Cancelled = "cancelled",
        /// The process died before it recorded an outcome.
        Unknown = "unknown",
    }
}

/// What a row records of an operation, before or after it ran.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditSubject {
    /// Event of the intent, or of the outcome.
    pub event: EventType,
    /// Kind of resource that the operation is about.
    pub resource: Option<Resource>,
    /// Id of the resource; `None` for operations on several.
    pub resource_id: Option<Uuid>,
    /// Conversation that the operation belongs to.
    pub session: Option<ConversationId>,
    /// Keyed hash (HMAC-SHA-256, hex) of the request's content; the key is not in the database.
    pub request_hash: Option<String>,
    /// Facts about the operation: a JSON object, never content.
    pub metadata: Value,
}

/// A changed resource, for `before` and `after` in the audit row.
#[derive(Clone, PartialEq, Debug)]
pub struct Changed<T> {
    /// State before the change.
    pub before: T,
    /// State after the change.
    pub after: T,
}

/// How an operation ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// As in the intent row, with the event and facts of the outcome.
    pub subject: AuditSubject,
    /// State in which the operation ended.
    pub status: ResultStatus,
    /// Model that answered, if one was called.
    pub model: Option<String>,
    /// Names of the tools that were called, in order.
    pub tools_used: Vec<String>,
}

/// A row of the audit log as its readers get it.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditRecord {
    /// UUIDv7 of the row.
    pub id: AuditId,
    /// Tenant whose log it is in.
    pub tenant_id: TenantId,
    /// The acting user; `None` for the worker, the system and refused tokens.
    pub user_id: Option<UserId>,
    /// Conversation that the operation belongs to.
    pub session_id: Option<ConversationId>,
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
    /// `pending` for an intent, otherwise how it ended.
    pub result_status: Option<String>,
    /// Milliseconds from intent to outcome.
    pub latency_ms: Option<i32>,
    /// Id of the intent row, in intent and outcome alike.
    pub correlation_id: Uuid,
    /// Id of the HTTP request or job that caused it.
    pub request_id: Option<RequestId>,
    /// Facts about the operation: a JSON object, never content.
    pub metadata: Value,
    /// `intent`, `outcome`, or `event` for a row that is both.
    pub phase: String,
    /// Time of the insert.
    pub created_at: Timestamp,
}

/// Conditions on audit rows; all that are set must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct AuditFilter {
    /// Name of an event; a name that no event has matches nothing.
    pub event_type: Option<String>,
    /// User who acted in the row.
    pub user_id: Option<UserId>,
    /// Resource that the row is about.
    pub resource_id: Option<Uuid>,
    /// Earliest time, inclusive.
    pub from: Option<Timestamp>,
    /// Latest time, exclusive.
    pub to: Option<Timestamp>,
    /// State that the row records.
    pub result_status: Option<ResultStatus>,
    /// Conversation that the row belongs to.
    pub session_id: Option<ConversationId>,
    /// One operation: matches its intent and its outcome.
    pub correlation_id: Option<Uuid>,
    /// HTTP request that caused the rows.
    pub request_id: Option<String>,
}
