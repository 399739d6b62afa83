//! The arithmetic of a window, in whole microseconds, the same wherever the counters lie.

use domain::ids::{TenantId, UserId};
use domain::tenant::RateTier;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A user of a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RateKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Whose {
    /// One user's.
    User(RateKey),
    /// All users' of a tenant.
    Tenant(TenantId),
}

/// One window that a request is counted against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Whose requests.
    pub whose: Whose,
    /// Its name in the headers.
    pub name: &'static str,
    /// Requests that it allows.
    pub quota: u32,
    /// Its length.
    pub length: Duration,
}

impl Ask {
    /// The two windows of one user.
    #[must_use]
    pub fn of_user(key: RateKey, tier: RateTier) -> [Self; 2] {
        let whose = Whose::User(key);
        [
            Self { whose, name: "minute", quota: tier.per_minute, length: MINUTE },
            Self { whose, name: "hour", quota: tier.per_hour, length: HOUR },
        ]
    }

    /// The window of a whole tenant.
    #[must_use]
    pub fn of_tenant(tenant: TenantId, per_day: u64) -> Self {
        let per_day = u32::try_from(per_day).unwrap_or(u32::MAX);
        Self { whose: Whose::Tenant(tenant), name: "tenant-day", quota: per_day, length: DAY }
    }

    /// Microseconds in which one request is given back.
    pub(super) fn emission(&self) -> u64 {
        (micros(self.length) / u64::from(self.quota.max(1))).max(1)
    }

    /// Microseconds of requests that fit in.
    pub(super) fn tolerance(&self) -> u64 {
        self.emission() * u64::from(self.quota)
    }

    /// Whether one more does not fit on top of `backlog` microseconds.
    pub(super) fn refuses(&self, backlog: u64) -> bool {
        backlog + self.emission() > self.tolerance()
    }

    /// What is left, with so much used.
    fn window(&self, backlog: u64) -> Window {
        Window {
            name: self.name,
            quota: self.quota,
            length: self.length,
            remaining: u32::try_from(self.tolerance().saturating_sub(backlog) / self.emission()).unwrap_or(u32::MAX),
            reset: Duration::from_micros(backlog),
        }
    }
}

/// One window after a request was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Its name in the headers.
    pub name: &'static str,
    /// Requests that it allows.
    pub quota: u32,
    /// Its length.
    pub length: Duration,
    /// Requests left at this moment.
    pub remaining: u32,
    /// Until there are more: one more where the window is used up, all of them otherwise.
    pub reset: Duration,
}

/// What became of a request, and what the caller has left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The windows, as they were asked.
    pub windows: Vec<Window>,
    /// The request is refused; how long to wait.
    pub retry_after: Option<Duration>,
}

impl Decision {
    /// The decision, from the microseconds in use of each window: before this request if it was refused, with it if not.
    pub(super) fn of(asked: &[Ask], backlogs: &[u64], refused: bool) -> Self {
        let mut retry_after = None;
        let windows = asked.iter().zip(backlogs).map(|(ask, backlog)| {
            let mut window = ask.window(*backlog);
            if refused && ask.refuses(*backlog) {
                window.reset = Duration::from_micros(backlog + ask.emission() - ask.tolerance());
                retry_after = retry_after.max(Some(window.reset));
            }
            window
        });
        let windows = windows.collect();
        Self { windows, retry_after }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
