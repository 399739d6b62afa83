//! What an operator may set of the edge.

use std::time::Duration;

/// Settings of the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewaySettings {
    /// Limits per user and per peer address. Off for tests and measurements only.
    pub rate_limit_enabled: bool,
    /// Requests per second of one peer address, before authentication; 0 means no such limit.
    pub peer_per_second: u32,
    /// Requests that one peer address may make at once.
    pub peer_burst: u32,
    /// A reverse proxy stands before the server: the peer is the last entry of `X-Forwarded-For`, which it wrote.
    pub behind_proxy: bool,
    /// Largest JSON body, in bytes.
    pub max_json_bytes: u64,
    /// Largest uploaded file, in bytes.
    pub max_upload_bytes: u64,
    /// Longest time in which a form that was sent before is read again.
    pub upload_limit: Duration,
    /// Requests in hand at once; more are refused until some are answered.
    pub max_in_flight: usize,
    /// Longest pause within a request's body.
    pub body_stall: Duration,
    /// How often a silent event stream sends a comment, so that proxies keep the line open.
    pub keep_alive: Duration,
    /// How long the rest of a refused request's body is read and thrown away, so that its sender gets to see why.
    pub linger: Duration,
}

impl GatewaySettings {
    /// Seconds within which a client must have sent a request's header. For the accept loop: axum sets no such limit.
    pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(15);
    /// Deepest nesting of a JSON body.
    pub const MAX_JSON_DEPTH: usize = 64;
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            rate_limit_enabled: true,
            peer_per_second: 200,
            peer_burst: 400,
            behind_proxy: false,
            max_json_bytes: 1 << 20,
            max_upload_bytes: 100 << 20,
            upload_limit: Duration::from_secs(15 * 60),
            max_in_flight: 128,
            body_stall: Duration::from_secs(20),
            keep_alive: Duration::from_secs(15),
            linger: Duration::from_secs(10),
        }
    }
}
