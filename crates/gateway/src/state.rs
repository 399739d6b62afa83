//! State that middleware and handlers share. Each extracts the part that it needs as `State<Part>`.

use crate::console::ConsoleState;
use crate::load_shedding::LoadLimit;
use crate::mcp::McpEndpoint;
use crate::peer_limit::PeerLimit;
use crate::rate_limit::RateLimiter;
use crate::readiness::Readiness;
use crate::settings::GatewaySettings;
use axum::extract::FromRef;
use policy::gate::Gate;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// State of the router.
#[derive(Clone, FromRef)]
pub(crate) struct AppState {
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) readiness: Arc<dyn Readiness>,
    pub(crate) limiter: Arc<dyn RateLimiter>,
    pub(crate) peer_limit: PeerLimit,
    pub(crate) settings: Arc<GatewaySettings>,
    /// Tracks requests that continue after their client has disconnected; shutdown waits for them.
    pub(crate) tasks: TaskTracker,
    pub(crate) load_limit: LoadLimit,
    pub(crate) console: ConsoleState,
    pub(crate) mcp: McpEndpoint,
}
