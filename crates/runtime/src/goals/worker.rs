//! The worker of goals: claims planning and steps of all tenants, several at a time, and works on them while their
//! leases are extended.

use super::planning::PlanLease;
use super::step_run::StepStart;
use super::work::{GoalWorker, Stop};
use crate::error::RuntimeError;
use crate::run::Replay;
use domain::ports::{GoalClaim, GoalWork, StepLease, StoreError};
use domain::scope::TenantScope;
use futures::StreamExt as _;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

impl GoalWorker {
    /// Works until `shutdown` is cancelled. What is in progress then goes back to the queue.
    pub async fn run(&self, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.settings.concurrency));
        let tasks = TaskTracker::new();
        while !shutdown.is_cancelled() {
            let slot = shutdown.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await;
            let Some(Ok(slot)) = slot else { break };
            match self.queue.claim(self.settings.max_per_tenant, self.settings.lease).await {
                Ok(Some(claim)) => {
                    let (worker, shutdown) = (self.clone(), shutdown.clone());
                    let span = tracing::debug_span!(
                        "goal_work",
                        tenant = %claim.scope.tenant(),
                        goal_id = %claim.work.goal(),
                    );
                    let work = async move {
                        worker.work_on(&claim, &shutdown).await;
                        drop(slot);
                    };
                    tasks.spawn(work.instrument(span));
                }
                Ok(None) => self.pause(&shutdown).await,
                Err(error) => {
                    tracing::warn!(%error, "failed to claim work on a goal");
                    self.pause(&shutdown).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn pause(&self, shutdown: &CancellationToken) {
        let _ = shutdown.run_until_cancelled(self.queue.wait(self.settings.poll_interval)).await;
    }

    /// Does the claimed work. What fails is tried again once its lease has expired.
    async fn work_on(&self, claim: &GoalClaim, shutdown: &CancellationToken) {
        let stop = Stop { worker: self, claim, shutdown };
        let result = match &claim.work {
            GoalWork::Plan { goal, token } => {
                self.plan(PlanLease { scope: &claim.scope, goal: *goal, token: *token }, stop).await
            }
            GoalWork::Execute(lease) => self.execute(&claim.scope, lease, stop).await,
            GoalWork::Settle(lease) => self.settle(&claim.scope, lease).await,
        };
        if let Err(error) = result {
            tracing::warn!(goal_id = %claim.work.goal(), %error, "work on a goal failed");
        }
    }

    /// Executes a step: starts its run, and waits for its end.
    async fn execute(&self, scope: &TenantScope, lease: &StepLease, stop: Stop<'_>) -> Result<(), StoreError> {
        let admission = match self.runner.admit(scope) {
            Ok(admission) => admission,
            Err(RuntimeError::Busy) => {
                tracing::debug!(goal_id = %lease.goal, "a step waits: too many runs at the same time");
                return Ok(());
            }
            Err(error) => {
                tracing::warn!(goal_id = %lease.goal, %error, "a step cannot be executed");
                return Ok(());
            }
        };
        let StepStart::Run(run, finisher) = self.start_step(scope, lease).await? else { return Ok(()) };
        let (id, permit) = (run.id, run.permit.clone());
        let mut events = self.runner.start(admission, *run, *finisher, Replay::Never);
        let read_to_end = async { while events.next().await.is_some() {} };
        tokio::pin!(read_to_end);
        tokio::select! {
            () = &mut read_to_end => return Ok(()),
            () = stop.wait() => {}
        }
        if let Err(error) = self.runner.cancel(&permit, id).await {
            tracing::debug!(run_id = %id, %error, "the run of a step could not be cancelled");
        }
        read_to_end.await;
        Ok(())
    }
}
