//! Commands: validated requests of callers, one type per operation.
//!
//! Each operation is declared once, next to the type of its command: resource, operation, audit event, output, and the
//! metadata of the audit rows. The policy gate decides and records according to that declaration and passes the command
//! to its use case. A new operation needs a type here, an entry in `policy::operations`, a use case in `runtime` and a
//! route in `gateway` (`docs/adding-an-endpoint.md`).

mod admin;
mod approval;
mod channel;
mod completion;
mod connector;
mod conversation;
mod document;
mod feedback;
mod glossary;
mod goal;
mod identity;
mod knowledge;
mod mcp;
mod team;
mod usage;

pub use admin::*;
pub use approval::*;
pub use channel::*;
pub use completion::*;
pub use connector::*;
pub use conversation::*;
pub use document::*;
pub use feedback::*;
pub use glossary::*;
pub use goal::*;
pub use identity::*;
pub use knowledge::*;
pub use mcp::*;
pub use team::*;
pub use usage::*;

use crate::audit::EventType;
use crate::ids::{
    AccessTokenId, ApprovalId, AuditId, ChannelId, ConnectorId, ConversationId, DocumentId, GoalId, InvitationId,
    McpServerId, MemoryId, MessageId, RunId, SessionId, TeamId, TenantId, UserId, WorkOrderId,
};
use crate::role::{Classification, Operation, Resource};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// The resource that a command refers to. The policy gate looks it up before it decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A conversation: must be the caller's own, or of one of the caller's teams.
    Conversation(ConversationId),
    /// A message: must be in one of the caller's own conversations.
    Message(MessageId),
    /// A run: must be the caller's own. The gate does not look it up; the runtime reports a missing run.
    Run(RunId),
    /// A document: must be within the caller's clearance; to delete it, the caller's own or an admin's.
    Document(DocumentId),
    /// A memory: must be the caller's own.
    Memory(MemoryId),
    /// A user of the caller's tenant.
    User(UserId),
    /// A tenant. The gate does not look it up; the tenant directory reports a missing one.
    Tenant(TenantId),
    /// A refusal in the audit log. The gate does not look it up; the audit reader reports a missing one.
    Decision(AuditId),
    /// A personal access token: the caller's own or, for an admin, any of the tenant.
    AccessToken(AccessTokenId),
    /// A session that has neither ended nor been revoked: must be the caller's own.
    Session(SessionId),
    /// An approval. The gate does not look it up, since who may know of it depends on its policy; the use case reports
    /// a missing one.
    Approval(ApprovalId),
    /// A work order of the tenant. The gate does not look it up; the use case reports a missing one.
    WorkOrder(WorkOrderId),
    /// A channel of the tenant.
    Channel(ChannelId),
    /// An MCP server of the tenant. The gate does not look it up; the use case reports a missing one.
    McpServer(McpServerId),
    /// A connector of the tenant. The gate does not look it up; the use case reports a missing one.
    Connector(ConnectorId),
    /// A team. The gate enters its space, or the use case reports a missing one.
    Team(TeamId),
    /// An invitation to the caller. The gate does not look it up; the use case reports a missing one.
    Invitation(InvitationId),
    /// A goal: must be the caller's own.
    Goal(GoalId),
}

impl Target {
    /// The id without its kind, for the audit row.
    #[must_use]
    pub fn id(self) -> Uuid {
        match self {
            Self::Conversation(id) => id.as_uuid(),
            Self::Message(id) => id.as_uuid(),
            Self::Run(id) => id.as_uuid(),
            Self::Document(id) => id.as_uuid(),
            Self::Memory(id) => id.as_uuid(),
            Self::User(id) => id.as_uuid(),
            Self::Tenant(id) => id.as_uuid(),
            Self::AccessToken(id) => id.as_uuid(),
            Self::Session(id) => id.as_uuid(),
            Self::Decision(id) => id.as_uuid(),
            Self::Approval(id) => id.as_uuid(),
            Self::WorkOrder(id) => id.as_uuid(),
            Self::Channel(id) => id.as_uuid(),
            Self::McpServer(id) => id.as_uuid(),
            Self::Connector(id) => id.as_uuid(),
            Self::Team(id) => id.as_uuid(),
            Self::Invitation(id) => id.as_uuid(),
            Self::Goal(id) => id.as_uuid(),
        }
    }

    /// Whether the target may be in a team's space: the gate looks for it there, too.
    #[must_use]
    pub fn may_be_in_team(self) -> bool {
        matches!(self, Self::Conversation(_) | Self::Message(_) | Self::Run(_) | Self::Document(_))
    }

    /// The target of a simulated decision: the resource of this kind with this id. `None` for kinds that cannot be
    /// simulated with an id.
    #[must_use]
    pub fn from_resource(resource: Resource, id: Uuid) -> Option<Self> {
        match resource {
            Resource::Conversations => Some(Self::Conversation(id.into())),
            Resource::Documents => Some(Self::Document(id.into())),
            Resource::Memories => Some(Self::Memory(id.into())),
            Resource::Feedback => Some(Self::Message(id.into())),
            Resource::Users => Some(Self::User(id.into())),
            Resource::Tenants => Some(Self::Tenant(id.into())),
            _ => None,
        }
    }
}

