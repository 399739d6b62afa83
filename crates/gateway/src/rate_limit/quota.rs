//! Quota policies and the GCRA arithmetic, in whole microseconds. Both limiters use it, so that they make the same
//! decisions.

use domain::ids::{TenantId, UserId};
use domain::tenant::RateLimit;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Identifies the requests that count against the same quota.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PartitionKey {
    /// The requests of one user.
    User {
        /// The user's tenant.
        tenant: TenantId,
        /// Id of the user, unique within the tenant.
        user: UserId,
    },
    /// The requests of all users of a tenant.
    Tenant(TenantId),
}

/// A quota policy (draft-ietf-httpapi-ratelimit-headers): a number of requests per window of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaPolicy {
    /// The user or tenant whose requests count against the policy.
    pub partition: PartitionKey,
    /// Name of the policy in the headers, such as `minute`.
    pub name: &'static str,
    /// Requests that the policy allows per window.
    pub quota: u32,
    /// Time in which an exhausted quota is refilled completely.
    pub window: Duration,
}

impl QuotaPolicy {
    /// Returns the policies of one user, per minute and per hour.
    #[must_use]
    pub fn for_user(tenant: TenantId, user: UserId, limit: RateLimit) -> [Self; 2] {
        let partition = PartitionKey::User { tenant, user };
        [
            Self { partition, name: "minute", quota: limit.per_minute, window: MINUTE },
            Self { partition, name: "hour", quota: limit.per_hour, window: HOUR },
        ]
    }

    /// Returns the policy of all users of a tenant together, per day.
    #[must_use]
    pub fn for_tenant(tenant: TenantId, per_day: u64) -> Self {
        let per_day = u32::try_from(per_day).unwrap_or(u32::MAX);
        Self { partition: PartitionKey::Tenant(tenant), name: "tenant-day", quota: per_day, window: DAY }
    }

    /// Returns the time in which the quota is refilled by one request, in microseconds.
    pub(super) fn emission_interval(&self) -> u64 {
        (micros(self.window) / u64::from(self.quota.max(1))).max(1)
    }

    /// Returns the maximum backlog that the policy allows, in microseconds: a burst of the whole quota.
    pub(super) fn tolerance(&self) -> u64 {
        self.emission_interval() * u64::from(self.quota)
    }

    /// Returns whether the policy refuses one more request. `backlog` is the theoretical arrival time (TAT) minus the
    /// current time, in microseconds.
    pub(super) fn refuses(&self, backlog: u64) -> bool {
        backlog + self.emission_interval() > self.tolerance()
    }

    fn remaining(&self, backlog: u64) -> RemainingQuota {
        let remaining = self.tolerance().saturating_sub(backlog) / self.emission_interval();
        RemainingQuota {
            name: self.name,
            quota: self.quota,
            window: self.window,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset: Duration::from_micros(backlog),
        }
    }
}

/// The rest of a quota after a request was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemainingQuota {
    /// Name of the policy in the headers.
    pub name: &'static str,
    /// Requests that the policy allows per window.
    pub quota: u32,
    /// Window of the policy.
    pub window: Duration,
    /// Requests that are allowed right now.
    pub remaining: u32,
    /// Time until the next request is allowed if the policy refused this one, otherwise until the quota is full again.
    pub reset: Duration,
}

/// Result of a check: whether the request is allowed, and what is left of each quota.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateLimitDecision {
    /// One entry per policy, in the order of the policies.
    pub quotas: Vec<RemainingQuota>,
    /// Time to wait before the next attempt if the request is refused, otherwise `None`.
    pub retry_after: Option<Duration>,
}

impl RateLimitDecision {
    /// `backlogs` contains the backlog of each policy in microseconds. It includes this request unless the request is
    /// refused.
    pub(super) fn new(policies: &[QuotaPolicy], backlogs: &[u64], refused: bool) -> Self {
        let mut retry_after = None;
        let quotas = policies.iter().zip(backlogs).map(|(policy, backlog)| {
            let mut quota = policy.remaining(*backlog);
            if refused && policy.refuses(*backlog) {
                quota.reset = Duration::from_micros(backlog + policy.emission_interval() - policy.tolerance());
                retry_after = retry_after.max(Some(quota.reset));
            }
            quota
        });
        let quotas = quotas.collect();
        Self { quotas, retry_after }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
