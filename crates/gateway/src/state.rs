//! What layers and handlers share. Each takes the part that it needs, as `State<part>`.

use crate::load::LoadLimit;
use crate::peer_limit::PeerLimit;
use crate::rate_limit::RateLimiter;
use crate::readiness::Readiness;
use crate::settings::GatewaySettings;
use axum::extract::FromRef;
use policy::gate::Gate;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// The state of the router.
#[derive(Clone, FromRef)]
pub(crate) struct AppState {
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) readiness: Arc<dyn Readiness>,
    pub(crate) limiter: Arc<dyn RateLimiter>,
    pub(crate) peers: PeerLimit,
    pub(crate) settings: Arc<GatewaySettings>,
    /// Requests that go on after their client has hung up, for shutdown to wait for.
    pub(crate) tasks: TaskTracker,
    pub(crate) load: LoadLimit,
}
