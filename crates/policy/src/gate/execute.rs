//! Executes a command: authorizes it, runs the use case and records the outcome, even if the client disconnects.

use super::{Decider, Execute, PolicyGate, UseCases};
use crate::caller::Caller;
use crate::dispatch::HasUseCase;
use crate::error::GateError;
use async_trait::async_trait;
use domain::audit::{AuditedOperation, Outcome, ResultStatus};
use domain::authorized::AuditReceipt;
use domain::command::{Command, Recorder};
use domain::error::{Classify as _, ErrorKind};
use domain::ids::AuditId;
use domain::ports::{StoreError, TenantTx};
use domain::retry;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use domain::transaction::SharedTransaction;
use futures::FutureExt as _;
use runtime::error::RuntimeError;
use runtime::use_case::UseCase;
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

#[async_trait]
impl<C: Command> Execute<C> for PolicyGate
where
    UseCases: HasUseCase<C>,
{
    async fn execute(&self, caller: &Caller, command: C) -> Result<C::Output, GateError> {
        let (use_case, caller) = (self.use_cases.use_case(), caller.clone());
        let recorder = OutcomeRecorder { decider: Arc::clone(&self.decider), tasks: self.tasks.clone() };
        let execution = async move { recorder.run(&caller, command, &*use_case).await };
        self.tasks.spawn(execution.in_current_span()).await.unwrap_or(Err(GateError::Runtime(RuntimeError::Panicked)))
    }
}

/// Runs use cases and records their outcomes.
#[derive(Clone)]
struct OutcomeRecorder {
    decider: Arc<Decider>,
    tasks: TaskTracker,
}

/// An operation that was authorized: its scope, its intent, and the transaction that the use case shares.
struct AuthorizedOperation {
    scope: TenantScope,
    receipt: AuditReceipt,
    intent: AuditedOperation,
    transaction: SharedTransaction,
}

/// The audit rows of an operation that are not committed yet.
struct PendingRows {
    scope: TenantScope,
    receipt: AuditReceipt,
    /// The intent, if its transaction was rolled back.
    intent: Option<AuditedOperation>,
    outcome_id: AuditId,
    outcome: Option<Outcome>,
}

impl OutcomeRecorder {
    async fn run<C: Command>(
        self,
        caller: &Caller,
        command: C,
        use_case: &dyn UseCase<C>,
    ) -> Result<C::Output, GateError> {
        let intent = self.decider.audited_operation(&command);
        let authorized = self.decider.authorize(caller, command, &intent).await?;
        let (receipt, transaction) = (authorized.permit().receipt(), authorized.transaction().clone());
        let scope = authorized.permit().scope().clone();
        let operation = AuthorizedOperation { scope, receipt, intent, transaction };
        let result = AssertUnwindSafe(use_case.execute(authorized)).catch_unwind().await;
        let result = match result.unwrap_or(Err(RuntimeError::Panicked)) {
            Ok(output) => self.record_success::<C>(&operation, output).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(output) => Ok(output),
            Err(source) => {
                // Rolls back. The audit rows are inserted in a new transaction.
                drop(operation.transaction.take());
                let rows = self.pending_rows(&operation, Some(failure_outcome::<C>(&operation.intent, &source)));
                match self.record(rows).await {
                    Some(decision) if source.kind() == ErrorKind::Forbidden => {
                        Err(GateError::RefusedByUseCase { decision_id: decision, source })
                    }
                    _ => Err(GateError::Runtime(source)),
                }
            }
        }
    }

    /// Records the outcome of a success in the shared transaction and commits it. If the use case has committed the
    /// transaction already, the outcome is recorded in a new one.
    ///
    /// # Errors
    /// If the intent cannot be committed: then nothing was done.
    async fn record_success<C: Command>(
        &self,
        operation: &AuthorizedOperation,
        output: C::Output,
    ) -> Result<C::Output, RuntimeError> {
        let is_recorded_by_gate = C::SUCCESS_RECORDED_BY == Recorder::Gate;
        let mut rows =
            self.pending_rows(operation, is_recorded_by_gate.then(|| success_outcome::<C>(&operation.intent, &output)));
        match operation.transaction.take() {
            Some(tx) => {
                rows.intent = None;
                rows.insert_and_commit(tx, self.decider.clock.now()).await?;
            }
            // The use case changed nothing and rolled back. Without its intent, its result must not be returned.
            None if rows.intent.is_some() => self.try_record(&rows).await?,
            None if rows.outcome.is_some() => {
                self.clone().record(rows).await;
            }
            None => {}
        }
        Ok(output)
    }

