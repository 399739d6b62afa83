//! A store whose audit log cannot be written.

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

pub struct UnwritableAuditStore(pub MemoryStore);

#[async_trait]
impl Store for UnwritableAuditStore {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        Ok(Box::new(Tx(self.0.begin(scope).await?)))
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.0.ping().await
    }
}

struct Tx(Box<dyn TenantTx>);

#[async_trait]
impl TenantTx for Tx {
    fn conversations(&mut self) -> &mut dyn ConversationRepo {
        self.0.conversations()
    }
    fn messages(&mut self) -> &mut dyn MessageRepo {
        self.0.messages()
    }
    fn documents(&mut self) -> &mut dyn DocumentRepo {
        self.0.documents()
    }
    fn chunks(&mut self) -> &mut dyn ChunkRepo {
        self.0.chunks()
    }
    fn memories(&mut self) -> &mut dyn MemoryRepo {
        self.0.memories()
    }
    fn audit(&mut self) -> &mut dyn AuditRepo {
        self
    }
    fn users(&mut self) -> &mut dyn UserRepo {
        self.0.users()
    }
    fn idempotency(&mut self) -> &mut dyn IdempotencyRepo {
        self.0.idempotency()
    }
    fn access_tokens(&mut self) -> &mut dyn AccessTokenRepo {
        self.0.access_tokens()
    }
    fn jobs(&mut self) -> &mut dyn JobRepo {
        self.0.jobs()
    }
    fn usage(&mut self) -> &mut dyn UsageRepo {
        self.0.usage()
    }
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.0.commit().await
    }
}

fn disk_full() -> StoreError {
    StoreError::Unavailable { doing: "writing the audit log", source: "the disk is full".into() }
}

#[async_trait]
impl AuditRepo for Tx {
    async fn intent(&mut self, _: AuditId, _: &AuditSubject, _: Timestamp) -> Result<AuditReceipt, StoreError> {
        Err(disk_full())
    }
    async fn outcome(&mut self, _: AuditId, _: AuditReceipt, _: &Outcome, _: Timestamp) -> Result<(), StoreError> {
        Err(disk_full())
    }
    async fn event(&mut self, _: AuditId, _: &Outcome, _: Timestamp) -> Result<(), StoreError> {
        Err(disk_full())
    }
}
