//! The interface of rate limiters.

use super::quota::{QuotaPolicy, RateLimitDecision};
use async_trait::async_trait;

/// Counts requests against quotas, in the memory of one process or in Redis for several servers together.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Checks one request against all of these policies, and counts it against each of them unless one refuses it.
    async fn check(&self, policies: &[QuotaPolicy]) -> RateLimitDecision;
}
