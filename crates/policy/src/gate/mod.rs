//! The hard gate: decide, record, grant, call the runtime; nothing else.

mod admin;
mod decide;
mod export;
mod idempotency;
mod models;
mod pass;
mod simulate;
mod traced;

pub use admin::AdminGate;
#[cfg(feature = "mocks")]
pub use admin::MockAdminGate;
#[cfg(feature = "mocks")]
pub use idempotency::MockIdempotency;
pub use idempotency::{Claim, Idempotency, KeyedRequest};
#[cfg(feature = "mocks")]
pub use models::MockModelGate;
pub use models::ModelGate;

use crate::authn::Authenticator;
use crate::caller::{Caller, Origin};
use crate::error::GateError;
use crate::keyed_hash::HashKey;
use async_trait::async_trait;
use domain::command::{
    CancelRun, CreateConversation, CreateMemory, DeleteConversation, DeleteDocument, DeleteMemory, DownloadDocument,
    GetConversation, GetDocument, ListConversations, ListDocuments, ListMemories, ReadAccount, ReprocessDocument,
    ResumeRun, SearchDocuments, SendMessage, UpdateConversation, UpdateDocument, UploadDocument,
};
use domain::conversation::{Conversation, Message};
use domain::document::Document;
use domain::memory::Memory;
use domain::page::Page;
use domain::ports::{ByteRange, ByteStream, Clock, IdGen, Store};
use domain::run::EventStream;
use domain::search::Retrieval;
use domain::upload::{Upload, UploadOutcome};
use pass::Closes;
use runtime::error::RuntimeError;
use runtime::services::{
    AccessTokens, Administration, AuditTrail, Chat, Configuration, Conversations, Documents, Memories, Models, Search,
    TenantMappings,
};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// The only way from the gateway to the runtime.
///
/// Each method decides (user and tenant active, role, ownership, clearance), records the intent, runs the use case
/// and records the outcome. A refusal is recorded too. Where the intent cannot be recorded, nothing runs.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Gate: Send + Sync {
    /// Verifies a bearer token (RFC 6750) and finds, or at first login provisions, its user.
    async fn authenticate(&self, bearer: Option<String>, origin: Origin) -> Result<Caller, GateError>;
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
    ) -> Result<UploadOutcome, GateError>;
    /// Lists documents.
    async fn list_documents(&self, by: &Caller, command: ListDocuments) -> Result<Page<Document>, GateError>;
    /// Reads a document's metadata.
    async fn get_document(&self, by: &Caller, command: GetDocument) -> Result<Document, GateError>;
    /// Changes what is said of a document.
    async fn update_document(&self, by: &Caller, command: UpdateDocument) -> Result<Document, GateError>;
    /// Opens a document's bytes, or a part of them.
    async fn download_document(
        &self,
        by: &Caller,
        command: DownloadDocument,
        range: Option<ByteRange>,
    ) -> Result<(Document, ByteStream), GateError>;
    /// Queues a document to be ingested again.
    async fn reprocess_document(&self, by: &Caller, command: ReprocessDocument) -> Result<Document, GateError>;
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
}

/// The parts of one gate.
#[derive(Clone)]
pub struct Gates {
    /// Signing in and everyday work.
    pub gate: Arc<dyn Gate>,
    /// Administration.
    pub admin: Arc<dyn AdminGate>,
    /// The OpenAI-compatible surface.
    pub models: Arc<dyn ModelGate>,
    /// Repeated requests.
    pub idempotency: Arc<dyn Idempotency>,
}

impl Gates {
    /// The parts of `gate`.
    #[must_use]
    pub fn of<G: Gate + AdminGate + ModelGate + Idempotency + 'static>(gate: Arc<G>) -> Self {
        Self {
            gate: Arc::clone(&gate) as Arc<dyn Gate>,
            admin: Arc::clone(&gate) as Arc<dyn AdminGate>,
            models: Arc::clone(&gate) as Arc<dyn ModelGate>,
            idempotency: gate,
        }
    }
}

