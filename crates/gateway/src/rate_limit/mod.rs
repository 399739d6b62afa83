//! How many requests may be made: of one user in a minute and an hour, by role, and of one tenant in a day.
//!
//! The generic cell rate algorithm: a burst of the whole quota, refilled evenly over the window. All windows of a request
//! are looked at together; a request that one of them refuses is charged to none.

mod in_process;
mod shared;
mod window;

pub use in_process::InProcessLimiter;
pub use shared::{LimiterMetrics, SharedLimiter, SharedLimiterError};
pub use window::{Ask, Decision, RateKey, Whose, Window};

use crate::error::ApiError;
use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::error::ErrorKind;
use std::time::Duration;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Counts requests: in the memory of one process, or shared by several servers.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Counts one request against all these windows, or against none if one of them refuses it.
    async fn check(&self, asked: &[Ask]) -> Decision;
}

/// The answer to one request too many.
pub(crate) fn refusal(retry_after: Duration) -> ApiError {
    ApiError { retry_after: Some(retry_after), ..ApiError::of(ErrorKind::RateLimited) }
}

/// `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers has them.
pub(crate) fn write_headers(decision: &Decision, headers: &mut HeaderMap) {
    let list = |item: fn(&Window) -> String| {
        let items: Vec<_> = decision.windows.iter().map(item).collect();
        HeaderValue::try_from(items.join(", "))
    };
    let policy = list(|w| format!(r#""{}";q={};w={}"#, w.name, w.quota, w.length.as_secs()));
    let state = list(|w| format!(r#""{}";r={};t={}"#, w.name, w.remaining, seconds_up(w.reset)));
    if let (Ok(policy), Ok(state)) = (policy, state) {
        headers.insert(RATE_LIMIT_POLICY, policy);
        headers.insert(RATE_LIMIT, state);
    }
}

fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
