//! The ports that runs call.

use domain::ports::{AccessRules, ChatModel, Clock, IdGen, Store};
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tools::gateway::ToolGateway;

/// The ports that runs call.
#[derive(Clone)]
pub struct RunPorts {
    pub store: Arc<dyn Store>,
    pub tools: Arc<dyn ToolGateway>,
    pub model: Arc<dyn ChatModel>,
    /// Which rights of a permit remain while a run goes on.
    pub rules: Arc<dyn AccessRules>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdGen>,
    /// Tracks runs under way, for shutdown to wait for.
    pub tasks: TaskTracker,
}
