//! Goals: a worker makes a plan of an objective, its user approves it, and workers execute its steps, each as a run of
//! an agent.
//!
//! [`GoalService`] has the use cases of users. [`GoalWorker`] claims planning and steps of all tenants. Every
//! change of a goal holds the lock of its row; [`changes`] records its events and finds out what follows.

mod agents;
mod changes;
mod control;
mod earlier_outputs;
mod finisher;
mod follow;
mod planning;
mod service;
mod settle;
mod step_run;
mod view;
mod work;
mod worker;

pub use work::{GoalWorker, GoalWorkerSettings};

use domain::ports::{AccessRules, Clock, IdGen, PrivacyScanner, Store};
use std::sync::Arc;
use tools::gateway::ToolGateway;

/// Dependencies of [`GoalService`].
#[derive(Clone)]
pub struct GoalPorts {
    /// Transactions of a tenant.
    pub store: Arc<dyn Store>,
    /// The tools of agents.
    pub tools: Arc<dyn ToolGateway>,
    /// Finds text that the tenant's privacy rules cover.
    pub privacy: Arc<dyn PrivacyScanner>,
    /// Rules that re-evaluate a permit while events are followed.
    pub rules: Arc<dyn AccessRules>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Source of new ids.
    pub ids: Arc<dyn IdGen>,
}

/// Use cases of agents and goals.
pub struct GoalService {
    pub(crate) ports: GoalPorts,
}

impl GoalService {
    /// Creates the service.
    #[must_use]
    pub fn new(ports: GoalPorts) -> Self {
        Self { ports }
    }
}
