//! What a job leaves in the audit log: an intent when it is taken up, one outcome when it ends.

use super::accept::RetryLater;
use super::service::IngestWork;
use crate::calls::CallSheet;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::authorized::AuditReceipt;
use domain::error::{Classify, ErrorKind};
use domain::ids::{AuditId, DocumentId, ModelCallId};
use domain::ledger::{CallContext, LedgerEntry};
use domain::model::ModelError;
use domain::ports::{LeasedJob, StoreError, TenantTx};
use domain::retry;
use domain::role::Resource;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// An open record.
#[derive(Clone)]
pub(super) struct Record {
    scope: TenantScope,
    pub(super) document: DocumentId,
    attempt: u32,
    receipt: AuditReceipt,
    /// What the attempt asks of models.
    pub(super) models: CallSheet,
}

impl Record {
    /// Records the intent.
    pub(super) async fn open(
        tx: &mut dyn TenantTx,
        job: &LeasedJob,
        document: DocumentId,
        (id, now): (AuditId, Timestamp),
    ) -> Result<Self, StoreError> {
        let subject = subject(document, json!({"attempt": job.attempt}));
        let receipt = tx.audit().intent(id, &subject, now).await?;
        let models = CallSheet::default();
        Ok(Self { scope: job.scope.clone(), document, attempt: job.attempt, receipt, models })
    }

    /// Records the outcome in the transaction that brings it about, and what was asked of models until then.
    pub(super) async fn outcome(
        &self,
        tx: &mut dyn TenantTx,
        id: AuditId,
        now: Timestamp,
        (status, mut facts): (ResultStatus, Value),
    ) -> Result<(), StoreError> {
        tx.usage().record(self.ledger(now).as_slice()).await?;
        facts["attempt"] = self.attempt.into();
        let outcome = Outcome { subject: subject(self.document, facts), status, model: None, tools_used: Vec::new() };
        tx.audit().outcome(id, self.receipt, &outcome, now).await
    }

    /// The attempt's row of the ledger, if it came to ask a model: its batches together, under the id of its intent.
    fn ledger(&self, now: Timestamp) -> Option<LedgerEntry> {
        Some(LedgerEntry {
            id: ModelCallId::from_uuid(self.receipt.intent().as_uuid()),
            at: now,
            context: CallContext::default(),
            tier: None,
            metered: false,
            call: self.models.summed()?,
        })
    }
}

impl IngestWork {
    /// Records the outcome of an attempt that changed nothing. Where the database is down a task goes on trying.
    pub(super) async fn close(self: &Arc<Self>, record: &Record, status: ResultStatus, reason: &'static str) {
        let id = self.audit_id();
        let Err(error) = self.try_close(record, id, (status, reason)).await else { return };
        tracing::warn!(%error, "the outcome of an ingestion attempt could not be recorded");
        if error.kind() == ErrorKind::Unavailable {
            let (work, record) = (Arc::clone(self), record.clone());
            self.tracker.spawn(async move {
                let attempt = || work.try_close(&record, id, (status, reason));
                if let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await {
                    tracing::error!(%error, "the outcome of an ingestion attempt is lost");
                }
            });
        }
    }

    async fn try_close(
        &self,
        record: &Record,
        id: AuditId,
        (status, reason): (ResultStatus, &'static str),
    ) -> Result<(), StoreError> {
        let mut tx = self.ports.store.begin(&record.scope).await?;
        let now = self.ports.clock.now();
        record.outcome(&mut *tx, id, now, (status, json!({"reason": reason}))).await?;
        tx.commit().await
    }

    pub(super) fn audit_id(&self) -> AuditId {
        AuditId::from_uuid(self.ports.ids.uuid())
    }
}

fn subject(document: DocumentId, metadata: Value) -> AuditSubject {
    AuditSubject {
        event: EventType::DOC_INGESTION,
        resource: Some(Resource::Documents),
        resource_id: Some(document.as_uuid()),
        session: None,
        request_hash: None,
        metadata,
    }
}

/// A database that is down does not use the attempt up; one that refuses a statement does, or a defect would be tried
/// for ever.
impl From<StoreError> for RetryLater {
    fn from(error: StoreError) -> Self {
        Self { counts: error.kind() != ErrorKind::Unavailable, reason: error.to_string() }
    }
}

/// The same for the embedding model.
impl From<ModelError> for RetryLater {
    fn from(error: ModelError) -> Self {
        let answered = matches!(
            error,
            ModelError::InvalidResponse { .. } | ModelError::Refused { .. } | ModelError::ContextTooLong { .. }
        );
        Self { counts: answered, reason: error.to_string() }
    }
}
