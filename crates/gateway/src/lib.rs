//! The HTTP server: parses requests into commands, has the policy gate execute them, writes responses and event streams.
//!
//! The gateway knows HTTP and nothing else. Its only way down is [`policy::gate::Gate`]; it never sees a database, a
//! model or a use case. What a client sent is checked here once, completely, and travels on as a bounded command.
//!
//! ```
//! use fakes::SequentialIds;
//! use gateway::{AlwaysReady, GatewaySettings, InProcessLimiter, Ports};
//! use policy::gate::Gate;
//! use std::sync::Arc;
//! use tokio_util::task::TaskTracker;
//!
//! fn serve(gate: Arc<dyn Gate>) -> axum::Router {
//!     let ports = Ports {
//!         ids: Arc::new(SequentialIds::default()),
//!         readiness: Arc::new(AlwaysReady),
//!         limiter: Arc::new(InProcessLimiter::default()),
//!         metrics: None,
//!         tasks: TaskTracker::new(),
//!     };
//!     gateway::router(gate, ports, GatewaySettings::default())
//! }
//! ```
//!
//! Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: the limit per peer needs the peer's address.

mod body;
mod bounds;
mod caller;
mod error;
mod file_name;
mod form_digest;
mod headers;
mod idempotency;
mod lingering_close;
mod load;
mod metrics;
mod multipart;
mod openai;
mod openapi;
mod page;
mod peer_limit;
mod problem;
mod problem_kind;
mod query;
mod range;
mod rate_limit;
mod readiness;
mod request_info;
mod router;
#[expect(unused_qualifications, reason = "utoipa's macros qualify names that need it not")]
mod routes;
mod run_reference;
pub mod serve;
mod settings;
mod settings_change;
mod sse;
mod state;
mod throttled;
mod trace;
mod wire;

pub use metrics::HttpMetrics;
pub use openapi::openapi;
pub use rate_limit::{
    Ask, Decision, InProcessLimiter, LimiterMetrics, RateKey, RateLimiter, SharedLimiter, SharedLimiterError, Whose,
    Window,
};
pub use readiness::{AlwaysReady, Component, Readiness};
pub use router::{Ports, router};
pub use settings::GatewaySettings;
