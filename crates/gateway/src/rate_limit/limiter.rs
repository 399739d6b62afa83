//! Interface of the rate limiters.

use super::quota::{QuotaPolicy, RateLimitDecision};
use async_trait::async_trait;

/// Counts requests against quotas, in the memory of one process or in Redis for several servers together.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Counts one request against all of these policies. If any of them refuses it, none counts it.
    async fn check(&self, policies: &[QuotaPolicy]) -> RateLimitDecision;
}
