//! The in-memory store, which behaves like the database to the layers above.
//!
//! A transaction reads the committed rows until it first writes. From then on it works on a copy and holds the single
//! write lock; commit replaces the committed rows with the copy. All writers are therefore serialized, while PostgreSQL
//! locks only rows: a task must not write in two transactions at the same time.

mod access_tokens;
mod approvals;
mod audit;
mod channels;
mod chunks;
mod connectors;
mod conversations;
mod documents;
mod feedback;
mod glossary;
mod goals;
mod idempotency;
mod jobs;
mod mcp_servers;
mod memories;
mod sessions;
mod teams;
mod tenants;
mod usage;
mod users;

use async_trait::async_trait;
use chunks::{EmbeddingModels, StoredChunk};
use domain::access_token::AccessToken;
use domain::agent::TenantAgent;
use domain::approval::{Approval, ApprovalPolicy, WriteAttempts};
use domain::audit::AuditRecord;
use domain::channel::{Channel, Delivery};
use domain::conversation::{Conversation, Message};
use domain::document::Document;
use domain::feedback::Feedback;
use domain::glossary::GlossaryVersion;
use domain::ids::{ApprovalId, DocumentId, MessageId, TenantId, UserId};
use domain::ledger::LedgerEntry;
use domain::login::LoginClaims;
use domain::maintenance::MaintenanceSettings;
use domain::mapping::TenantMapping;
use domain::mcp::McpServer;
use domain::page::{Page, PageKey, PageRequest};
use domain::plant::{Connector, PlantModeState, PlantRequest};
use domain::ports::{
    AccessTokenRepo, AgentRepo, ApprovalRepo, AuditRepo, ChannelRepo, ChunkRepo, Clock, ConnectorRepo,
    ConversationRepo, DocumentRepo, FeedbackRepo, GlossaryRepo, GoalRepo, IdempotencyRepo, JobRepo,
    MaintenanceSystemRepo, McpServerRepo, MemoryRepo, MessageRepo, PlantModeRepo, PlantRequestRepo, SessionRepo, Store,
    StoreError, TeamRepo, TenantTx, UsageRepo, UserRepo, WorkOrderRepo,
};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::Passage;
use domain::tenant::{SettingsVersion, Tenant};
use domain::user::User;
use domain::work_order::WorkOrder;
use jobs::Job;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};

/// Timeout for acquiring the write lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A row with its tenant and, for user-owned rows, its user.
#[derive(Clone, Debug)]
struct Row<T> {
    tenant: TenantId,
    user: Option<UserId>,
    value: T,
}

/// The rows of all tenants.
#[derive(Clone, Debug, Default)]
struct State {
    tenants: Vec<Tenant>,
    users: Vec<Row<User>>,
    teams: teams::TeamState,
    token_users: BTreeMap<(TenantId, String), UserId>,
    /// Each user's last login.
    logins: BTreeMap<UserId, LoginClaims>,
    /// Personal access tokens by the hash of their secret.
    access_tokens: BTreeMap<String, Row<AccessToken>>,
    sessions: Vec<Row<sessions::StoredSession>>,
    mappings: Vec<TenantMapping>,
    conversations: Vec<Row<Conversation>>,
    messages: Vec<Row<Message>>,
    /// Answers that were marked as failed because their process seemed dead. They can still be finished.
    abandoned_answers: BTreeSet<MessageId>,
    feedback: Vec<Row<Feedback>>,
    memories: Vec<Row<memories::StoredMemory>>,
    documents: Vec<Row<Document>>,
    /// Tenant, id and last classification of each deleted document.
    deleted_documents: Vec<(TenantId, DocumentId, Classification)>,
    /// Documents whose title was set by a user; ingestion must not overwrite it.
    user_titled_documents: BTreeSet<DocumentId>,
    chunks: Vec<Row<StoredChunk>>,
    /// For each published document, the model whose passages are searched.
    published_models: BTreeMap<DocumentId, String>,
    models: BTreeMap<TenantId, EmbeddingModels>,
    audit: Vec<AuditRecord>,
    approvals: Vec<Row<Approval>>,
    /// Attempts at the writes of approvals.
    write_attempts: BTreeMap<ApprovalId, WriteAttempts>,
    approval_policies: Vec<Row<ApprovalPolicy>>,
    work_orders: Vec<Row<WorkOrder>>,
    maintenance_systems: BTreeMap<TenantId, MaintenanceSettings>,
    plant_modes: BTreeMap<TenantId, PlantModeState>,
    channels: Vec<Row<Channel>>,
    deliveries: Vec<Row<Delivery>>,
    mcp_servers: Vec<Row<McpServer>>,
    glossary_versions: Vec<Row<GlossaryVersion>>,
    connectors: Vec<Row<Connector>>,
    tags: Vec<Row<connectors::StoredTag>>,
    /// Nobody answers them.
    plant_requests: Vec<Row<PlantRequest>>,
    agents: Vec<Row<TenantAgent>>,
    goals: Vec<Row<goals::StoredGoal>>,
    jobs: Vec<Job>,
    idempotency: BTreeMap<idempotency::Key, idempotency::Entry>,
    /// All versions of tenants' settings, including the current ones.
    settings_versions: Vec<(TenantId, SettingsVersion)>,
    ledger: Vec<Row<LedgerEntry>>,
    /// Budget reservations of running turns.
    reservations: Vec<Row<usage::StoredReservation>>,
    /// For each tenant, the number of the last claim of one of its jobs. The tenant with the lowest number is next.
    last_served: BTreeMap<TenantId, u64>,
}