/// The use cases behind the gate.
#[derive(Clone)]
pub struct UseCases {
    /// Conversations.
    pub conversations: Arc<dyn Conversations>,
    /// Chat turns.
    pub chat: Arc<dyn Chat>,
    /// Models without the assistant around them.
    pub models: Arc<dyn Models>,
    /// Documents.
    pub documents: Arc<dyn Documents>,
    /// Search.
    pub search: Arc<dyn Search>,
    /// Memories.
    pub memories: Arc<dyn Memories>,
    /// The audit log.
    pub audit_trail: Arc<dyn AuditTrail>,
    /// Users and tenants.
    pub administration: Arc<dyn Administration>,
    /// Settings and usage.
    pub configuration: Arc<dyn Configuration>,
    /// Personal access tokens.
    pub access_tokens: Arc<dyn AccessTokens>,
    /// Which claims stand for which tenants.
    pub tenant_mappings: Arc<dyn TenantMappings>,
}

/// The gate in earnest.
#[derive(Clone)]
pub struct PolicyGate {
    authn: Arc<Authenticator>,
    store: Arc<dyn Store>,
    use_cases: UseCases,
    request_key: HashKey,
    repeat_key: HashKey,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
    tasks: TaskTracker,
}

impl PolicyGate {
    /// Puts the gate before the use cases.
    #[must_use]
    pub fn new(authn: impl Into<Arc<Authenticator>>, use_cases: UseCases, keys: GateKeys, parts: GateParts) -> Self {
        let GateParts { store, clock, ids, tasks } = parts;
        let GateKeys { request: request_key, repeat: repeat_key } = keys;
        Self { authn: authn.into(), store, use_cases, request_key, repeat_key, clock, ids, tasks }
    }
}

/// The gate's keys: what it keeps of requests cannot be guessed from the database.
#[derive(Clone, Debug)]
pub struct GateKeys {
    /// For the hash of requests in the audit log.
    pub request: HashKey,
    /// For idempotency keys and the requests that came with them.
    pub repeat: HashKey,
}

impl GateKeys {
    /// Derives them from the platform's secret.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self { request: HashKey::derive(secret, "audit-request"), repeat: HashKey::derive(secret, "idempotency") }
    }
}

/// What the gate works with.
pub struct GateParts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn IdGen>,
    /// Running passages, for shutdown to wait for.
    pub tasks: TaskTracker,
}

impl PolicyGate {
    /// The caller as the database has user and tenant at this moment.
    async fn read_again(&self, known: &Caller) -> Result<Caller, RuntimeError> {
        let mut tx = self.store.begin(known.scope()).await?;
        let member = tx.users().membership(known.user().id).await?;
        let member = member.ok_or(RuntimeError::NotFound { what: "the user" })?;
        let entitlements = member.entitlements(&self.grants_of(&member.user));
        let caller = Caller::new(known.scope().clone(), known.tenant().clone(), member.user, entitlements);
        Ok(caller.with(Arc::clone(known.shared_credential())))
    }
}

#[async_trait]
impl Gate for PolicyGate {
    async fn authenticate(&self, bearer: Option<String>, origin: Origin) -> Result<Caller, GateError> {
        self.authn.authenticate(bearer.as_deref(), origin).await
    }

    async fn account(&self, caller: &Caller) -> Result<Caller, GateError> {
        let (gate, known) = (self.clone(), caller.clone());
        self.pass(caller, ReadAccount, Closes::Gate, move |_granted| async move { gate.read_again(&known).await }).await
    }

