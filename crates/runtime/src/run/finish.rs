//! Stores the end of a run in one transaction: the record of its use case, the outcomes of its automatic searches,
//! its model calls, and one audit outcome.

use super::budget_reservation::BudgetReserver;
use super::call_recorder::CompletedCall;
use super::definition::Run;
use super::end::RunEnd;
use super::ports::RunPorts;
use super::progress::RunProgress;
use crate::error::RuntimeError;
use async_trait::async_trait;
use domain::audit::{AuditedOperation, Outcome, ResultStatus};
use domain::error::{Classify as _, Problem};
use domain::ids::{AuditId, ModelCallId, ReservationId};
use domain::ledger::{CallOrigin, LedgerEntry};
use domain::ports::{StoreError, TenantTx};
use domain::retry;
use domain::run::{RunEvent, RunSummary};
use serde_json::{Value, json};
use tools::gateway::CallAdmission;

/// Completes the runs of one use case.
#[async_trait]
pub trait Finisher: Send + Sync + 'static {
    /// Record of a run that is stored in addition to its model calls and audit outcome. It is created once, so that
    /// repeated attempts store the same data.
    type Record: Send + Sync;

    /// Converts a failure to the problem that is sent to the reader.
    fn problem(&self, error: &RuntimeError) -> Problem {
        Problem::from_error(error)
    }

    /// Describes the run for its audit outcome.
    fn audited_operation(&self, finished: &FinishedRun<'_>) -> AuditedOperation;

    /// Creates the record for [`Finisher::store`].
    fn create_record(&self, finished: FinishedRun<'_>) -> Self::Record;

    /// Stores the record. Must be idempotent: it is called again if the acknowledgement of a commit was lost.
    async fn store(&self, tx: &mut dyn TenantTx, run: &Run, record: &Self::Record) -> Result<(), StoreError>;

    /// Does further work after a run that did not fail, once its end is stored and its readers are informed. Best
    /// effort.
    async fn after_run(&self, _ports: &RunPorts, _budgets: &BudgetReserver, _run: &Run) {}

    /// Returns the metadata of the outcome that is stored if the record cannot be stored; `None` if the use case stores
    /// no record.
    fn metadata_if_store_fails(&self, run: &Run, error: &StoreError) -> Option<Value>;
}

/// A run that has ended.
pub struct FinishedRun<'a> {
    pub run: &'a Run,
    pub progress: RunProgress,
    pub end: RunEnd,
    /// The problem sent to the reader, if the run was revoked or failed.
    pub problem: Option<Problem>,
    pub summary: RunSummary,
}

impl FinishedRun<'_> {
    /// Returns how often each pattern of the tenant's privacy rules matched, for the audit log, without the matched
    /// text; `None` if no pattern matched.
    pub fn privacy_metadata(&self) -> Option<Value> {
        let rules = self.run.caller.privacy.as_ref()?;
        let (found, replaced) = (&self.run.personal_data, &self.progress.model.replaced);
        if found.is_empty() && replaced.is_empty() {
            return None;
        }
        Some(json!({ "action": rules.action, "found": found, "replaced": replaced }))
    }
}

/// Data that is stored for every run.
struct CompletionRecord<'a> {
    ports: &'a RunPorts,
    run: &'a Run,
    id: AuditId,
    calls: Vec<LedgerEntry>,
    reservation: Option<ReservationId>,
}

