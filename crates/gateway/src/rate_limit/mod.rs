//! Rate limits: per user by minute and hour, depending on the role, and per tenant by day.
//!
//! The algorithm is GCRA (generic cell rate algorithm): it allows a burst of the whole quota, which is refilled evenly
//! over the window. Each request is checked against several policies. If one of them refuses it, it is not counted
//! against any of them.

mod in_process;
mod limiter;
mod quota;
mod shared;

pub use in_process::InProcessLimiter;
pub use limiter::RateLimiter;
pub use quota::{PartitionKey, QuotaPolicy, RateLimitDecision, RemainingQuota};
pub use shared::{LimiterMetrics, SharedLimiter, SharedLimiterError};

use crate::error::ApiError;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::error::ErrorKind;
use std::time::Duration;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Creates the error of a request above the limit: 429 with `Retry-After`.
pub(crate) fn rate_limited(retry_after: Duration) -> ApiError {
    ApiError { retry_after: Some(retry_after), ..ApiError::from_kind(ErrorKind::RateLimited) }
}

/// Writes `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
pub(crate) fn write_headers(decision: &RateLimitDecision, headers: &mut HeaderMap) {
    let header_value = |item: fn(&RemainingQuota) -> String| {
        let items: Vec<_> = decision.quotas.iter().map(item).collect();
        HeaderValue::try_from(items.join(", "))
    };
    let policies = header_value(|quota| format!(r#""{}";q={};w={}"#, quota.name, quota.quota, quota.window.as_secs()));
    let remaining = header_value(|quota| {
        format!(r#""{}";r={};t={}"#, quota.name, quota.remaining, seconds_rounded_up(quota.reset))
    });
    if let (Ok(policies), Ok(remaining)) = (policies, remaining) {
        headers.insert(RATE_LIMIT_POLICY, policies);
        headers.insert(RATE_LIMIT, remaining);
    }
}

fn seconds_rounded_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
