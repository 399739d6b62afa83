//! Commands: what a caller asks for, parsed and bounded, one type per operation.
//!
//! A command names its resource, operation and audit event as constants, so the gate decides and records it without
//! knowing the use case. A new operation is a new type here, a row in `policy::matrix`, a method on `policy::Gate`.

mod admin;
mod completion;
mod conversation;
mod document;
mod identity;
mod knowledge;
mod usage;

pub use admin::{
    CreateTenant, CreateUser, ExportAudit, GetUser, ListAudit, ListSettingsVersions, ListTenantSettingsVersions,
    ListTenants, ListUsers, ReadAccount, ReadDecision, ReadSettings, ReadTenantSettings, ReadUsage, SimulateDecision,
    UpdateSettings, UpdateTenant, UpdateTenantSettings, UpdateUser,
};
pub use completion::{AskAssistant, AskModel, CreateEmbeddings, EarlierMessage, GetModel, ListModels};
pub use conversation::{
    CancelRun, CreateConversation, DeleteConversation, GetConversation, ListConversations, ResumeRun, RetrievalMode,
    SendMessage, UpdateConversation,
};
pub use document::{
    DeleteDocument, DownloadDocument, GetDocument, ListDocuments, ReprocessDocument, UpdateDocument, UploadDocument,
    UploadForm,
};
pub use identity::{CreateMapping, DeleteMapping, IssueAccessToken, ListAccessTokens, ListMappings, RevokeAccessToken};
pub use knowledge::{CreateMemory, DeleteMemory, ListMemories, SearchDocuments};
pub use usage::ReadCalls;

use crate::audit::EventType;
use crate::ids::{AccessTokenId, AuditId, ConversationId, DocumentId, MemoryId, RunId, TenantId, UserId};
use crate::role::{Classification, Operation, Resource};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// The one thing that a command is about. The gate looks it up before it grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A conversation: must be the caller's own.
    Conversation(ConversationId),
    /// A run: must be the caller's own; runs live in the runtime, which answers not-found itself.
    Run(RunId),
    /// A document: must be within the caller's clearance; to delete it, the caller's own or an admin's.
    Document(DocumentId),
    /// A memory: must be the caller's own.
    Memory(MemoryId),
    /// A user of the tenant.
    User(UserId),
    /// A tenant.
    Tenant(TenantId),
    /// A refusal in the audit log, which answers not-found itself.
    Decision(AuditId),
    /// A personal access token: the caller's own, or an admin's tenant's.
    AccessToken(AccessTokenId),
}

impl Target {
    /// The bare id, for the audit row.
    #[must_use]
    pub fn id(self) -> Uuid {
        match self {
            Self::Conversation(id) => id.as_uuid(),
            Self::Run(id) => id.as_uuid(),
            Self::Document(id) => id.as_uuid(),
            Self::Memory(id) => id.as_uuid(),
            Self::User(id) => id.as_uuid(),
            Self::Tenant(id) => id.as_uuid(),
            Self::AccessToken(id) => id.as_uuid(),
            Self::Decision(id) => id.as_uuid(),
        }
    }

    /// The thing of this kind with this id; `None` for kinds whose things have no id.
    #[must_use]
    pub fn of(resource: Resource, id: Uuid) -> Option<Self> {
        match resource {
            Resource::Conversations => Some(Self::Conversation(id.into())),
            Resource::Documents => Some(Self::Document(id.into())),
            Resource::Memories => Some(Self::Memory(id.into())),
            Resource::Users => Some(Self::User(id.into())),
            Resource::Tenants => Some(Self::Tenant(id.into())),
            _ => None,
        }
    }
}

/// Something a caller asks for.
///
/// `Serialize` is for the keyed hash in the audit row only: the same request gives the same hash.
pub trait Command: Serialize + Send + Sync {
    /// What kind of thing it is about.
    const RESOURCE: Resource;
    /// What is done to it.
    const OPERATION: Operation;
    /// Under which event it is recorded.
    const EVENT: EventType;

    /// Which one it is about.
    fn target(&self) -> Option<Target> {
        None
    }

    /// The classification that it gives to the document that it is about.
    fn reclassifies(&self) -> Option<Classification> {
        None
    }

    /// What the audit row says of it beside resource and hash, never content: a JSON object.
    fn facts(&self) -> Option<Value> {
        None
    }

    /// Further documents that it names: each must exist and be within the caller's clearance.
    fn documents(&self) -> &[DocumentId] {
        &[]
    }
}

/// Writes out [`Command`] for a type: constants, and the target if there is one.
macro_rules! command {
    ($type:ty: $operation:ident $resource:ident as $event:ident $(, target $target:ident($field:ident))? $(, class $($class:ident).+)? $(, documents $($docs:ident).+)?) => {
        impl $crate::command::Command for $type {
            const RESOURCE: $crate::role::Resource = $crate::role::Resource::$resource;
            const OPERATION: $crate::role::Operation = $crate::role::Operation::$operation;
            const EVENT: $crate::audit::EventType = $crate::audit::EventType::$event;
            $(fn target(&self) -> Option<$crate::command::Target> {
                Some($crate::command::Target::$target(self.$field))
            })?
            $(fn reclassifies(&self) -> Option<$crate::role::Classification> {
                self.$($class).+
            })?
            $(fn documents(&self) -> &[$crate::ids::DocumentId] {
                &self.$($docs).+
            })?
        }
    };
}
pub(crate) use command;
