//! The audit rows of an ingestion attempt: an intent when it starts, and one outcome when it ends.

use super::inner::IngestInner;
use super::interface::RetryLater;
use crate::calls::CallRecorder;
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::authorized::AuditReceipt;
use domain::error::{Classify, ErrorKind};
use domain::ids::{AuditId, DocumentId, ModelCallId};
use domain::ledger::{CallOrigin, LedgerEntry};
use domain::model::ModelError;
use domain::ports::{LeasedJob, StoreError, TenantTx};
use domain::retry;
use domain::role::Resource;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// An ingestion attempt whose intent has been recorded, but not yet its outcome.
#[derive(Clone)]
pub(super) struct AttemptRecord {
    scope: TenantScope,
    pub(super) document: DocumentId,
    attempt: u32,
    receipt: AuditReceipt,
    /// Records the model calls of the attempt.
    pub(super) model_call_recorder: CallRecorder,
}

impl AttemptRecord {
    /// Records the attempt's intent in `tx`.
    pub(super) async fn record_intent(
        tx: &mut dyn TenantTx,
        job: &LeasedJob,
        document: DocumentId,
        id: AuditId,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let operation = audited_operation(document, json!({"attempt": job.attempt}));
        let receipt = tx.audit().record_intent(id, &operation, now).await?;
        let model_call_recorder = CallRecorder::default();
        Ok(Self { scope: job.scope.clone(), document, attempt: job.attempt, receipt, model_call_recorder })
    }

    /// Records the outcome and the model calls in `tx`, the transaction that also writes the attempt's results.
    pub(super) async fn record_outcome(
        &self,
        tx: &mut dyn TenantTx,
        id: AuditId,
        now: Timestamp,
        status: ResultStatus,
        mut metadata: Value,
    ) -> Result<(), StoreError> {
        tx.usage().record_calls(self.ledger_entry(now).as_slice()).await?;
        metadata["attempt"] = self.attempt.into();
        let outcome = Outcome {
            operation: audited_operation(self.document, metadata),
            status,
            model: None,
            tools_used: Vec::new(),
        };
        tx.audit().record_outcome(id, self.receipt, &outcome, now).await
    }

    /// One ledger entry for the sum of the attempt's model calls, with the id of the intent; `None` if there were none.
    fn ledger_entry(&self, now: Timestamp) -> Option<LedgerEntry> {
        Some(LedgerEntry {
            id: ModelCallId::from_uuid(self.receipt.intent_id().as_uuid()),
            ended_at: now,
            origin: CallOrigin::default(),
            tier: None,
            counts_towards_budget: false,
            call: self.model_call_recorder.total()?,
        })
    }
}

impl IngestInner {
    /// Records the outcome of an attempt that wrote no results, in its own transaction. If the database is unavailable,
    /// a background task retries.
    pub(super) async fn close_attempt(
        self: &Arc<Self>,
        record: &AttemptRecord,
        status: ResultStatus,
        reason: &'static str,
    ) {
        let id = self.audit_id();
        let Err(error) = self.try_close_attempt(record, id, status, reason).await else { return };
        tracing::warn!(%error, "the outcome of an ingestion attempt could not be recorded");
        if error.kind() == ErrorKind::Unavailable {
            let (ingest, record) = (Arc::clone(self), record.clone());
            self.tracker.spawn(async move {
                let attempt = || ingest.try_close_attempt(&record, id, status, reason);
                if let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await {
                    tracing::error!(%error, "the outcome of an ingestion attempt is lost");
                }
            });
        }
    }

    async fn try_close_attempt(
        &self,
        record: &AttemptRecord,
        id: AuditId,
        status: ResultStatus,
        reason: &'static str,
    ) -> Result<(), StoreError> {
        let mut tx = self.ports.store.begin(&record.scope).await?;
        let now = self.ports.clock.now();
        record.record_outcome(&mut *tx, id, now, status, json!({"reason": reason})).await?;
        tx.commit().await
    }

    pub(super) fn audit_id(&self) -> AuditId {
        AuditId::from_uuid(self.ports.ids.uuid())
    }
}

fn audited_operation(document: DocumentId, metadata: Value) -> AuditedOperation {
    AuditedOperation {
        event: EventType::DOC_INGESTION,
        resource: Some(Resource::Documents),
        resource_id: Some(document.as_uuid()),
        conversation_id: None,
        request_hash: None,
        metadata,
    }
}

/// A database outage does not count as an attempt. Any other database error does, so that a bug is not retried forever.
impl From<StoreError> for RetryLater {
    fn from(error: StoreError) -> Self {
        Self { counts_as_attempt: error.kind() != ErrorKind::Unavailable, reason: error.to_string() }
    }
}

/// An outage of the embedding model does not count as an attempt; an invalid response or a rejected request does.
impl From<ModelError> for RetryLater {
    fn from(error: ModelError) -> Self {
        let was_answered = matches!(
            error,
            ModelError::InvalidResponse { .. } | ModelError::Refused { .. } | ModelError::ContextTooLong { .. }
        );
        Self { counts_as_attempt: was_answered, reason: error.to_string() }
    }
}
