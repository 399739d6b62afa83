//! Fixture: a tenant with two users and one conversation, and a chat service for it.

pub mod model;
pub mod tools;

use self::model::{ScriptedModel, Step};
use self::tools::ScriptedTools;
use domain::audit::{AuditFilter, AuditRecord, AuditedOperation};
use domain::authorized::{Authorized, GrantedAccess, TenantProfile};
use domain::budget::Spending;
use domain::command::{BranchPoint, Command, RetrievalMode, SendMessage, Target, TurnQuestion};
use domain::conversation::{Conversation, Message};
use domain::document::{Document, NewChunk, NewDocument, Revision, StatusChange};
use domain::ids::{ConversationId, TenantId};
use domain::ledger::LedgerEntry;
use domain::page::PageRequest;
use domain::ports::{
    AuditReader as _, Clock as _, IdGen as _, InsertDocumentOutcome, MockPrivacyScanner, NewTenant, Store as _,
    TenantDirectory as _,
};
use domain::rights::{Reach, Rights};
use domain::role::Resource;
use domain::role::{Classification, Role};
use domain::run::{EventStream, NumberedEvent, RunEvent};
use domain::scope::{Actor, TenantScope};
use domain::search::{Hit, Passage, SearchFilters, SurroundingText};
use domain::tenant::{Quotas, TenantSettings};
use domain::text::MessageText;
use fakes::access::{self, FakeAccessRules};
use fakes::store_contract::{identity, scope};
use fakes::{InMemoryStore, ManualClock, SequentialIds};
use futures::StreamExt as _;
use runtime::chat::{ChatPorts, ChatService, ChatSettings};
use runtime::error::RuntimeError;
use runtime::use_case::UseCase as _;
use serde_json::json;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// A tenant with the users Ada and Bob, and a conversation of Ada.
pub struct Fixture {
    pub store: InMemoryStore,
    pub clock: Arc<ManualClock>,
    pub ids: Arc<SequentialIds>,
    pub tasks: TaskTracker,
    pub ada: TenantScope,
    pub bob: TenantScope,
    pub conversation: ConversationId,
}

impl Fixture {
    pub async fn new() -> Self {
        let (clock, ids) = (Arc::new(ManualClock::default()), Arc::new(SequentialIds::default()));
        let store = InMemoryStore::new(clock.clone());
        let tenant = TenantId::from_uuid(ids.uuid());
        let new_tenant = NewTenant { id: tenant, name: "Plant A".to_owned(), slug: "plant-a".to_owned() };
        store.create_tenant(new_tenant).await.expect("a new tenant");
        let ada = create_user(&store, &ids, tenant, "ada").await;
        let bob = create_user(&store, &ids, tenant, "bob").await;
        let conversation = ids.uuid().into();
        let fixture = Self { store, clock, ids, tasks: TaskTracker::new(), ada, bob, conversation };
        fixture.insert_conversation(conversation).await;
        fixture
    }

    /// Inserts a conversation of Ada.
    async fn insert_conversation(&self, id: ConversationId) {
        let conversation = Conversation {
            id,
            user_id: self.ada.user().expect("a user's scope"),
            // Without one, each first turn would also call the model for a title.
            title: Some("Maintenance".to_owned()),
            model: None,
            metadata: json!({}),
            classification: Classification::Public,
            archived: false,
            active_message_id: None,
            is_busy: false,
            team_id: None,
            created_at: self.clock.now(),
            updated_at: self.clock.now(),
        };
        let mut tx = self.store.begin(&self.ada).await.expect("in memory");
        tx.conversations().insert(&conversation).await.expect("new");
        tx.commit().await.expect("in memory");
    }

    pub fn chat(&self, model: &Arc<ScriptedModel>, tools: &Arc<ScriptedTools>) -> ChatService {
        self.chat_with(model, tools, ChatSettings::default())
    }

    pub fn chat_with(
        &self,
        model: &Arc<ScriptedModel>,
        tools: &Arc<ScriptedTools>,
        settings: ChatSettings,
    ) -> ChatService {
        let parts = ChatPorts {
            store: Arc::new(self.store.clone()),
            tools: tools.clone(),
            model: model.clone(),
            privacy: Arc::new(MockPrivacyScanner::new()),
            rules: Arc::new(FakeAccessRules),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            tasks: self.tasks.clone(),
        };
        ChatService::new(parts, settings)
    }

    pub fn model(&self, replies: impl IntoIterator<Item = Vec<Step>>) -> Arc<ScriptedModel> {
        ScriptedModel::new(self.store.clone(), self.ada.clone(), self.conversation, replies)
    }

    /// Authorizes a command as the policy gate does, and stores its intent row.
    pub async fn authorize<C: Command>(&self, scope: &TenantScope, role: Role, command: C) -> Authorized<C> {
        self.authorize_with_rights(scope, rights(role), command).await
    }