    async fn create_conversation(&self, by: &Caller, command: CreateConversation) -> Result<Conversation, GateError> {
        let use_case = Arc::clone(&self.use_cases.conversations);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.create(granted).await }).await
    }

    async fn list_conversations(
        &self,
        by: &Caller,
        command: ListConversations,
    ) -> Result<Page<Conversation>, GateError> {
        let use_case = Arc::clone(&self.use_cases.conversations);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.list(granted).await }).await
    }

    async fn get_conversation(
        &self,
        by: &Caller,
        command: GetConversation,
    ) -> Result<(Conversation, Vec<Message>), GateError> {
        let use_case = Arc::clone(&self.use_cases.conversations);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.get(granted).await }).await
    }

    async fn update_conversation(&self, by: &Caller, command: UpdateConversation) -> Result<Conversation, GateError> {
        let use_case = Arc::clone(&self.use_cases.conversations);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.update(granted).await }).await
    }

    async fn delete_conversation(&self, by: &Caller, command: DeleteConversation) -> Result<(), GateError> {
        let use_case = Arc::clone(&self.use_cases.conversations);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.delete(granted).await }).await
    }

    async fn send_message(&self, by: &Caller, command: SendMessage) -> Result<EventStream, GateError> {
        let use_case = Arc::clone(&self.use_cases.chat);
        self.pass(by, command, Closes::UseCase, move |granted| async move { use_case.send(granted).await }).await
    }

    async fn resume_run(&self, by: &Caller, command: ResumeRun) -> Result<EventStream, GateError> {
        let use_case = Arc::clone(&self.use_cases.chat);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.resume(granted).await }).await
    }

    async fn cancel_run(&self, by: &Caller, command: CancelRun) -> Result<(), GateError> {
        let use_case = Arc::clone(&self.use_cases.chat);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.cancel(granted).await }).await
    }

    async fn upload_document(
        &self,
        by: &Caller,
        command: UploadDocument,
        upload: Upload,
    ) -> Result<UploadOutcome, GateError> {
        let use_case = Arc::clone(&self.use_cases.documents);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.upload(granted, upload).await }).await
    }

    async fn list_documents(&self, by: &Caller, command: ListDocuments) -> Result<Page<Document>, GateError> {
        let use_case = Arc::clone(&self.use_cases.documents);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.list(granted).await }).await
    }

    async fn get_document(&self, by: &Caller, command: GetDocument) -> Result<Document, GateError> {
        let use_case = Arc::clone(&self.use_cases.documents);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.get(granted).await }).await
    }

    async fn update_document(&self, by: &Caller, command: UpdateDocument) -> Result<Document, GateError> {
        let use_case = Arc::clone(&self.use_cases.documents);
        let passed = self.pass(by, command, Closes::Gate, move |granted| async move { use_case.update(granted).await });
        Ok(passed.await?.after)
    }

    async fn download_document(
        &self,
        by: &Caller,
        command: DownloadDocument,
        range: Option<ByteRange>,
    ) -> Result<(Document, ByteStream), GateError> {
        let use_case = Arc::clone(&self.use_cases.documents);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.download(granted, range).await })
            .await
    }

    async fn reprocess_document(&self, by: &Caller, command: ReprocessDocument) -> Result<Document, GateError> {
        let use_case = Arc::clone(&self.use_cases.documents);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.reprocess(granted).await }).await
    }

    async fn delete_document(&self, by: &Caller, command: DeleteDocument) -> Result<(), GateError> {
        let use_case = Arc::clone(&self.use_cases.documents);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.delete(granted).await }).await
    }

    async fn search(&self, by: &Caller, command: SearchDocuments) -> Result<Retrieval, GateError> {
        let use_case = Arc::clone(&self.use_cases.search);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.search(granted).await }).await
    }

    async fn list_memories(&self, by: &Caller, command: ListMemories) -> Result<Page<Memory>, GateError> {
        let use_case = Arc::clone(&self.use_cases.memories);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.list(granted).await }).await
    }

    async fn create_memory(&self, by: &Caller, command: CreateMemory) -> Result<Memory, GateError> {
        let use_case = Arc::clone(&self.use_cases.memories);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.create(granted).await }).await
    }

    async fn delete_memory(&self, by: &Caller, command: DeleteMemory) -> Result<(), GateError> {
        let use_case = Arc::clone(&self.use_cases.memories);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.delete(granted).await }).await
    }
}
