//! Completes the run of a step: stores its output, and what follows for its goal, in the transaction of the run's end.

use super::changes::{EndedStep, advance, is_running, tell_finished, tell_waiting};
use super::planning::to_goal_error;
use crate::error::RuntimeError;
use crate::run::RunEnd;
use crate::run::definition::Run;
use crate::run::finish::{FinishedRun, Finisher};
use crate::run::provenance::Provenance;
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::audit::{AuditedOperation, EventType};
use domain::error::Classify as _;
use domain::goal::{GoalError, StepStatus};
use domain::ports::{Clock, StepEnd, StepLease, StepRetry, StoreError, TenantTx};
use domain::role::Resource;
use domain::run::TokenUsage;
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// Delay before the platform tries a step again by itself.
const RETRY_DELAY: TimeDelta = TimeDelta::seconds(2);

/// Completes the run of a step.
pub(super) struct StepFinisher {
    pub lease: StepLease,
    /// Name of the agent.
    pub agent: String,
    /// Number of the try, from 1.
    pub attempt: u32,
    /// What the outputs of the steps before are based on.
    pub inherited: Provenance,
    /// Whether the platform may try the step again by itself.
    pub may_retry: bool,
    pub clock: Arc<dyn Clock>,
}

/// What is stored at the end of a try.
pub(super) struct StepRecord {
    ending: Ending,
    usage: TokenUsage,
    at: Timestamp,
}

enum Ending {
    Ended(StepEnd),
    RetryLater(StepRetry),
    /// The process shuts down, or the goal was cancelled.
    Interrupted,
}

#[async_trait]
impl Finisher for StepFinisher {
    type Record = StepRecord;

    fn audited_operation(&self, finished: &FinishedRun<'_>) -> AuditedOperation {
        let FinishedRun { run, progress, summary, problem, .. } = finished;
        let tier = run.agent.tier;
        let mut metadata = json!({
            "step": self.lease.step, "agent": self.agent, "attempt": self.attempt, "run_id": run.id,
            "tier": tier.tier, "escalated": tier.escalation,
            "backend": progress.model.served_by.as_ref().map(|served| &served.backend),
            "fallback": summary.fallback, "degraded": summary.degraded,
            "input_tokens": summary.usage.input_tokens, "output_tokens": summary.usage.output_tokens,
            "classification": progress.provenance.classification.max(self.inherited.classification),
            "left_out": summary.omitted_count, "approvals": progress.approvals,
        });
        if let Some(privacy) = finished.privacy_metadata() {
            metadata["privacy"] = privacy;
        }
        if let Some(problem) = problem {
            metadata["reason"] = problem.code.into();
        }
        AuditedOperation {
            event: EventType::STEP_FINISHED,
            resource: Some(Resource::Goals),
            resource_id: Some(self.lease.goal.as_uuid()),
            conversation_id: None,
            request_hash: None,
            metadata,
        }
    }

    fn create_record(&self, finished: FinishedRun<'_>) -> StepRecord {
        let usage = finished.summary.usage;
        let at = self.clock.now();
        let ending = match &finished.end {
            RunEnd::Cancelled => Ending::Interrupted,
            RunEnd::Completed(_) => self.success(finished),
            RunEnd::Revoked(problem) => {
                let detail = problem.detail.clone().unwrap_or_default();
                let error = GoalError::new(problem.code, detail);
                self.failure(error)
            }
            RunEnd::Failed(error) => self.failure_of(error, at),
        };
        StepRecord { ending, usage, at }
    }

    async fn store(&self, tx: &mut dyn TenantTx, _: &Run, record: &StepRecord) -> Result<(), StoreError> {
        let goal = self.lease.goal;
        if !tx.goals().lock(goal).await?.is_some_and(|locked| is_running(&locked)) {
            return Ok(());
        }
        match &record.ending {
            Ending::Interrupted => tx.goals().release_step(&self.lease, record.at).await,
            Ending::RetryLater(retry) => {
                if tx.goals().retry_step_later(&self.lease, retry).await? {
                    tx.goals().add_usage(goal, record.usage).await?;
                }
                Ok(())
            }
            Ending::Ended(end) => {
                let end = &self.with_earlier_approvals(tx, end).await?;
                if !tx.goals().end_step(&self.lease, end, record.at).await? {
                    return Ok(());
                }
                tx.goals().add_usage(goal, record.usage).await?;
                if end.status == StepStatus::WaitingApproval {
                    return tell_waiting(tx, goal, &self.lease.step, record.at).await;
                }
                let ended = EndedStep { id: &self.lease.step, status: end.status, error: end.error.as_ref() };
                tell_finished(tx, goal, ended, record.at).await?;
                advance(tx, goal, record.at).await
            }
        }
    }

    fn metadata_if_store_fails(&self, run: &Run, error: &StoreError) -> Option<Value> {
        Some(json!({ "step": self.lease.step, "run_id": run.id, "error": error.code() }))
    }
}

impl StepFinisher {
    /// A step that succeeds waits if it asked for a write in this or an earlier try.
    async fn with_earlier_approvals(&self, tx: &mut dyn TenantTx, end: &StepEnd) -> Result<StepEnd, StoreError> {
        let asked = tx.goals().lock_approvals(&self.lease).await?.is_some_and(|approvals| !approvals.is_empty());
        let waits = asked && end.status == StepStatus::Succeeded;
        Ok(StepEnd { status: if waits { StepStatus::WaitingApproval } else { end.status }, ..end.clone() })
    }

    fn success(&self, finished: FinishedRun<'_>) -> Ending {
        let FinishedRun { progress, .. } = finished;
        let mut provenance = progress.provenance;
        provenance.merge(&self.inherited);
        let waits = !progress.approvals.is_empty();
        let (output, citations) = progress.answer.into_parts();
        Ending::Ended(StepEnd {
            status: if waits { StepStatus::WaitingApproval } else { StepStatus::Succeeded },
            output: Some(output),
            citations,
            sources: provenance.sources,
            classification: provenance.classification,
            error: None,
        })
    }

    fn failure(&self, error: GoalError) -> Ending {
        let Provenance { classification, sources } = self.inherited.clone();
        Ending::Ended(StepEnd {
            status: StepStatus::Failed,
            output: None,
            citations: Vec::new(),
            sources,
            classification,
            error: Some(error),
        })
    }

    fn failure_of(&self, error: &RuntimeError, at: Timestamp) -> Ending {
        let public = to_goal_error(error);
        if self.may_retry && error.is_transient() {
            return Ending::RetryLater(StepRetry { due_at: at + RETRY_DELAY, error: public });
        }
        self.failure(public)
    }
}
