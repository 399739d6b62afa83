//! What the audit log holds. No event carries a prompt, a title or document text.

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
    /// What a row says of its operation.
    ResultStatus {
        /// An intent: the operation is about to start.
        Pending = "pending",
        /// It succeeded.
        Success = "success",
        /// It failed.
        Error = "error",
        /// It was refused.
        Denied = "denied",
        /// It was stopped.
        Cancelled = "cancelled",
        /// The process died before it could say.
        Unknown = "unknown",
    }
}

/// What an intent or a refusal is about.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditSubject {
    /// What happens.
    pub event: EventType,
    /// To what kind of thing.
    pub resource: Option<Resource>,
    /// To which one.
    pub resource_id: Option<Uuid>,
    /// Within which conversation.
    pub session: Option<ConversationId>,
    /// Keyed hash (HMAC-SHA-256, hex) of the request's content; the key is not in the database.
    pub request_hash: Option<String>,
    /// More facts, never content.
    pub metadata: Value,
}

/// What an administrator changed, for the audit row's `before` and `after`.
#[derive(Clone, PartialEq, Debug)]
pub struct Changed<T> {
    /// As it was.
    pub before: T,
    /// As it is now.
    pub after: T,
}

/// How an operation ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The subject of the intent that this closes.
    pub subject: AuditSubject,
    /// How it ended.
    pub status: ResultStatus,
    /// What served, for model calls.
    pub model: Option<String>,
    /// Tools that were used.
    pub tools_used: Vec<String>,
}

/// A row of the log as read back.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditRecord {
    /// Id.
    pub id: AuditId,
    /// Tenant.
    pub tenant_id: TenantId,
    /// The acting user; `None` for the worker, the system and refused tokens.
    pub user_id: Option<UserId>,
    /// The conversation.
    pub session_id: Option<ConversationId>,
    /// What happened.
    pub event_type: String,
    /// Kind of resource.
    pub resource_type: Option<String>,
    /// Which one.
    pub resource_id: Option<Uuid>,
    /// What served.
    pub model: Option<String>,
    /// Tools used.
    pub tools_used: Vec<String>,
    /// Keyed hash of the request's content.
    pub request_hash: Option<String>,
    /// `pending` for an intent, otherwise how it ended.
    pub result_status: Option<String>,
    /// Milliseconds from intent to outcome.
    pub latency_ms: Option<i32>,
    /// Ties intent and outcome together.
    pub correlation_id: Uuid,
    /// Ties everything of one request together.
    pub request_id: Option<RequestId>,
    /// More facts.
    pub metadata: Value,
    /// `intent`, `outcome`, or `event` where it is both.
    pub phase: String,
    /// When.
    pub created_at: Timestamp,
}

/// Which rows to read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct AuditFilter {
    /// Only this event.
    pub event_type: Option<String>,
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only about this resource.
    pub resource_id: Option<Uuid>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    /// Only rows of this state.
    pub result_status: Option<ResultStatus>,
    /// Only within this conversation.
    pub session_id: Option<ConversationId>,
    /// Only this operation: its intent and its outcome.
    pub correlation_id: Option<Uuid>,
    /// Only what this request caused.
    pub request_id: Option<String>,
}
