//! Limits the number of concurrent runs, in total and per tenant, so that one busy tenant leaves capacity for the
//! others.

use domain::ids::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Concurrency limiter of runs.
pub struct RunLimiter {
    max_total: usize,
    max_per_tenant: usize,
    /// Number of runs in progress by tenant. Tenants without runs have no entry.
    active: Mutex<HashMap<TenantId, usize>>,
}

/// The slot of one run. Dropping it allows another run to start.
pub struct RunSlot {
    limiter: Arc<RunLimiter>,
    tenant: TenantId,
}

impl RunLimiter {
    /// Creates a limiter. `max_per_tenant` is clamped to the range from 1 to `max_total`.
    pub fn new(max_total: usize, max_per_tenant: usize) -> Arc<Self> {
        let max_per_tenant = max_per_tenant.clamp(1, max_total.max(1));
        Arc::new(Self { max_total, max_per_tenant, active: Mutex::default() })
    }

    /// Returns a slot, or `None` if the tenant or the platform is at its limit.
    pub fn try_acquire(self: &Arc<Self>, tenant: TenantId) -> Option<RunSlot> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, tenant_runs) = (active.values().sum::<usize>(), active.get(&tenant).copied().unwrap_or_default());
        if total >= self.max_total || tenant_runs >= self.max_per_tenant {
            return None;
        }
        active.insert(tenant, tenant_runs + 1);
        Some(RunSlot { limiter: Arc::clone(self), tenant })
    }
}

impl Drop for RunSlot {
    fn drop(&mut self) {
        let mut active = self.limiter.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant_runs) = active.get_mut(&self.tenant) {
            *tenant_runs -= 1;
            if *tenant_runs == 0 {
                active.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn one_tenant_leaves_capacity_for_others_and_dropped_slots_are_reused() {
        let limiter = RunLimiter::new(4, 2);
        let mut slots: Vec<_> = (0..9).filter_map(|_| limiter.try_acquire(tenant(1))).collect();
        assert_eq!(slots.len(), 2, "the limit per tenant");
        let others: Vec<_> = [2, 3].into_iter().filter_map(|n| limiter.try_acquire(tenant(n))).collect();
        assert_eq!(others.len(), 2, "below the total limit");
        assert!(limiter.try_acquire(tenant(4)).is_none(), "at the total limit");
        slots.pop();
        assert!(limiter.try_acquire(tenant(4)).is_some());
        drop((slots, others));
        assert!(
            limiter.active.lock().expect("no panic under the lock").is_empty(),
            "tenants without runs have no entry"
        );
    }

    #[test]
    fn the_limit_per_tenant_is_at_least_one() {
        assert!(RunLimiter::new(1, 0).try_acquire(tenant(1)).is_some());
    }
}
