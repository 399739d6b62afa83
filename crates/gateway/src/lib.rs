//! The HTTP and SSE edge: parses requests into commands, hands them to the policy gate, writes answers.
//!
//! The gateway knows HTTP and nothing else. Its only way down is [`policy::gate::Gates`]; it never sees a database, a
//! model or a use case. What a client sent is checked here once, completely, and travels on as a bounded command.
//!
//! ```
//! use fakes::SequentialIds;
//! use gateway::{AlwaysReady, GatewaySettings, InProcessLimiter, Ports};
//! use policy::gate::Gates;
//! use std::sync::Arc;
//! use tokio_util::task::TaskTracker;
//!
//! fn serve(gates: Gates) -> axum::Router {
//!     let ports = Ports {
//!         ids: Arc::new(SequentialIds::default()),
//!         readiness: Arc::new(AlwaysReady),
//!         limiter: Arc::new(InProcessLimiter::default()),
//!         metrics: None,
//!         tasks: TaskTracker::new(),
//!     };
//!     gateway::router(gates, ports, GatewaySettings::default())
//! }
//! ```
//!
//! Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: the limit per peer needs the peer's address.

mod app;
mod body;
mod bounds;
mod caller;
mod error;
mod file_name;
mod headers;
mod idempotency;
mod linger;
mod load;
mod metrics;
mod multipart;
mod openai;
mod openapi;
mod paced;
mod page;
mod peer_limit;
mod problem;
mod query;
mod range;
mod rate_limit;
mod readiness;
#[expect(unused_qualifications, reason = "utoipa's macros qualify names that need it not")]
mod routes;
pub mod serve;
mod settings;
mod settings_change;
mod sse;
mod trace;
mod wire;

pub use app::{Ports, router};
pub use metrics::HttpMetrics;
pub use openapi::openapi;
pub use rate_limit::{
    Ask, Decision, InProcessLimiter, LimiterMetrics, RateKey, RateLimiter, SharedLimiter, SharedLimiterError, Whose,
    Window,
};
pub use readiness::{AlwaysReady, Component, Readiness};
pub use settings::GatewaySettings;
