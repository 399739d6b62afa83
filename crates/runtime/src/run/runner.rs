//! Starts runs, and finds those under way.

use super::concurrency::{RunLimiter, RunPermit};
use super::context::RunContext;
use super::definition::Run;
use super::execute::execute;
use super::finish::{Finisher, finish};
use super::log::{Replay, RunLog, RunLogs, RunOwner};
use super::ports::RunPorts;
use super::progress::Progress;
use super::reserve::BudgetReserver;
use super::supervise::{current_class, supervise};
use crate::error::RuntimeError;
use domain::authorized::Permit;
use domain::ids::RunId;
use domain::run::{EventStream, RunEvent};
use domain::scope::TenantScope;
use std::sync::Arc;
use tracing::Instrument as _;

/// Starts runs, and finds those under way. Clones share them.
#[derive(Clone)]
pub struct Runner {
    ports: RunPorts,
    budgets: BudgetReserver,
    logs: Arc<RunLogs>,
    limiter: Arc<RunLimiter>,
}

/// Maximum numbers of runs under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConcurrencyLimits {
    pub total: usize,
    pub per_tenant: usize,
}

/// Admission of one run: it counts towards the concurrency limits until it is dropped.
pub struct Admission {
    permit: RunPermit,
    owner: RunOwner,
}

impl Runner {
    pub fn new(ports: RunPorts, budgets: BudgetReserver, limits: ConcurrencyLimits) -> Self {
        let limiter = RunLimiter::new(limits.total, limits.per_tenant);
        Self { ports, budgets, logs: Arc::default(), limiter }
    }

    pub fn ports(&self) -> &RunPorts {
        &self.ports
    }

    pub fn budgets(&self) -> &BudgetReserver {
        &self.budgets
    }

    /// Admits a run of the user in this scope. Do it before the run is prepared.
    ///
    /// # Errors
    /// `Busy` if the platform or the tenant is at its concurrency limit; `NotFound` if no user acts.
    pub fn admit(&self, scope: &TenantScope) -> Result<Admission, RuntimeError> {
        let permit = self.limiter.try_acquire(scope.tenant()).ok_or(RuntimeError::Busy)?;
        let owner = RunOwner::of(scope).ok_or(RuntimeError::NotFound { what: "the user" })?;
        Ok(Admission { permit, owner })
    }

    /// Starts a run as a task of its own, which stores its end whatever becomes of the reader. Returns its events.
    pub fn start<F: Finisher>(&self, admission: Admission, run: Run, finisher: F, replay: Replay) -> EventStream {
        let Admission { permit, owner } = admission;
        let log = self.logs.open(run.id, owner, replay);
        let events = log.read(0);
        let runner = self.clone();
        let task = async move {
            runner.run_to_end(&run, &log, &finisher).await;
            runner.logs.close(run.id);
            drop(permit);
        };
        self.ports.tasks.spawn(task.in_current_span());
        events
    }

    async fn run_to_end<F: Finisher>(&self, run: &Run, log: &RunLog, finisher: &F) {
        let tier = run.agent.tier;
        log.push(RunEvent::Started {
            run_id: run.id,
            message_id: run.answer_id,
            model: tier.tier,
            escalated: tier.escalated,
        });
        let ctx = RunContext { run, log, ports: &self.ports, budgets: &self.budgets };
        let mut progress = Progress::new(run);
        // The progress survives however the execution ends: done, dropped or panicked.
        let end = supervise(ctx, execute(ctx, &mut progress)).await;
        let last = finish(&self.ports, run, progress, end, finisher).await;
        log.push(last);
    }

    /// The events after number `after` of a run that the caller owns.
    ///
    /// # Errors
    /// `NotFound` unless the caller has such a run that can be read again; `AboveClearance` if its answer is made from
    /// content above the caller's clearance by now; or if the store fails.
    pub async fn resume(&self, permit: &Permit, run: RunId, after: u64) -> Result<EventStream, RuntimeError> {
        let log = self.find(permit.scope(), run)?;
        if !log.can_be_replayed() {
            return Err(RuntimeError::NotFound { what: "the run" });
        }
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        let class = current_class(&mut *tx, &log.origin()).await?;
        drop(tx);
        if class > permit.clearance() {
            return Err(RuntimeError::AboveClearance);
        }
        Ok(log.read(after))
    }

    /// Cancels a run that the caller owns. It is no error if the run has ended.
    ///
    /// # Errors
    /// `NotFound` unless the caller has such a run.
    pub fn cancel(&self, scope: &TenantScope, run: RunId) -> Result<(), RuntimeError> {
        self.find(scope, run)?.cancel.cancel();
        Ok(())
    }

    /// Cancels all runs; what they have so far is stored.
    pub fn cancel_all(&self) {
        self.logs.cancel_all();
    }

    fn find(&self, scope: &TenantScope, run: RunId) -> Result<Arc<RunLog>, RuntimeError> {
        let log = RunOwner::of(scope).and_then(|owner| self.logs.get(run, owner));
        log.ok_or(RuntimeError::NotFound { what: "the run" })
    }
}