    fn pending_rows(&self, operation: &AuthorizedOperation, outcome: Option<Outcome>) -> PendingRows {
        let AuthorizedOperation { scope, receipt, intent, transaction } = operation;
        let intent = (!transaction.is_committed()).then(|| intent.clone());
        let outcome_id = AuditId::from_uuid(self.decider.ids.uuid());
        PendingRows { scope: scope.clone(), receipt: *receipt, intent, outcome_id, outcome }
    }

    /// Writes the rows in a new transaction. Returns the id of the outcome, or `None` if it cannot be written.
    ///
    /// If the database is unavailable, a task retries for ten minutes, and the caller does not wait for it. If the
    /// outcome is lost nevertheless, the operation is closed as `unknown` after this process has ended.
    async fn record(self, rows: PendingRows) -> Option<AuditId> {
        let outcome_id = rows.outcome_id;
        let Err(error) = self.try_record(&rows).await else { return Some(outcome_id) };
        let (request_id, correlation_id) = (rows.scope.request(), rows.receipt.intent_id());
        tracing::error!(%request_id, %correlation_id, %error, "failed to record an outcome");
        if error.kind() != ErrorKind::Unavailable {
            return None;
        }
        let tasks = self.tasks.clone();
        tasks.spawn(async move {
            let attempt = || self.try_record(&rows);
            match retry::with_backoff(attempt, tokio::time::sleep).await {
                Ok(()) => tracing::info!(%correlation_id, "outcome recorded after a retry"),
                Err(error) => tracing::error!(%correlation_id, %error, "outcome lost: all retries failed"),
            }
        });
        Some(outcome_id)
    }

    async fn try_record(&self, rows: &PendingRows) -> Result<(), StoreError> {
        let tx = self.decider.store.begin(&rows.scope).await?;
        rows.insert_and_commit(tx, self.decider.clock.now()).await
    }
}

impl PendingRows {
    /// Inserts the rows and commits.
    async fn insert_and_commit(&self, mut tx: Box<dyn TenantTx>, now: Timestamp) -> Result<(), StoreError> {
        if let Some(intent) = &self.intent {
            tx.audit().record_intent(self.receipt.intent_id(), intent, self.receipt.recorded_at()).await?;
        }
        if let Some(outcome) = &self.outcome {
            tx.audit().record_outcome(self.outcome_id, self.receipt, outcome, now).await?;
        }
        tx.commit().await
    }
}

/// The outcome of an operation that returned `output`.
fn success_outcome<C: Command>(intent: &AuditedOperation, output: &C::Output) -> Outcome {
    let mut operation = AuditedOperation { event: C::OUTCOME_EVENT, ..intent.clone() };
    operation.resource_id = operation.resource_id.or_else(|| C::resource_id(output));
    if let Some(metadata) = C::outcome_metadata(output) {
        operation.metadata = metadata;
    }
    Outcome { operation, status: ResultStatus::Success, model: None, tools_used: Vec::new() }
}

/// The outcome of an operation that failed.
fn failure_outcome<C: Command>(intent: &AuditedOperation, error: &RuntimeError) -> Outcome {
    let mut metadata = json!({ "error": error.code(), "reason": error.code() });
    if let (Some(metadata), Some(Value::Object(details))) = (metadata.as_object_mut(), error.audit_metadata()) {
        metadata.extend(details);
    }
    let operation = AuditedOperation { event: C::OUTCOME_EVENT, metadata, ..intent.clone() };
    let status = match error.kind() {
        ErrorKind::NotFound | ErrorKind::Forbidden => ResultStatus::Denied,
        _ => ResultStatus::Error,
    };
    Outcome { operation, status, model: None, tools_used: Vec::new() }
}
