//! Places for answers being written: so many in all, and no tenant may take more than its share, so that one that asks
//! without end leaves room for the others.

use domain::ids::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The places.
pub(super) struct Slots {
    total: usize,
    per_tenant: usize,
    taken: Mutex<HashMap<TenantId, usize>>,
}

/// A place, given back when it is dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    tenant: TenantId,
}

impl Slots {
    pub(super) fn new(total: usize, per_tenant: usize) -> Arc<Self> {
        Arc::new(Self { total, per_tenant: per_tenant.clamp(1, total.max(1)), taken: Mutex::default() })
    }

    /// A place for a tenant, if there is one.
    pub(super) fn take(self: &Arc<Self>, tenant: TenantId) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (taken.values().sum::<usize>(), taken.get(&tenant).copied().unwrap_or_default());
        if all >= self.total || own >= self.per_tenant {
            return None;
        }
        taken.insert(tenant, own + 1);
        Some(Slot { slots: Arc::clone(self), tenant })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.tenant);
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
    fn one_tenant_leaves_room_for_the_others_and_gives_its_places_back() {
        let slots = Slots::new(4, 2);
        let mut held: Vec<_> = (0..9).filter_map(|_| slots.take(tenant(1))).collect();
        assert_eq!(held.len(), 2, "its share");
        let others: Vec<_> = [2, 3].into_iter().filter_map(|n| slots.take(tenant(n))).collect();
        assert_eq!(others.len(), 2, "there was room");
        assert!(slots.take(tenant(4)).is_none(), "all are taken");
        held.pop();
        assert!(slots.take(tenant(4)).is_some());
        drop((held, others));
        assert!(slots.taken.lock().expect("free").is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn a_share_is_one_place_at_least() {
        assert!(Slots::new(1, 0).take(tenant(1)).is_some());
    }
}
