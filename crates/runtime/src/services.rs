//! The use cases, as the policy gate calls them. Every method takes an authorized command: there is no other way in.

use crate::error::RuntimeError;
use async_trait::async_trait;
use domain::access_token::AccessToken;
use domain::audit::sealed::SealedPages;
use domain::audit::{AuditRecord, Changed};
use domain::authorized::Authorized;
use domain::command::{
    AskAssistant, AskModel, CancelRun, CreateConversation, CreateEmbeddings, CreateMapping, CreateMemory, CreateTenant,
    CreateUser, DeleteConversation, DeleteDocument, DeleteMapping, DeleteMemory, DownloadDocument, ExportAudit,
    GetConversation, GetDocument, GetModel, GetUser, IssueAccessToken, ListAccessTokens, ListAudit, ListConversations,
    ListDocuments, ListMappings, ListMemories, ListModels, ListSettingsVersions, ListTenantSettingsVersions,
    ListTenants, ListUsers, ReadCalls, ReadDecision, ReadSettings, ReadTenantSettings, ReadUsage, ReprocessDocument,
    ResumeRun, RevokeAccessToken, SearchDocuments, SendMessage, UpdateConversation, UpdateDocument, UpdateSettings,
    UpdateTenant, UpdateTenantSettings, UpdateUser, UploadDocument,
};
use domain::conversation::{Conversation, Message};
use domain::document::Document;
use domain::ids::ConversationId;
use domain::ledger::UsageReport;
use domain::mapping::TenantMapping;
use domain::memory::Memory;
use domain::model::EmbedResponse;
use domain::model_id::ModelId;
use domain::page::Page;
use domain::ports::{ByteRange, ByteStream};
use domain::run::EventStream;
use domain::search::Retrieval;
use domain::tenant::{SettingsVersion, Tenant, TenantUsage};
use domain::upload::{Upload, UploadOutcome};
use domain::user::User;

/// Conversations and their messages.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Conversations: Send + Sync {
    /// Starts one.
    async fn create(&self, command: Authorized<CreateConversation>) -> Result<Conversation, RuntimeError>;
    /// Lists the caller's.
    async fn list(&self, command: Authorized<ListConversations>) -> Result<Page<Conversation>, RuntimeError>;
    /// Reads one with its messages in order; citations above the caller's clearance are left out.
    async fn get(&self, command: Authorized<GetConversation>) -> Result<(Conversation, Vec<Message>), RuntimeError>;
    /// Changes one.
    async fn update(&self, command: Authorized<UpdateConversation>) -> Result<Conversation, RuntimeError>;
    /// Deletes one.
    async fn delete(&self, command: Authorized<DeleteConversation>) -> Result<(), RuntimeError>;
}

/// Chat turns and their runs.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Chat: Send + Sync {
    /// Stores the message, starts the answer, and returns its events. Whatever becomes of the reader, the answer is
    /// stored with its citations and its audit outcome.
    async fn send(&self, command: Authorized<SendMessage>) -> Result<EventStream, RuntimeError>;
    /// The same with a history of the client's, in the conversation named or in a new one, whose id comes with the
    /// events.
    async fn ask(&self, command: Authorized<AskAssistant>) -> Result<(ConversationId, EventStream), RuntimeError>;
    /// The events of a run that the caller owns, after the given one.
    async fn resume(&self, command: Authorized<ResumeRun>) -> Result<EventStream, RuntimeError>;
    /// Stops a run that the caller owns; one that has ended already is no error.
    async fn cancel(&self, command: Authorized<CancelRun>) -> Result<(), RuntimeError>;
}

/// Models without the assistant around them: no documents, nothing stored but the audit rows and what it took.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Models: Send + Sync {
    /// Those that something serves.
    async fn list(&self, command: Authorized<ListModels>) -> Result<Vec<ModelId>, RuntimeError>;
    /// One of them.
    async fn get(&self, command: Authorized<GetModel>) -> Result<ModelId, RuntimeError>;
    /// Starts an answer of a language model and returns its events. It ends as soon as nobody reads.
    async fn ask(&self, command: Authorized<AskModel>) -> Result<EventStream, RuntimeError>;
    /// Texts as vectors of the embedding model in use.
    async fn embed(&self, command: Authorized<CreateEmbeddings>) -> Result<EmbedResponse, RuntimeError>;
}

/// Documents.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Documents: Send + Sync {
    /// Takes one in.
    async fn upload(&self, command: Authorized<UploadDocument>, upload: Upload) -> Result<UploadOutcome, RuntimeError>;
    /// Lists those within the caller's clearance.
    async fn list(&self, command: Authorized<ListDocuments>) -> Result<Page<Document>, RuntimeError>;
    /// Reads one's metadata.
    async fn get(&self, command: Authorized<GetDocument>) -> Result<Document, RuntimeError>;
    /// Changes what is said of one; its passages follow its classification at once.
    async fn update(&self, command: Authorized<UpdateDocument>) -> Result<Changed<Document>, RuntimeError>;
    /// Opens one's original bytes.
    async fn download(
        &self,
        command: Authorized<DownloadDocument>,
        range: Option<ByteRange>,
    ) -> Result<(Document, ByteStream), RuntimeError>;
    /// Queues one to be ingested again from its stored bytes; one that waits or is being processed stays as it is.
    async fn reprocess(&self, command: Authorized<ReprocessDocument>) -> Result<Document, RuntimeError>;
    /// Deletes one with its passages and its file.
    async fn delete(&self, command: Authorized<DeleteDocument>) -> Result<(), RuntimeError>;
}

