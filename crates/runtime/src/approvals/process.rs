//! The worker's part: expires and escalates requests, executes approved writes, and notifies requesters of the outcome.
//!
//! An execution has three steps, and the process may crash after each: the state becomes `executing` (after all checks
//! are repeated), the plant system is searched and then written to, the outcome is recorded. A worker that finds an
//! approval in the state `executing` repeats the second step: the search finds what was written.

use super::audit_events::ApprovalEvent;
use super::check::check_again;
use super::notice::Notifier;
use super::request::lock_with_policy;
use super::write_attempt::{Attempt, Outcome, WriteAttempt};
use chrono::TimeDelta;
use domain::approval::{Approval, ApprovalStatus};
use domain::audit::{EventType, ResultStatus};
use domain::ids::ApprovalId;
use domain::ports::{AccessRules, Clock, IdGen, LeasedJob, StatusTransition, Store, StoreError, TenantTx};
use domain::scope::TenantScope;
use std::sync::Arc;
use std::time::Duration;
use tools::gateway::ToolGateway;
use tools::ingest::interface::{JobOutcome, RetryLater};

/// Number of approvals that are read at a time.
const BATCH: u32 = 50;
/// Number of batches after which other jobs of the tenant take precedence.
const MAX_ROUNDS: u32 = 4;

/// Dependencies of [`ApprovalProcessor`].
#[derive(Clone)]
pub struct ProcessorPorts {
    /// Transactions of a tenant.
    pub store: Arc<dyn Store>,
    /// Executes tools that write.
    pub tools: Arc<dyn ToolGateway>,
    /// Evaluates the current rights of requesters and approvers.
    pub rules: Arc<dyn AccessRules>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Source of new ids.
    pub ids: Arc<dyn IdGen>,
}

/// Processes the approvals of a tenant.
pub struct ApprovalProcessor {
    ports: ProcessorPorts,
    notifier: Notifier,
    settle_for: Duration,
}

impl ApprovalProcessor {
    /// How long to search for a write that may have taken effect.
    pub const SETTLE_FOR: Duration = Duration::from_secs(30);

    /// Creates a processor.
    #[must_use]
    pub fn new(ports: ProcessorPorts) -> Self {
        let ProcessorPorts { store, clock, ids, .. } = ports.clone();
        Self { ports, notifier: Notifier { store, clock, ids }, settle_for: Self::SETTLE_FOR }
    }

    /// Sets how long to search for a write that may have taken effect, before its outcome counts as unknown.
    #[must_use]
    pub fn settling_for(self, settle_for: Duration) -> Self {
        Self { settle_for, ..self }
    }

    /// Processes what is due, and completes the job once nothing is. An approval that cannot be processed does not
    /// block the others.
    ///
    /// # Errors
    /// If the job should be retried, usually because the database or a plant system is not available.
    pub async fn process(&self, job: &LeasedJob) -> Result<JobOutcome, RetryLater> {
        for _ in 0..MAX_ROUNDS {
            let mut failure = None;
            for id in self.due(&job.scope, BATCH).await? {
                if let Err(error) = self.advance(&job.scope, id).await {
                    tracing::warn!(approval_id = %id, %error, "an approval could not be processed");
                    failure = Some(error);
                }
            }
            match failure {
                Some(error) => return Err(error),
                None => {
                    if let Some(outcome) = self.complete(job).await? {
                        return Ok(outcome);
                    }
                }
            }
        }
        Ok(JobOutcome::Unfinished)
    }

    async fn due(&self, scope: &TenantScope, limit: u32) -> Result<Vec<ApprovalId>, StoreError> {
        let mut tx = self.ports.store.begin(scope).await?;
        tx.approvals().due(self.ports.clock.now(), limit).await
    }

    /// Removes the job; returns `None` and keeps it if something has become due. A concurrent insert of the job waits
    /// for this transaction and then inserts a new one, so no approval is left behind.
    async fn complete(&self, job: &LeasedJob) -> Result<Option<JobOutcome>, StoreError> {
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().complete(job.lease).await? {
            return Ok(Some(JobOutcome::Stale));
        }
        if !tx.approvals().due(self.ports.clock.now(), 1).await?.is_empty() {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(JobOutcome::Done))
    }

