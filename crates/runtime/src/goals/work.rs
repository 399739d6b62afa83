//! What the parts of a worker of goals share: its ports and limits, and the end of its leases.

use crate::chat::{ChatService, ChatSettings};
use crate::run::budget_reservation::BudgetReserver;
use crate::run::ports::RunPorts;
use crate::run::runner::Runner;
use domain::ports::{GoalClaim, GoalQueue};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Limits and timing of a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GoalWorkerSettings {
    /// Maximum number of steps and plans that this process works on at once.
    pub concurrency: usize,
    /// Maximum number of steps and plans of one tenant that all processes work on at once.
    pub max_per_tenant: u32,
    /// Duration of a lease without a heartbeat: how late another process takes over after a crash.
    pub lease: Duration,
    /// Interval between heartbeats: how late a cancellation is noticed.
    pub heartbeat: Duration,
    /// How long to wait for a notification before the queue is asked again.
    pub poll_interval: Duration,
}

impl Default for GoalWorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 32,
            max_per_tenant: 8,
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_secs(1),
            poll_interval: Duration::from_millis(500),
        }
    }
}

/// Works on the goals of all tenants. Clones share the runs.
#[derive(Clone)]
pub struct GoalWorker {
    pub(super) runner: Runner,
    chat_settings: ChatSettings,
    pub(super) queue: Arc<dyn GoalQueue>,
    pub(super) settings: GoalWorkerSettings,
}

/// Ends when work must stop: its lease was lost, its goal was cancelled, or the process shuts down.
pub(super) struct Stop<'a> {
    pub worker: &'a GoalWorker,
    pub claim: &'a GoalClaim,
    pub shutdown: &'a CancellationToken,
}

impl Stop<'_> {
    /// Extends the lease until the work must stop. A failed heartbeat alone does not end it, since the database may
    /// only be unavailable for a while.
    pub(super) async fn wait(&self) {
        loop {
            let pause = tokio::time::sleep(self.worker.settings.heartbeat);
            if self.shutdown.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if let Ok(false) = self.worker.queue.heartbeat(self.claim, self.worker.settings.lease).await {
                return;
            }
        }
    }
}

impl GoalWorker {
    /// Creates a worker whose runs are those of `chat`.
    #[must_use]
    pub fn new(chat: &ChatService, queue: Arc<dyn GoalQueue>, settings: GoalWorkerSettings) -> Self {
        Self { runner: chat.runner().clone(), chat_settings: chat.settings(), queue, settings }
    }

    pub(super) fn ports(&self) -> &RunPorts {
        self.runner.ports()
    }

    pub(super) fn budgets(&self) -> &BudgetReserver {
        self.runner.budgets()
    }

    pub(super) fn chat_settings(&self) -> ChatSettings {
        self.chat_settings
    }
}