    pub async fn authorize_with_rights<C: Command>(
        &self,
        scope: &TenantScope,
        rights: Rights,
        command: C,
    ) -> Authorized<C> {
        let operation = AuditedOperation {
            event: C::EVENT,
            resource: Some(C::RESOURCE),
            resource_id: command.target().map(Target::id),
            conversation_id: None,
            request_hash: None,
            metadata: json!({}),
        };
        let mut tx = self.store.begin(scope).await.expect("in memory");
        let receipt =
            tx.audit().record_intent(self.ids.uuid().into(), &operation, self.clock.now()).await.expect("in memory");
        let user = scope.user().expect("a user's scope");
        let member = tx.users().membership(user).await.expect("in memory").expect("a member");
        tx.commit().await.expect("in memory");
        let tenant = Arc::new(TenantProfile { name: member.tenant_name, settings: member.settings });
        access::authorized(scope.clone(), GrantedAccess { tenant, ..access::access_grant(rights) }, receipt, command)
    }

    pub fn message_command(&self, message: &str, retrieval: RetrievalMode) -> SendMessage {
        SendMessage {
            conversation: self.conversation,
            question: TurnQuestion::New {
                message: MessageText::parse(message).expect("a message"),
                at: BranchPoint::ActiveBranch,
            },
            model: None,
            retrieval,
            filters: SearchFilters::default(),
            teams: Vec::new(),
            agent: None,
        }
    }

    /// Sends a message as Ada.
    pub async fn send(
        &self,
        chat: &ChatService,
        message: &str,
        mode: RetrievalMode,
    ) -> Result<EventStream, RuntimeError> {
        let command = self.authorize(&self.ada, Role::User, self.message_command(message, mode)).await;
        chat.execute(command).await
    }

    /// Sends a message as Ada in a new conversation, so that it can run concurrently with other turns. No documents are
    /// searched.
    pub async fn send_in_new_conversation(
        &self,
        chat: &ChatService,
        message: &str,
    ) -> Result<EventStream, RuntimeError> {
        let id = self.ids.uuid().into();
        self.insert_conversation(id).await;
        let command = SendMessage { conversation: id, ..self.message_command(message, RetrievalMode::Never) };
        chat.execute(self.authorize(&self.ada, Role::User, command).await).await
    }

    /// Sends a message as Ada and reads the events to the end.
    pub async fn ask(&self, chat: &ChatService, message: &str, mode: RetrievalMode) -> Vec<RunEvent> {
        let events: Vec<NumberedEvent> = self.send(chat, message, mode).await.expect("a run").collect().await;
        assert!(events.iter().zip(1..).all(|(event, n)| event.seq == n), "numbered from 1 without gaps: {events:?}");
        self.wait_for_runs().await;
        events.into_iter().map(|numbered| numbered.event).collect()
    }

    /// Sets the quotas of the tenant.
    pub async fn set_quotas(&self, quotas: Quotas) {
        let settings = TenantSettings { quotas, ..TenantSettings::default() };
        let tenant = self.store.tenant(&self.ada.tenant().to_string()).await.expect("in memory").expect("the tenant");
        let configured = self
            .store
            .replace_settings(
                tenant.id,
                &settings,
                tenant.settings_version,
                &domain::tenant_change::ChangedBy::default(),
            )
            .await;
        assert!(configured.expect("in memory").is_some());
    }

    /// Returns what the tenant and Ada have spent and reserved.
    pub async fn spending(&self) -> Spending {
        let mut tx = self.store.begin(&self.ada).await.expect("in memory");
        tx.usage().spending(self.clock.now()).await.expect("in memory")
    }

