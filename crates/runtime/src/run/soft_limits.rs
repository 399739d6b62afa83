//! Warns once per period when a budget is nearly used up.

use domain::budget::{BudgetLimit, Budgets, Spending};
use domain::ids::{TenantId, UserId};
use domain::scope::TenantScope;
use domain::time::{Date, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A limit of a tenant, or of one of its users.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct SoftLimit {
    tenant: TenantId,
    user: Option<UserId>,
    limit: BudgetLimit,
}

/// Logs a warning the first time in a period that the soft percentage of a limit is reached.
#[derive(Debug, Default)]
pub struct SoftLimits {
    /// First day of the period of the last warning.
    warned: Mutex<HashMap<SoftLimit, Date>>,
}

impl SoftLimits {
    /// Logs a warning for each limit that `spending` nearly reaches.
    pub fn check(&self, scope: &TenantScope, budgets: &Budgets, spending: &Spending, now: Timestamp) {
        for limit in BudgetLimit::ALL.iter().filter(|limit| budgets.soft_exceeded(**limit, spending)) {
            let user = scope.user().filter(|_| limit.is_users());
            if self.is_first(SoftLimit { tenant: scope.tenant(), user, limit: *limit }, now) {
                let (used, most) = (spending.used(*limit).spent, budgets.limit(*limit).unwrap_or_default());
                tracing::warn!(
                    tenant_id = %scope.tenant(), user_id = user.map(tracing::field::display), %limit, used, most,
                    "a budget is nearly used up"
                );
            }
        }
    }

    /// Whether there was no warning in this period. Forgets warnings of earlier periods.
    fn is_first(&self, key: SoftLimit, now: Timestamp) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let period = key.limit.period_begins(now);
        if warned.get(&key) == Some(&period) {
            return false;
        }
        warned.retain(|other, begun| *begun == other.limit.period_begins(now));
        warned.insert(key, period);
        true
    }
}
