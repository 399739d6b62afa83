//! Warns once per period when a budget is nearly used up.

use domain::budget::{BudgetLimit, Budgets, Spending};
use domain::ids::{TenantId, UserId};
use domain::scope::TenantScope;
use domain::time::{Date, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A budget limit of a tenant, or of one of its users.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct SoftLimitKey {
    tenant: TenantId,
    user: Option<UserId>,
    limit: BudgetLimit,
}

/// Logs a warning when the soft percentage of a limit is reached for the first time in a period.
#[derive(Debug, Default)]
pub struct SoftLimits {
    /// First day of the period in which the last warning about a limit was logged.
    warned_periods: Mutex<HashMap<SoftLimitKey, Date>>,
}

impl SoftLimits {
    /// Logs a warning for each limit whose soft percentage `spending` has reached.
    pub fn check(&self, scope: &TenantScope, budgets: &Budgets, spending: &Spending, now: Timestamp) {
        for limit in BudgetLimit::ALL.iter().filter(|limit| budgets.exceeds_soft_limit(**limit, spending)) {
            let user = scope.user().filter(|_| limit.is_per_user());
            if self.is_first_warning(SoftLimitKey { tenant: scope.tenant(), user, limit: *limit }, now) {
                let (used, allowed) = (spending.usage_of(*limit).spent, budgets.limit(*limit).unwrap_or_default());
                tracing::warn!(
                    tenant_id = %scope.tenant(), user_id = user.map(tracing::field::display), %limit, used, allowed,
                    "a budget is nearly used up"
                );
            }
        }
    }

    /// Returns whether this is the first warning in this period, and records it. Removes the warnings of earlier
    /// periods.
    fn is_first_warning(&self, key: SoftLimitKey, now: Timestamp) -> bool {
        let mut warned_periods = self.warned_periods.lock().unwrap_or_else(PoisonError::into_inner);
        let period = key.limit.period_start(now);
        if warned_periods.get(&key) == Some(&period) {
            return false;
        }
        warned_periods.retain(|other, warned_period| *warned_period == other.limit.period_start(now));
        warned_periods.insert(key, period);
        true
    }
}
