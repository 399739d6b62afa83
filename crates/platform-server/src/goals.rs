//! Composes the use cases of agents and goals, and the worker that plans and executes goals.

use crate::compose::Platform;
use crate::config::Settings;
use crate::ports::SharedPorts;
use data::PgGoalQueue;
use domain::ports::PrivacyScanner;
use policy::rules::MatrixRules;
use runtime::goals::{GoalPorts, GoalService, GoalWorker};
use std::sync::Arc;
use tools::gateway::ToolGateway;

/// The use cases of agents and goals.
pub(crate) fn service(
    ports: &SharedPorts,
    tools: &Arc<dyn ToolGateway>,
    privacy: &Arc<dyn PrivacyScanner>,
) -> GoalService {
    let SharedPorts { store, clock, ids, .. } = ports.clone();
    let (tools, privacy) = (Arc::clone(tools), Arc::clone(privacy));
    GoalService::new(GoalPorts { store, tools, privacy, rules: Arc::new(MatrixRules), clock, ids })
}

/// The worker that plans and executes goals.
pub(crate) fn worker(settings: &Settings, platform: &Platform) -> GoalWorker {
    let queue = PgGoalQueue::new(platform.databases().worker.clone(), Arc::clone(&platform.queue));
    GoalWorker::new(&platform.chat, Arc::new(queue), (&settings.goals).into())
}
