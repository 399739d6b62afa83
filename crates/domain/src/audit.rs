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

string_enum! {
    /// What happened.
    EventType {
        /// A new token was verified.
        AuthLogin = "auth.login",
        /// A token was refused.
        AuthDenied = "auth.denied",
        /// The gate said no.
        PolicyDenied = "policy.denied",
        /// A chat turn was asked for.
        ChatRequest = "chat.request",
        /// A chat turn ended: the outcome of `chat.request`.
        ChatResponse = "chat.response",
        /// A run's events were read again.
        ChatResume = "chat.resume",
        /// A run was cancelled by its owner.
        ChatCancel = "chat.cancel",
        /// A tool was called.
        ToolInvocation = "tool.invocation",
        /// A conversation was made.
        ConversationCreate = "conversation.create",
        /// Conversations were listed.
        ConversationList = "conversation.list",
        /// A conversation was read.
        ConversationRead = "conversation.read",
        /// A conversation was changed.
        ConversationUpdate = "conversation.update",
        /// A conversation was deleted.
        ConversationDelete = "conversation.delete",
        /// A document was uploaded.
        DocUpload = "doc.upload",
        /// A document was ingested.
        DocIngestion = "doc.ingestion",
        /// A document is to be ingested again.
        DocReprocess = "doc.reprocess",
        /// A document's content was read.
        DocAccess = "doc.access",
        /// Documents were listed.
        DocList = "doc.list",
        /// A document's metadata was read.
        DocRead = "doc.read",
        /// A document's metadata was changed, its classification among them.
        DocUpdate = "doc.update",
        /// A document was deleted.
        DocDelete = "doc.delete",
        /// A search was made.
        SearchQuery = "search.query",
        /// The models that can be asked were listed.
        ModelList = "model.list",
        /// It was asked whether there is a model.
        ModelRead = "model.read",
        /// Texts were turned into vectors for a client.
        ModelEmbed = "model.embed",
        /// Memories were listed.
        MemoryList = "memory.list",
        /// Something is to be remembered.
        MemoryCreate = "memory.create",
        /// A memory was deleted.
        MemoryDelete = "memory.delete",
        /// The audit log was read.
        AuditRead = "audit.read",
        /// The audit log was taken out as a whole or in part.
        AuditExport = "audit.export",
        /// A personal access token was made.
        TokenIssued = "token.issued",
        /// A personal access token was revoked.
        TokenRevoked = "token.revoked",
        /// Old rows were taken out of the audit log by the operator.
        AuditRetired = "audit.retired",
        /// Personal access tokens were listed.
        TokenList = "token.listed",
        /// A user read their own account.
        AccountRead = "account.read",
        /// Users were listed.
        AdminUserList = "admin.user_listed",
        /// A user was read.
        AdminUserRead = "admin.user_read",
        /// A user was made.
        AdminUserCreated = "admin.user_created",
        /// A user's role or state was changed.
        AdminRoleChanged = "admin.role_changed",
        /// Tenants were listed.
        AdminTenantList = "admin.tenant_listed",
        /// A tenant was made.
        AdminTenantCreated = "admin.tenant_created",
        /// A tenant was changed.
        AdminTenantChanged = "admin.tenant_changed",
        /// A tenant's settings were read.
        AdminSettingsRead = "admin.settings_read",
        /// It was read what a tenant uses.
        AdminUsageRead = "admin.usage_read",
        /// It was read what calls to models came to.
        UsageRead = "usage.read",
        /// A tenant's settings were changed.
        AdminSettingsChanged = "admin.settings_changed",
        /// The mappings of claims to tenants were listed.
        AdminMappingList = "admin.mapping_listed",
        /// A claim was mapped to a tenant.
        AdminMappingCreated = "admin.mapping_created",
        /// A mapping of a claim to a tenant was deleted.
        AdminMappingDeleted = "admin.mapping_deleted",
        /// The reasons of a decision were read.
        AdminDecisionRead = "admin.decision_read",
        /// It was asked what would be decided.
        AdminDecisionSimulated = "admin.decision_simulated",
        /// A write to a plant system was asked for. No tool of this version asks.
        ApprovalRequested = "approval.requested",
        /// An approver said yes or no.
        ApprovalDecided = "approval.decided",
        /// Nobody decided in time.
        ApprovalExpired = "approval.expired",
        /// What was approved was carried out.
        ApprovalExecuted = "approval.executed",
        /// A process of the platform started; with a keyed hash of its configuration, so that a change shows.
        PlatformStarted = "platform.started",
    }
}

impl EventType {
    /// The event under which the outcome of this intent is recorded.
    #[must_use]
    pub const fn outcome(self) -> Self {
        match self {
            Self::ChatRequest => Self::ChatResponse,
            other => other,
        }
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