/// Search without a model.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Search: Send + Sync {
    /// Finds passages, best first.
    async fn search(&self, command: Authorized<SearchDocuments>) -> Result<Retrieval, RuntimeError>;
}

/// What users asked to remember.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Memories: Send + Sync {
    /// Lists the caller's.
    async fn list(&self, command: Authorized<ListMemories>) -> Result<Page<Memory>, RuntimeError>;
    /// Remembers something.
    async fn create(&self, command: Authorized<CreateMemory>) -> Result<Memory, RuntimeError>;
    /// Forgets something.
    async fn delete(&self, command: Authorized<DeleteMemory>) -> Result<(), RuntimeError>;
}

/// The audit log, to read.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Rows of the tenant; for those who are neither admin nor auditor, their own.
    async fn list(&self, command: Authorized<ListAudit>) -> Result<Page<AuditRecord>, RuntimeError>;
    /// The tenant's sealed rows, page after page.
    async fn export(&self, command: Authorized<ExportAudit>) -> Result<SealedPages, RuntimeError>;
    /// The row of a refusal of the tenant.
    async fn decision(&self, command: Authorized<ReadDecision>) -> Result<AuditRecord, RuntimeError>;
}

/// A tenant's settings and what it uses.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Configuration: Send + Sync {
    /// The tenant with its settings.
    async fn settings(&self, command: Authorized<ReadSettings>) -> Result<Tenant, RuntimeError>;
    /// Changes the tenant's settings.
    async fn change_settings(&self, command: Authorized<UpdateSettings>) -> Result<Changed<Tenant>, RuntimeError>;
    /// The states that they had.
    async fn versions(&self, command: Authorized<ListSettingsVersions>) -> Result<Page<SettingsVersion>, RuntimeError>;
    /// Any tenant with its settings.
    async fn tenant_settings(&self, command: Authorized<ReadTenantSettings>) -> Result<Tenant, RuntimeError>;
    /// Changes any tenant's settings.
    async fn change_tenant_settings(
        &self,
        command: Authorized<UpdateTenantSettings>,
    ) -> Result<Changed<Tenant>, RuntimeError>;
    /// The states that any tenant's settings had.
    async fn tenant_versions(
        &self,
        command: Authorized<ListTenantSettingsVersions>,
    ) -> Result<Page<SettingsVersion>, RuntimeError>;
    /// What the tenant uses of what it may.
    async fn usage(&self, command: Authorized<ReadUsage>) -> Result<TenantUsage, RuntimeError>;
    /// What calls to models came to, and the budgets: the tenant's for admins and auditors, one's own for others.
    async fn calls(&self, command: Authorized<ReadCalls>) -> Result<UsageReport, RuntimeError>;
}

/// Users and tenants.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Administration: Send + Sync {
    /// Lists the tenant's users.
    async fn list_users(&self, command: Authorized<ListUsers>) -> Result<Page<User>, RuntimeError>;
    /// Makes a user.
    async fn create_user(&self, command: Authorized<CreateUser>) -> Result<User, RuntimeError>;
    /// Reads a user.
    async fn get_user(&self, command: Authorized<GetUser>) -> Result<User, RuntimeError>;
    /// Changes a user.
    async fn update_user(&self, command: Authorized<UpdateUser>) -> Result<Changed<User>, RuntimeError>;
    /// Lists tenants.
    async fn list_tenants(&self, command: Authorized<ListTenants>) -> Result<Page<Tenant>, RuntimeError>;
    /// Makes a tenant.
    async fn create_tenant(&self, command: Authorized<CreateTenant>) -> Result<Tenant, RuntimeError>;
    /// Changes a tenant.
    async fn update_tenant(&self, command: Authorized<UpdateTenant>) -> Result<Changed<Tenant>, RuntimeError>;
}

/// Personal access tokens.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// Stores a new one of the caller's, by the keyed hash of its secret.
    async fn issue(&self, command: Authorized<IssueAccessToken>, hash: String) -> Result<AccessToken, RuntimeError>;
    /// Lists the caller's; for admins, the tenant's.
    async fn list(&self, command: Authorized<ListAccessTokens>) -> Result<Page<AccessToken>, RuntimeError>;
    /// Revokes one; one that is revoked already is no error.
    async fn revoke(&self, command: Authorized<RevokeAccessToken>) -> Result<(), RuntimeError>;
}

/// Which claim of which issuer stands for which tenant.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait TenantMappings: Send + Sync {
    /// Lists those of a tenant.
    async fn list(&self, command: Authorized<ListMappings>) -> Result<Page<TenantMapping>, RuntimeError>;
    /// Makes one.
    async fn create(&self, command: Authorized<CreateMapping>) -> Result<TenantMapping, RuntimeError>;
    /// Deletes one.
    async fn delete(&self, command: Authorized<DeleteMapping>) -> Result<TenantMapping, RuntimeError>;
}