/// Stores the end of a run and returns its last event.
///
/// Retries for ten minutes, so that no answer is lost when the database restarts. If the record cannot be stored, the
/// calls and the outcome are stored without it.
pub async fn finish<F: Finisher>(
    ports: &RunPorts,
    run: &Run,
    mut progress: RunProgress,
    end: RunEnd,
    finisher: &F,
) -> RunEvent {
    let (status, error) = end.interrupted_call_status();
    let calls = std::mem::take(&mut progress.model.calls).close(status, error);
    let calls = ledger_entries(ports, run.origin, calls);
    let id = AuditId::from_uuid(ports.ids.uuid());
    let completion = CompletionRecord { ports, run, id, calls, reservation: progress.budget.id() };
    let problem = match &end {
        RunEnd::Completed(_) | RunEnd::Cancelled => None,
        RunEnd::Revoked(problem) => Some(Problem { decision_id: Some(id), ..problem.clone() }),
        RunEnd::Failed(error) => Some(finisher.problem(error)),
    };
    let summary = summary(run, &progress, &end);
    let finished = FinishedRun { run, progress, end, problem: problem.clone(), summary: summary.clone() };
    let outcome = Outcome {
        operation: finisher.audited_operation(&finished),
        status: finished.end.result_status(),
        model: finished.progress.model.served_by.as_ref().map(|served| served.model.clone()),
        tools_used: finished.progress.tools_used.clone(),
    };
    let record = finisher.create_record(finished);
    match (completion.store(finisher, &record, &outcome).await, problem) {
        (Err(error), _) => RunEvent::Failed(Problem::from_error(&error)),
        (Ok(()), Some(problem)) => RunEvent::Failed(problem),
        (Ok(()), None) => RunEvent::Finished(summary),
    }
}

impl CompletionRecord<'_> {
    async fn store<F: Finisher>(&self, finisher: &F, record: &F::Record, outcome: &Outcome) -> Result<(), StoreError> {
        let attempt = || self.try_store(Some((finisher, record)), outcome);
        let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await else { return Ok(()) };
        let run_id = self.run.id;
        tracing::error!(%run_id, %error, code = error.code(), "failed to store the end of a run");
        if let Some(metadata) = finisher.metadata_if_store_fails(self.run, &error) {
            let mut outcome = Outcome { status: ResultStatus::Error, model: None, ..outcome.clone() };
            outcome.operation.metadata = metadata;
            let attempt = || self.try_store::<F>(None, &outcome);
            if let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await {
                tracing::error!(%run_id, %error, "failed to store the outcome of a run without its answer");
            }
        }
        Err(error)
    }

    /// Makes one attempt. If the acknowledgement of a commit was lost, the next attempt changes nothing, since calls
    /// and outcome have fixed ids.
    async fn try_store<F: Finisher>(
        &self,
        record: Option<(&F, &F::Record)>,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(self.run.permit.scope()).await?;
        if let Some((finisher, record)) = record {
            finisher.store(&mut *tx, self.run, record).await?;
        }
        for admission in [&self.run.search_admission, &self.run.tag_search_admission].into_iter().flatten() {
            if let CallAdmission::Admitted(search) = admission {
                search.record(&mut *tx).await?;
            }
        }
        tx.usage().record_calls(&self.calls).await?;
        if let Some(id) = self.reservation {
            tx.usage().release_reservation(id).await?;
        }
        tx.audit().record_outcome(self.id, self.run.permit.receipt(), outcome, now).await?;
        tx.commit().await
    }
}

fn summary(run: &Run, progress: &RunProgress, end: &RunEnd) -> RunSummary {
    let tier = run.agent.tier.tier;
    let (model, omitted_count) = (&progress.model, progress.visibility.omitted_count);
    RunSummary {
        finish_reason: end.finish_reason(),
        usage: model.usage,
        model: model.served_by.as_ref().map_or_else(|| tier.as_str().to_owned(), |served| served.model.clone()),
        degraded: progress.degraded || omitted_count > 0,
        fallback: model.used_fallback,
        omitted_count,
        message_id: run.answer_id,
        unsupported_statements: progress.unsupported_statements(),
    }
}

/// Converts the calls to ledger entries. Called once for them: the ids make repeated attempts idempotent.
pub fn ledger_entries(ports: &RunPorts, origin: CallOrigin, calls: Vec<CompletedCall>) -> Vec<LedgerEntry> {
    let at = ports.clock.now();
    let entry = |CompletedCall { tier, call }| LedgerEntry {
        id: ModelCallId::from_uuid(ports.ids.uuid()),
        ended_at: at,
        origin,
        tier: Some(tier),
        // The extractive answerer costs nothing.
        counts_towards_budget: ports.model.is_language_model(),
        call,
    };
    calls.into_iter().map(entry).collect()
}
