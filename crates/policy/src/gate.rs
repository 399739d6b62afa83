//! The hard gate: decide, record, grant, call the runtime; nothing else.

use crate::caller::Caller;
use crate::error::GateError;
use async_trait::async_trait;
use domain::audit::AuditRecord;
use domain::command::{
    CancelRun, CreateConversation, CreateMemory, CreateTenant, CreateUser, DeleteConversation, DeleteDocument,
    DeleteMemory, DownloadDocument, GetConversation, GetDocument, ListAudit, ListConversations, ListDocuments,
    ListMemories, ListTenants, ListUsers, ResumeRun, SearchDocuments, SendMessage, UpdateConversation, UpdateTenant,
    UpdateUser, UploadDocument,
};
use domain::conversation::{Conversation, Message};
use domain::document::Document;
use domain::ids::RequestId;
use domain::memory::Memory;
use domain::page::Page;
use domain::ports::{ByteRange, ByteStream};
use domain::run::EventStream;
use domain::search::Retrieval;
use domain::tenant::Tenant;
use domain::upload::{Accepted, Upload};
use domain::user::User;

/// The only way from the gateway to the runtime.
///
/// Each method decides (user and tenant active, role, ownership, clearance), records the intent, runs the use case
/// and records the outcome. A refusal is recorded too. Where the intent cannot be recorded, nothing runs.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Gate: Send + Sync {
    /// Verifies a bearer token (RFC 6750) and finds, or at first login provisions, its user.
    async fn authenticate(&self, bearer: Option<String>, request: RequestId) -> Result<Caller, GateError>;
    /// The caller's own account.
    async fn account(&self, caller: &Caller) -> Result<Caller, GateError>;

    /// Starts a conversation.
    async fn create_conversation(&self, by: &Caller, command: CreateConversation) -> Result<Conversation, GateError>;
    /// Lists the caller's conversations.
    async fn list_conversations(
        &self,
        by: &Caller,
        command: ListConversations,
    ) -> Result<Page<Conversation>, GateError>;
    /// Reads a conversation with its messages.
    async fn get_conversation(
        &self,
        by: &Caller,
        command: GetConversation,
    ) -> Result<(Conversation, Vec<Message>), GateError>;
    /// Changes a conversation.
    async fn update_conversation(&self, by: &Caller, command: UpdateConversation) -> Result<Conversation, GateError>;
    /// Deletes a conversation.
    async fn delete_conversation(&self, by: &Caller, command: DeleteConversation) -> Result<(), GateError>;

    /// Says something and starts an answer.
    async fn send_message(&self, by: &Caller, command: SendMessage) -> Result<EventStream, GateError>;
    /// Reads a run's events again.
    async fn resume_run(&self, by: &Caller, command: ResumeRun) -> Result<EventStream, GateError>;
    /// Stops a run.
    async fn cancel_run(&self, by: &Caller, command: CancelRun) -> Result<(), GateError>;

    /// Takes a document in. The body is read only once this was granted.
    async fn upload_document(
        &self,
        by: &Caller,
        command: UploadDocument,
        upload: Upload,
    ) -> Result<Accepted, GateError>;
    /// Lists documents.
    async fn list_documents(&self, by: &Caller, command: ListDocuments) -> Result<Page<Document>, GateError>;
    /// Reads a document's metadata.
    async fn get_document(&self, by: &Caller, command: GetDocument) -> Result<Document, GateError>;
    /// Opens a document's bytes, or a part of them.
    async fn download_document(
        &self,
        by: &Caller,
        command: DownloadDocument,
        range: Option<ByteRange>,
    ) -> Result<(Document, ByteStream), GateError>;
    /// Deletes a document.
    async fn delete_document(&self, by: &Caller, command: DeleteDocument) -> Result<(), GateError>;

    /// Searches the documents.
    async fn search(&self, by: &Caller, command: SearchDocuments) -> Result<Retrieval, GateError>;

    /// Lists the caller's memories.
    async fn list_memories(&self, by: &Caller, command: ListMemories) -> Result<Page<Memory>, GateError>;
    /// Remembers something.
    async fn create_memory(&self, by: &Caller, command: CreateMemory) -> Result<Memory, GateError>;
    /// Forgets something.
    async fn delete_memory(&self, by: &Caller, command: DeleteMemory) -> Result<(), GateError>;

    /// Reads the audit log.
    async fn list_audit(&self, by: &Caller, command: ListAudit) -> Result<Page<AuditRecord>, GateError>;

    /// Lists the tenant's users.
    async fn list_users(&self, by: &Caller, command: ListUsers) -> Result<Page<User>, GateError>;
    /// Makes a user.
    async fn create_user(&self, by: &Caller, command: CreateUser) -> Result<User, GateError>;
    /// Changes a user.
    async fn update_user(&self, by: &Caller, command: UpdateUser) -> Result<User, GateError>;
    /// Lists tenants.
    async fn list_tenants(&self, by: &Caller, command: ListTenants) -> Result<Page<Tenant>, GateError>;
    /// Makes a tenant.
    async fn create_tenant(&self, by: &Caller, command: CreateTenant) -> Result<Tenant, GateError>;
    /// Changes a tenant.
    async fn update_tenant(&self, by: &Caller, command: UpdateTenant) -> Result<Tenant, GateError>;
}
