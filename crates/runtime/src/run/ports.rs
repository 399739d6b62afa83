//! The ports that runs use.

use domain::ports::{AccessRules, ChatModel, Clock, IdGen, PrivacyScanner, Store};
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tools::gateway::ToolGateway;

/// The ports that runs use.
#[derive(Clone)]
pub struct RunPorts {
    pub store: Arc<dyn Store>,
    pub tools: Arc<dyn ToolGateway>,
    pub model: Arc<dyn ChatModel>,
    pub privacy: Arc<dyn PrivacyScanner>,
    /// Rules that re-evaluate a permit while its run is in progress.
    pub rules: Arc<dyn AccessRules>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdGen>,
    /// Tracks runs in progress, so that shutdown can wait for them.
    pub tasks: TaskTracker,
}
