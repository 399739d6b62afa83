//! Settings of the gateway that the operator can change.

use crate::console::ConsoleSettings;
use crate::mcp::McpSettings;
use std::time::Duration;

/// Settings of the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewaySettings {
    /// Enables the rate limits per user, tenant and peer address. Off in tests and benchmarks only.
    pub rate_limit_enabled: bool,
    /// Maximum requests per second of one peer address, counted before authentication; 0 disables this limit.
    pub peer_requests_per_second: u32,
    /// Maximum size of a burst of requests from one peer address.
    pub peer_burst: u32,
    /// Whether the server is behind a reverse proxy. If so, the peer address is the last entry of `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Maximum size of a JSON body, in bytes.
    pub max_json_bytes: u64,
    /// Maximum size of an uploaded file, in bytes.
    pub max_upload_bytes: u64,
    /// Maximum time to read the form of a repeated upload to compute its digest.
    pub form_digest_timeout: Duration,
    /// Maximum number of requests in flight; further ones are rejected with 503.
    pub max_in_flight: usize,
    /// Maximum pause between two frames of a request body.
    pub body_read_timeout: Duration,
    /// Time without an event after which an event stream sends a keep-alive comment, so that proxies keep the
    /// connection open.
    pub keep_alive_interval: Duration,
    /// Maximum time to read and discard the rest of a rejected request's body, so that the client receives the
    /// response.
    pub lingering_close_timeout: Duration,
    /// Sign-in settings of the console.
    pub console: ConsoleSettings,
    /// The MCP endpoint.
    pub mcp: McpSettings,
}

impl GatewaySettings {
    /// Maximum time to receive the header of a request. Applied by [`crate::serve`], since axum has no such timeout.
    pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(15);
    /// Maximum nesting depth of a JSON body.
    pub const MAX_JSON_DEPTH: usize = 64;
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            rate_limit_enabled: true,
            peer_requests_per_second: 200,
            peer_burst: 400,
            behind_proxy: false,
            max_json_bytes: 1 << 20,
            max_upload_bytes: 100 << 20,
            form_digest_timeout: Duration::from_secs(15 * 60),
            max_in_flight: 128,
            body_read_timeout: Duration::from_secs(20),
            keep_alive_interval: Duration::from_secs(15),
            lingering_close_timeout: Duration::from_secs(10),
            console: ConsoleSettings::default(),
            mcp: McpSettings::default(),
        }
    }
}