/// The in-memory store with its directory, job queue and audit log. Clones share the rows.
#[derive(Clone)]
pub struct InMemoryStore {
    committed: Arc<Mutex<State>>,
    write_lock: Arc<AsyncMutex<()>>,
    job_queued: Arc<Notify>,
    clock: Arc<dyn Clock>,
    open_transaction_count: Arc<AtomicUsize>,
    text_reads: Arc<Mutex<Vec<usize>>>,
}

impl InMemoryStore {
    /// An empty store; `clock` provides the time for leases and tenants.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            committed: Arc::default(),
            write_lock: Arc::default(),
            job_queued: Arc::default(),
            clock,
            open_transaction_count: Arc::default(),
            text_reads: Arc::default(),
        }
    }

    /// Number of open transactions: begun, and neither committed nor dropped.
    #[must_use]
    pub fn open_transactions(&self) -> usize {
        self.open_transaction_count.load(Ordering::SeqCst)
    }

    /// Returns the number of passages with text that each read has returned since the last call of this method.
    #[must_use]
    pub fn take_text_reads(&self) -> Vec<usize> {
        std::mem::take(&mut *self.text_reads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record_text_read(&self, passages: Vec<Passage>) -> Vec<Passage> {
        self.text_reads.lock().unwrap_or_else(PoisonError::into_inner).push(passages.len());
        passages
    }

    fn committed(&self) -> MutexGuard<'_, State> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn lock_for_writing(&self) -> Result<OwnedMutexGuard<()>, StoreError> {
        let locked = tokio::time::timeout(LOCK_TIMEOUT, Arc::clone(&self.write_lock).lock_owned()).await;
        locked.map_err(|source| StoreError::Unavailable {
            activity: "waiting for another writer",
            source: Box::new(source),
        })
    }
}

