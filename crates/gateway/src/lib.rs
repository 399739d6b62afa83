//! The HTTP server: parses requests into commands, executes them through the policy gate, and writes responses and
//! event streams.
//!
//! The gateway handles HTTP only. It accesses the layers below through [`policy::gate::Gate`] and nothing else, never a
//! database, a model or a use case directly. It validates client input once and completely, and passes it on as a
//! command of limited size.
//!
//! ```
//! use fakes::SequentialIds;
//! use gateway::console::ConsolePorts;
//! use gateway::{AlwaysReady, GatewaySettings, InProcessLimiter, Ports};
//! use policy::gate::Gate;
//! use std::sync::Arc;
//! use tokio_util::task::TaskTracker;
//!
//! fn serve(gate: Arc<dyn Gate>) -> axum::Router {
//! let ports = Ports {
//! ids: Arc::new(SequentialIds::default()),
//! readiness: Arc::new(AlwaysReady),
//! limiter: Arc::new(InProcessLimiter::default()),
//! metrics: None,
//! tasks: TaskTracker::new(),
//! console: ConsolePorts::default(),
//! };
//! gateway::router(gate, ports, GatewaySettings::default())
//! }
//! ```
//!
//! Serve the router with [`serve::serve`], or with another server that sets `ConnectInfo<SocketAddr>`: the limit
//! per peer needs the peer's address.

mod body;
mod caller;
mod chart;
pub mod console;
mod csv;
mod csv_body;
mod error;
mod fields;
mod file_name;
mod form_digest;
mod goal_rules_change;
mod header_size;
mod headers;
mod idempotency;
mod lingering_close;
mod load_shedding;
mod mcp;
mod merge_patch;
mod metrics;
mod multipart;
mod openai;
mod openapi;
mod page;
mod peer_limit;
mod privacy_change;
mod problem;
mod problem_kind;
mod query;
mod range;
mod rate_limit;
mod readiness;
mod request_info;
mod resume;
mod router;
#[expect(unused_qualifications, reason = "utoipa's macros qualify names unnecessarily")]
mod routes;
mod run_reference;
pub mod serve;
mod settings;
mod settings_change;
mod sse;
mod state;
mod team_settings_change;
mod throttled_body;
mod trace;
mod trace_context;

pub use mcp::McpSettings;
pub use metrics::HttpMetrics;
pub use openapi::openapi;
pub use rate_limit::{
    InProcessLimiter, LimiterMetrics, PartitionKey, QuotaPolicy, RateLimitDecision, RateLimiter, RemainingQuota,
    SharedLimiter, SharedLimiterError,
};
pub use readiness::{AlwaysReady, Component, Readiness};
pub use router::{Ports, router};
pub use settings::GatewaySettings;