    /// Takes the next step of one approval.
    async fn advance(&self, scope: &TenantScope, id: ApprovalId) -> Result<(), RetryLater> {
        let mut tx = self.ports.store.begin(scope).await?;
        let Some(approval) = lock_with_policy(&mut *tx, id).await? else { return Ok(()) };
        let has_expired = approval.expires_at <= self.ports.clock.now();
        match approval.status {
            ApprovalStatus::Pending if has_expired => Ok(self.end_waiting(tx, approval).await?),
            ApprovalStatus::Approved => match self.start(tx, approval, has_expired).await? {
                Some(executing) => self.execute(scope, &executing, Attempt::First).await,
                None => Ok(()),
            },
            ApprovalStatus::Executing => {
                drop(tx);
                self.execute(scope, &approval, Attempt::Resumed).await
            }
            _ if approval.is_notice_due => {
                drop(tx);
                Ok(self.notifier.append(scope, &approval).await?)
            }
            _ => Ok(()),
        }
    }

    /// Escalates a request that nobody decided on in time, or lets it expire.
    async fn end_waiting(&self, mut tx: Box<dyn TenantTx>, mut approval: Approval) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        if approval.will_be_escalated() {
            let expires_at = now + TimeDelta::seconds(i64::from(approval.terms.expires_after_s));
            tx.approvals().escalate(approval.id, expires_at, now).await?;
            (approval.is_escalated, approval.expires_at) = (true, expires_at);
            let event = ApprovalEvent::new(EventType::APPROVAL_ESCALATED, &approval);
            event.record(&mut *tx, &*self.ports.ids, now).await?;
            return tx.commit().await;
        }
        self.expire(tx, approval).await
    }

    async fn expire(&self, mut tx: Box<dyn TenantTx>, mut approval: Approval) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        let expire = StatusTransition::new(approval.status, ApprovalStatus::Expired);
        tx.approvals().transition(approval.id, &expire, now).await?;
        approval.status = ApprovalStatus::Expired;
        let event = ApprovalEvent::new(EventType::APPROVAL_EXPIRED, &approval);
        event.record(&mut *tx, &*self.ports.ids, now).await?;
        tx.commit().await
    }

    /// Checks an approved write again and marks it as executing; returns it if it may be executed. While the plant mode
    /// forbids writes, it stays approved until it expires.
    async fn start(
        &self,
        mut tx: Box<dyn TenantTx>,
        mut approval: Approval,
        has_expired: bool,
    ) -> Result<Option<Approval>, StoreError> {
        if has_expired {
            self.expire(tx, approval).await?;
            return Ok(None);
        }
        if !tx.plant_mode().get().await?.mode.allows_writes() {
            return Ok(None);
        }
        let spec = self.ports.tools.write_tool(&mut *tx, &approval.tool).await?;
        if let Err(error) = check_again(&mut *tx, &*self.ports.rules, spec.as_ref(), &approval).await? {
            self.record(tx, approval, Err(error)).await?;
            return Ok(None);
        }
        let start = StatusTransition::new(ApprovalStatus::Approved, ApprovalStatus::Executing);
        tx.approvals().transition(approval.id, &start, self.ports.clock.now()).await?;
        tx.commit().await?;
        approval.status = ApprovalStatus::Executing;
        Ok(Some(approval))
    }

    /// Executes an approval in the state `executing`, unless an earlier attempt has, and records the outcome.
    async fn execute(&self, scope: &TenantScope, approval: &Approval, attempt: Attempt) -> Result<(), RetryLater> {
        let write = WriteAttempt { ports: &self.ports, scope, approval, settle_for: self.settle_for };
        let result = write.run(attempt).await?;
        let mut tx = self.ports.store.begin(scope).await?;
        let Some(current) = tx.approvals().lock(approval.id).await? else { return Ok(()) };
        if current.status != ApprovalStatus::Executing {
            return Ok(());
        }
        Ok(self.record(tx, current, result).await?)
    }

    /// Records the outcome of an execution, or why there was none.
    async fn record(
        &self,
        mut tx: Box<dyn TenantTx>,
        mut approval: Approval,
        result: Outcome,
    ) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        let to = if result.is_ok() { ApprovalStatus::Executed } else { ApprovalStatus::Failed };
        let (result, error) = match result {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        let transition = StatusTransition { result, error, ..StatusTransition::new(approval.status, to) };
        tx.approvals().transition(approval.id, &transition, now).await?;
        approval.status = to;
        let reason = transition.error.as_ref().map(|error| error.code.as_str());
        let status = if reason.is_none() { ResultStatus::Success } else { ResultStatus::Error };
        let event = ApprovalEvent { status, reason, ..ApprovalEvent::new(EventType::APPROVAL_EXECUTED, &approval) };
        event.record(&mut *tx, &*self.ports.ids, now).await?;
        tx.commit().await
    }
}
