//! A store whose audit log rejects all rows, or all rows except intents.

use async_trait::async_trait;
use domain::audit::{AuditedOperation, Outcome};
use domain::authorized::AuditReceipt;
use domain::ids::AuditId;
use domain::ports::{
    AccessTokenRepo, AgentRepo, ApprovalRepo, AuditRepo, ChannelRepo, ChunkRepo, ConnectorRepo, ConversationRepo,
    DocumentRepo, FeedbackRepo, GlossaryRepo, GoalRepo, IdempotencyRepo, JobRepo, MaintenanceSystemRepo, McpServerRepo,
    MemoryRepo, MessageRepo, PlantModeRepo, PlantRequestRepo, SessionRepo, Store, StoreError, TeamRepo, TenantTx,
    UsageRepo, UserRepo, WorkOrderRepo,
};
use domain::scope::TenantScope;
use domain::time::Timestamp;
use fakes::InMemoryStore;

pub struct UnwritableAuditStore {
    pub store: InMemoryStore,
    /// Whether intents can be written.
    pub accepts_intents: bool,
}

#[async_trait]
impl Store for UnwritableAuditStore {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        Ok(Box::new(UnwritableAuditTx { tx: self.store.begin(scope).await?, accepts_intents: self.accepts_intents }))
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

struct UnwritableAuditTx {
    tx: Box<dyn TenantTx>,
    accepts_intents: bool,
}

#[async_trait]
impl TenantTx for UnwritableAuditTx {
    fn conversations(&mut self) -> &mut dyn ConversationRepo {
        self.tx.conversations()
    }
    fn messages(&mut self) -> &mut dyn MessageRepo {
        self.tx.messages()
    }
    fn feedback(&mut self) -> &mut dyn FeedbackRepo {
        self.tx.feedback()
    }
    fn documents(&mut self) -> &mut dyn DocumentRepo {
        self.tx.documents()
    }
    fn chunks(&mut self) -> &mut dyn ChunkRepo {
        self.tx.chunks()
    }
    fn memories(&mut self) -> &mut dyn MemoryRepo {
        self.tx.memories()
    }
    fn audit(&mut self) -> &mut dyn AuditRepo {
        self
    }
    fn users(&mut self) -> &mut dyn UserRepo {
        self.tx.users()
    }
    fn idempotency(&mut self) -> &mut dyn IdempotencyRepo {
        self.tx.idempotency()
    }
    fn access_tokens(&mut self) -> &mut dyn AccessTokenRepo {
        self.tx.access_tokens()
    }
    fn sessions(&mut self) -> &mut dyn SessionRepo {
        self.tx.sessions()
    }
    fn jobs(&mut self) -> &mut dyn JobRepo {
        self.tx.jobs()
    }
    fn approvals(&mut self) -> &mut dyn ApprovalRepo {
        self.tx.approvals()
    }
    fn work_orders(&mut self) -> &mut dyn WorkOrderRepo {
        self.tx.work_orders()
    }
    fn maintenance_system(&mut self) -> &mut dyn MaintenanceSystemRepo {
        self.tx.maintenance_system()
    }
    fn plant_mode(&mut self) -> &mut dyn PlantModeRepo {
        self.tx.plant_mode()
    }
    fn channels(&mut self) -> &mut dyn ChannelRepo {
        self.tx.channels()
    }
    fn mcp_servers(&mut self) -> &mut dyn McpServerRepo {
        self.tx.mcp_servers()
    }
    fn connectors(&mut self) -> &mut dyn ConnectorRepo {
        self.tx.connectors()
    }
    fn agents(&mut self) -> &mut dyn AgentRepo {
        self.tx.agents()
    }
    fn goals(&mut self) -> &mut dyn GoalRepo {
        self.tx.goals()
    }
    fn glossary(&mut self) -> &mut dyn GlossaryRepo {
        self.tx.glossary()
    }
    fn plant_requests(&mut self) -> &mut dyn PlantRequestRepo {
        self.tx.plant_requests()
    }
    fn usage(&mut self) -> &mut dyn UsageRepo {
        self.tx.usage()
    }
    fn teams(&mut self) -> &mut dyn TeamRepo {
        self.tx.teams()
    }
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.tx.commit().await
    }
}

fn disk_full() -> StoreError {
    StoreError::Unavailable { activity: "writing the audit log", source: "the disk is full".into() }
}

#[async_trait]
impl AuditRepo for UnwritableAuditTx {
    async fn record_intent(
        &mut self,
        id: AuditId,
        operation: &AuditedOperation,
        at: Timestamp,
    ) -> Result<AuditReceipt, StoreError> {
        if self.accepts_intents { self.tx.audit().record_intent(id, operation, at).await } else { Err(disk_full()) }
    }
    async fn record_outcome(
        &mut self,
        _: AuditId,
        _: AuditReceipt,
        _: &Outcome,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        Err(disk_full())
    }
    async fn record_event(&mut self, _: AuditId, _: &Outcome, _: Timestamp) -> Result<(), StoreError> {
        Err(disk_full())
    }
    async fn record_correlated_event(
        &mut self,
        _: AuditId,
        _: uuid::Uuid,
        _: &Outcome,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        Err(disk_full())
    }
}
