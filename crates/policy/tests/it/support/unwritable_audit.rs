//! A store whose audit log cannot be written, or takes intents only.

use async_trait::async_trait;
use domain::audit::{AuditSubject, Outcome};
use domain::authorized::AuditReceipt;
use domain::ids::AuditId;
use domain::ports::{
    AccessTokenRepo, AuditRepo, ChunkRepo, ConversationRepo, DocumentRepo, IdempotencyRepo, JobRepo, MemoryRepo,
    MessageRepo, Store, StoreError, TenantTx, UsageRepo, UserRepo,
};
use domain::scope::TenantScope;
use domain::time::Timestamp;
use fakes::MemoryStore;

pub struct UnwritableAuditStore {
    pub store: MemoryStore,
    /// Whether intents can be written.
    pub takes_intents: bool,
}

#[async_trait]
impl Store for UnwritableAuditStore {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        Ok(Box::new(Tx { tx: self.store.begin(scope).await?, takes_intents: self.takes_intents }))
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

struct Tx {
    tx: Box<dyn TenantTx>,
    takes_intents: bool,
}

#[async_trait]
impl TenantTx for Tx {
    fn conversations(&mut self) -> &mut dyn ConversationRepo {
        self.tx.conversations()
    }
    fn messages(&mut self) -> &mut dyn MessageRepo {
        self.tx.messages()
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
    fn jobs(&mut self) -> &mut dyn JobRepo {
        self.tx.jobs()
    }
    fn usage(&mut self) -> &mut dyn UsageRepo {
        self.tx.usage()
    }
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.tx.commit().await
    }
}

fn disk_full() -> StoreError {
    StoreError::Unavailable { doing: "writing the audit log", source: "the disk is full".into() }
}

#[async_trait]
impl AuditRepo for Tx {
    async fn intent(&mut self, id: AuditId, subject: &AuditSubject, at: Timestamp) -> Result<AuditReceipt, StoreError> {
        if self.takes_intents { self.tx.audit().intent(id, subject, at).await } else { Err(disk_full()) }
    }
    async fn outcome(&mut self, _: AuditId, _: AuditReceipt, _: &Outcome, _: Timestamp) -> Result<(), StoreError> {
        Err(disk_full())
    }
    async fn event(&mut self, _: AuditId, _: &Outcome, _: Timestamp) -> Result<(), StoreError> {
        Err(disk_full())
    }
}