/// A request for one operation.
///
/// `Serialize` is used only for the keyed hash in the audit row: equal requests have equal hashes.
pub trait Command: Serialize + Send + 'static {
    /// Kind of resource that the command acts on.
    const RESOURCE: Resource;
    /// Operation that the command performs on the resource.
    const OPERATION: Operation;
    /// Event under which the intent is recorded.
    const EVENT: EventType;
    /// Event under which the outcome is recorded.
    const OUTCOME_EVENT: EventType = Self::EVENT;
    /// Which transaction the use case works in.
    const TRANSACTION: TransactionUse = TransactionUse::Own;
    /// Who records success. Failures before the use case returns are always recorded by the gate.
    const SUCCESS_RECORDED_BY: Recorder = Recorder::Gate;

    /// What the use case returns.
    type Output: Send + 'static;

    /// The resource that the command refers to, if any.
    fn target(&self) -> Option<Target> {
        None
    }

    /// The team in whose space the command works. Without one, it works where its target is: in the home space, or in
    /// one of the caller's teams.
    fn team(&self) -> Option<TeamId> {
        None
    }

    /// The classification that the command assigns to its target document, if any.
    fn new_classification(&self) -> Option<Classification> {
        None
    }

    /// Other documents that the command refers to; each must exist and be within the caller's clearance.
    fn referenced_documents(&self) -> &[DocumentId] {
        &[]
    }

    /// Teams whose documents the command searches beside its own space; the caller must be a member of each.
    fn searched_teams(&self) -> &[TeamId] {
        &[]
    }

    /// Metadata of the intent row: a JSON object without content.
    fn intent_metadata(&self) -> Option<Value> {
        None
    }

    /// Id of the created or found resource, for the outcome row of a command without a target.
    fn resource_id(_output: &Self::Output) -> Option<Uuid> {
        None
    }

    /// Metadata of the outcome row: a JSON object without content. Administrative changes include `before` and `after`.
    fn outcome_metadata(_output: &Self::Output) -> Option<Value> {
        None
    }
}

/// Which transaction a use case works in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionUse {
    /// The use case begins new transactions. The gate commits the intent before the use case starts.
    Own,
    /// The use case continues in the gate's transaction, which contains the intent. Until it commits, the use case may
    /// only execute database statements in this transaction; see [`crate::transaction`].
    Shared,
}

/// Who records the success of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recorder {
    /// The gate, as soon as the use case returns.
    Gate,
    /// The use case, once the work that it started (such as a run) has ended.
    UseCase,
}

/// Implements [`Command`] for a type:
/// `command!(Type: Operation Resource as "audit.event" -> Output, clause, …)`. The clauses, in this order:
/// `target Kind(field)`, `space field`, `classification field`, `documents field`, `teams field`, `transaction Shared`,
/// `outcome_recorded_by_use_case "outcome.event"`, `metadata(command => …)`, `id(output => …)`, `outcome(output => …)`.
macro_rules! command {
    (
        $type:ty: $operation:ident $resource:ident as $event:literal -> $output:ty
        $(, target $target:ident($field:ident))?
        $(, space $team:ident)?
        $(, classification $($classification:ident).+)?
        $(, documents $($docs:ident).+)?
        $(, teams $teams:ident)?
        $(, transaction $transaction:ident)?
        $(, outcome_recorded_by_use_case $outcome_event:literal)?
        $(, metadata($command:ident => $metadata:expr))?
        $(, id($created:ident => $id:expr))?
        $(, outcome($result:ident => $outcome_metadata:expr))?
    ) => {
        impl $crate::command::Command for $type {
            const RESOURCE: $crate::role::Resource = $crate::role::Resource::$resource;
            const OPERATION: $crate::role::Operation = $crate::role::Operation::$operation;
            const EVENT: $crate::audit::EventType = $crate::audit::EventType::new($event);
            $(const TRANSACTION: $crate::command::TransactionUse = $crate::command::TransactionUse::$transaction;)?
            $(
                const OUTCOME_EVENT: $crate::audit::EventType = $crate::audit::EventType::new($outcome_event);
                const SUCCESS_RECORDED_BY: $crate::command::Recorder = $crate::command::Recorder::UseCase;
            )?

            type Output = $output;

            $(fn target(&self) -> Option<$crate::command::Target> {
                Some($crate::command::Target::$target(self.$field))
            })?
            $(fn team(&self) -> Option<$crate::ids::TeamId> {
                self.$team.into()
            })?
            $(fn new_classification(&self) -> Option<$crate::role::Classification> {
                self.$($classification).+
            })?
            $(fn referenced_documents(&self) -> &[$crate::ids::DocumentId] {
                &self.$($docs).+
            })?
            $(fn searched_teams(&self) -> &[$crate::ids::TeamId] {
                &self.$teams
            })?
            $(fn intent_metadata(&self) -> Option<serde_json::Value> {
                let $command = self;
                Some($metadata)
            })?
            $(fn resource_id($created: &Self::Output) -> Option<uuid::Uuid> {
                Some($id.as_uuid())
            })?
            $(fn outcome_metadata($result: &Self::Output) -> Option<serde_json::Value> {
                Some($outcome_metadata)
            })?
        }
    };
}
pub(crate) use command;