#[async_trait]
impl Store for InMemoryStore {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        Ok(Box::new(InMemoryTx {
            store: self.clone(),
            scope: scope.clone(),
            uncommitted: None,
            _open: OpenTransaction::new(&self.open_transaction_count),
        }))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A writing transaction's copy of the rows, with the write lock.
struct UncommittedState {
    state: State,
    _write_guard: OwnedMutexGuard<()>,
}

struct InMemoryTx {
    store: InMemoryStore,
    scope: TenantScope,
    uncommitted: Option<UncommittedState>,
    _open: OpenTransaction,
}

/// Counts a transaction as open until it is dropped.
struct OpenTransaction(Arc<AtomicUsize>);

impl OpenTransaction {
    fn new(open_count: &Arc<AtomicUsize>) -> Self {
        open_count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open_count))
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl InMemoryTx {
    fn read<R>(&self, query: impl FnOnce(&State) -> R) -> R {
        match &self.uncommitted {
            Some(uncommitted) => query(&uncommitted.state),
            None => query(&self.store.committed()),
        }
    }

    async fn write(&mut self) -> Result<&mut State, StoreError> {
        let uncommitted = match self.uncommitted.take() {
            Some(uncommitted) => uncommitted,
            None => {
                let write_guard = self.store.lock_for_writing().await?;
                UncommittedState { state: self.store.committed().clone(), _write_guard: write_guard }
            }
        };
        Ok(&mut self.uncommitted.insert(uncommitted).state)
    }

    fn tenant(&self) -> TenantId {
        self.scope.tenant()
    }

    /// The key of the space in which the content of this transaction is: a team's rows are kept under the team's id, as
    /// if it were a tenant.
    fn space(&self) -> TenantId {
        self.scope.team().map_or(self.scope.tenant(), |team| TenantId::from_uuid(team.as_uuid()))
    }

    /// The owner of conversations and messages: the user, or the team as a whole.
    fn owner(&self) -> Option<UserId> {
        self.scope.team().map_or(self.scope.user(), |team| Some(UserId::from_uuid(team.as_uuid())))
    }

    /// The predicate of the row-level security policies for content of a space.
    fn space_filter<T>(&self) -> impl Fn(&Row<T>) -> bool + use<T> {
        let space = self.space();
        move |row| row.tenant == space
    }

    /// The predicate of the database's row-level security policies for user-owned rows.
    fn owner_filter<T>(&self) -> impl Fn(&Row<T>) -> bool + use<T> {
        let (tenant, user) = (self.space(), self.owner());
        move |row| row.tenant == tenant && user.is_some() && row.user == user
    }

    /// The predicate of the row-level security policies for all other rows.
    fn tenant_filter<T>(&self) -> impl Fn(&Row<T>) -> bool + use<T> {
        let tenant = self.scope.tenant();
        move |row| row.tenant == tenant
    }
}

#[async_trait]
impl TenantTx for InMemoryTx {
    fn conversations(&mut self) -> &mut dyn ConversationRepo {
        self
    }
    fn messages(&mut self) -> &mut dyn MessageRepo {
        self
    }
    fn feedback(&mut self) -> &mut dyn FeedbackRepo {
        self
    }
    fn documents(&mut self) -> &mut dyn DocumentRepo {
        self
    }
    fn chunks(&mut self) -> &mut dyn ChunkRepo {
        self
    }
    fn memories(&mut self) -> &mut dyn MemoryRepo {
        self
    }
    fn audit(&mut self) -> &mut dyn AuditRepo {
        self
    }
    fn users(&mut self) -> &mut dyn UserRepo {
        self
    }
    fn idempotency(&mut self) -> &mut dyn IdempotencyRepo {
        self
    }
    fn access_tokens(&mut self) -> &mut dyn AccessTokenRepo {
        self
    }
    fn sessions(&mut self) -> &mut dyn SessionRepo {
        self
    }
    fn jobs(&mut self) -> &mut dyn JobRepo {
        self
    }
    fn approvals(&mut self) -> &mut dyn ApprovalRepo {
        self
    }
    fn work_orders(&mut self) -> &mut dyn WorkOrderRepo {
        self
    }
    fn maintenance_system(&mut self) -> &mut dyn MaintenanceSystemRepo {
        self
    }
    fn plant_mode(&mut self) -> &mut dyn PlantModeRepo {
        self
    }
    fn channels(&mut self) -> &mut dyn ChannelRepo {
        self
    }
    fn mcp_servers(&mut self) -> &mut dyn McpServerRepo {
        self
    }
    fn connectors(&mut self) -> &mut dyn ConnectorRepo {
        self
    }
    fn glossary(&mut self) -> &mut dyn GlossaryRepo {
        self
    }
    fn plant_requests(&mut self) -> &mut dyn PlantRequestRepo {
        self
    }
    fn teams(&mut self) -> &mut dyn TeamRepo {
        self
    }
    fn agents(&mut self) -> &mut dyn AgentRepo {
        self
    }
    fn goals(&mut self) -> &mut dyn GoalRepo {
        self
    }
    fn usage(&mut self) -> &mut dyn UsageRepo {
        self
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        if let Some(uncommitted) = self.uncommitted {
            let has_new_jobs = uncommitted.state.live_job_count() > self.store.committed().live_job_count();
            *self.store.committed() = uncommitted.state;
            if has_new_jobs {
                self.store.notify_workers();
            }
        }
        Ok(())
    }
}

/// Sorts `rows` newest first and returns the requested page.
fn page_of<T>(mut rows: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> PageKey) -> Page<T> {
    let position = |row: &T| {
        let key = key(row);
        (key.created_at, key.id)
    };
    rows.sort_by_key(|row| std::cmp::Reverse(position(row)));
    if let Some(after) = request.after {
        rows.retain(|row| position(row) < (after.created_at, after.id));
    }
    rows.truncate(request.limit() as usize + 1);
    Page::from_rows(rows, request, key)
}

/// The error that the database returns when a bug violates a constraint.
fn constraint_error(activity: &'static str, rule: &'static str) -> StoreError {
    StoreError::Failed { activity, source: rule.into() }
}