    /// Returns the calls in the ledger, oldest first.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.store.ledger(self.ada.tenant()).into_iter().map(|(_, entry)| entry).collect()
    }

    /// Waits until no run is in progress.
    pub async fn wait_for_runs(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    pub async fn messages(&self) -> Vec<Message> {
        let mut tx = self.store.begin(&self.ada).await.expect("in memory");
        tx.messages().newest(self.conversation, 100).await.expect("in memory")
    }

    pub async fn answer(&self) -> Message {
        self.messages().await.pop().expect("an answer")
    }

    /// Returns the tenant's audit rows, oldest first.
    pub async fn audit_rows(&self) -> Vec<AuditRecord> {
        let page = PageRequest::new(PageRequest::MAX_LIMIT, None).expect("within bounds");
        let mut rows = self.store.read(&self.ada, &AuditFilter::default(), &page).await.expect("in memory").items;
        rows.reverse();
        rows
    }

    /// Returns the outcome of the only turn. Panics unless there is exactly one.
    pub async fn turn_outcome(&self) -> AuditRecord {
        let rows = self.audit_rows().await;
        let intent = rows.iter().find(|row| row.event_type == "chat.request").expect("an intent").clone();
        let mut outcomes: Vec<_> = rows.into_iter().filter(|row| row.event_type == "chat.response").collect();
        assert_eq!(outcomes.len(), 1, "exactly one outcome: {outcomes:?}");
        let outcome = outcomes.remove(0);
        assert_eq!(outcome.correlation_id, intent.id.as_uuid());
        outcome
    }

    /// Creates a searchable document with one passage.
    pub async fn create_document(&self, classification: Classification, content: &str) -> (Document, Hit) {
        let new_document = NewDocument {
            id: self.ids.uuid().into(),
            filename: "sop.pdf".to_owned(),
            title: "Valve SOP".to_owned(),
            mime_type: "application/pdf".to_owned(),
            file_size_bytes: 3,
            sha256: self.ids.uuid().simple().to_string().repeat(2),
            storage_path: "k".to_owned(),
            doc_type: None,
            tags: Vec::new(),
            classification,
            revision: Revision::default(),
            metadata: json!({}),
            uploaded_by: self.ada.user().expect("a user's scope"),
        };
        let mut tx = self.store.begin(&self.ada).await.expect("in memory");
        let inserted = tx
            .documents()
            .insert(&new_document, Classification::Restricted, self.clock.now())
            .await
            .expect("in memory");
        let InsertDocumentOutcome::New(document) = inserted else { panic!("the document exists already") };
        let chunk = NewChunk {
            id: self.ids.uuid().into(),
            chunk_index: 0,
            content: content.to_owned(),
            context: String::new(),
            token_count: 3,
            page: Some(4),
            section: None,
            embedding: vec![1.0],
            term_hashes: None,
        };
        let ready = StatusChange::Ready { title: None, page_count: Some(9), chunk_count: 1, warnings: Vec::new() };
        let now = self.clock.now();
        tx.documents().set_status(document.id, &StatusChange::Processing, now).await.expect("in memory");
        tx.chunks().replace(document.id, "m", std::slice::from_ref(&chunk), now).await.expect("in memory");
        tx.documents().set_status(document.id, &ready, now).await.expect("in memory");
        tx.commit().await.expect("in memory");
        let passage = Passage {
            chunk_id: chunk.id,
            document_id: document.id,
            chunk_index: 0,
            file_name: document.filename.clone(),
            title: document.title.clone(),
            page: Some(4),
            section: None,
            content: chunk.content,
            classification,
        };
        (document, hit(passage))
    }
}

/// A hit that the vector search found.
fn hit(passage: Passage) -> Hit {
    Hit {
        passage,
        score: 0.9,
        similarity: Some(0.8),
        bm25: None,
        rerank_score: None,
        surrounding_text: SurroundingText::default(),
        explanation: None,
    }
}

/// Returns the rights of a role with its default clearance.
pub fn rights(role: Role) -> Rights {
    let clearance = if role == Role::Viewer { Classification::Internal } else { Classification::Restricted };
    access::rights(role, clearance)
}

/// Returns the rights of a viewer who is also an auditor.
pub fn auditor_rights() -> Rights {
    let viewer = rights(Role::Viewer);
    Rights::from_fn(viewer.clearance(), |permission| match permission.resource {
        Resource::AuditLogs | Resource::Usage => Some(Reach::Tenant),
        _ => viewer.reach(permission),
    })
}

async fn create_user(store: &InMemoryStore, ids: &SequentialIds, tenant: TenantId, name: &str) -> TenantScope {
    let mut tx = store.begin(&scope(tenant, Actor::System)).await.expect("in memory");
    let id = ids.uuid().into();
    let now = domain::time::Timestamp::UNIX_EPOCH;
    let user = tx.users().sign_in(id, &identity(name, Some(Role::User)), now).await.expect("in memory");
    tx.commit().await.expect("in memory");
    scope(tenant, Actor::User(user.id))
}

/// Returns the names of the events, to compare their order.
pub fn event_names(events: &[RunEvent]) -> Vec<&'static str> {
    let name = |event: &RunEvent| match event {
        RunEvent::Started { .. } => "started",
        RunEvent::Reasoning { .. } => "reasoning",
        RunEvent::Delta { .. } => "delta",
        RunEvent::ToolStarted { .. } => "tool started",
        RunEvent::ToolFinished { .. } => "tool finished",
        RunEvent::ApprovalRequired { .. } => "approval required",
        RunEvent::StepStarted { .. } => "step started",
        RunEvent::StepFinished { .. } => "step finished",
        RunEvent::ClientToolRequested(_) => "client tool requested",
        RunEvent::Cited(_) => "cited",
        RunEvent::Finished(_) => "finished",
        RunEvent::Failed(_) => "failed",
    };
    events.iter().map(name).collect()
}
