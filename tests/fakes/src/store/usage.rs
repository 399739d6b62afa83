//! The in-memory repository of storage usage, model calls and reservations.

use super::{MemoryStore, MemoryTx, Row, State};
use async_trait::async_trait;
use domain::budget::{Amount, Budgets, PeriodSpending, Reservation, ReserveOutcome, Spending, first_of_month};
use domain::ids::{ReservationId, TenantId, UserId};
use domain::ledger::{GroupUsage, LedgerEntry, LedgerSums, UsageGroup, UsageQuery, UsageSums};
use domain::model_call::{CallStatus, MicroCost};
use domain::ports::{StoreError, UsageRepo};
use domain::tenant::StorageUsage;
use domain::time::Timestamp;
use std::collections::BTreeMap;

/// A stored budget reservation.
#[derive(Clone, Debug)]
pub(super) struct StoredReservation {
    id: ReservationId,
    amount: Amount,
    expires_at: Timestamp,
}

impl MemoryStore {
    /// The model calls of a tenant, oldest first, each with its user.
    #[must_use]
    pub fn ledger(&self, tenant: TenantId) -> Vec<(Option<UserId>, LedgerEntry)> {
        let state = self.committed();
        let rows = state.ledger.iter().filter(|row| row.tenant == tenant);
        rows.map(|row| (row.user, row.value.clone())).collect()
    }
}

#[async_trait]
impl UsageRepo for MemoryTx {
    async fn storage(&mut self) -> Result<StorageUsage, StoreError> {
        let sees = self.sees();
        Ok(self.read(|s| {
            let sizes = s.documents.iter().filter(|r| sees(r)).map(|r| r.value.file_size_bytes);
            sizes.fold(StorageUsage::default(), |kept, size| StorageUsage {
                documents: kept.documents + 1,
                bytes: kept.bytes + u64::try_from(size).unwrap_or_default(),
            })
        }))
    }

    async fn record(&mut self, calls: &[LedgerEntry]) -> Result<(), StoreError> {
        let (tenant, user) = (self.tenant(), self.scope.user());
        let state = self.write().await?;
        for call in calls {
            if !state.ledger.iter().any(|row| row.tenant == tenant && row.value.id == call.id) {
                state.ledger.push(Row { tenant, user, value: call.clone() });
            }
        }
        Ok(())
    }

    async fn spending(&mut self, now: Timestamp) -> Result<Spending, StoreError> {
        let (tenant, user) = (self.tenant(), self.scope.user());
        Ok(self.read(|state| spending(state, tenant, user, now)))
    }

    async fn reserve(
        &mut self,
        asked: &Reservation,
        budgets: &Budgets,
        now: Timestamp,
    ) -> Result<ReserveOutcome, StoreError> {
        let (tenant, user) = (self.tenant(), self.scope.user());
        let state = self.write().await?;
        state.reservations.retain(|row| row.tenant != tenant || row.value.expires_at > now);
        let granted = budgets.grant(asked, spending(state, tenant, user, now));
        if let ReserveOutcome::Reserved { amount, .. } = granted {
            let known = |row: &&mut Row<StoredReservation>| row.tenant == tenant && row.value.id == asked.id;
            match state.reservations.iter_mut().find(known) {
                Some(row) => {
                    row.value.amount += amount;
                    row.value.expires_at = asked.expires_at;
                }
                None => {
                    let held = StoredReservation { id: asked.id, amount, expires_at: asked.expires_at };
                    state.reservations.push(Row { tenant, user, value: held });
                }
            }
        }
        Ok(granted)
    }

    async fn release(&mut self, id: ReservationId) -> Result<(), StoreError> {
        let tenant = self.tenant();
        self.write().await?.reservations.retain(|row| row.tenant != tenant || row.value.id != id);
        Ok(())
    }

    async fn sums(&mut self, query: &UsageQuery) -> Result<LedgerSums, StoreError> {
        let sees = self.sees();
        Ok(self.read(|state| {
            let mut groups: BTreeMap<Option<String>, Vec<&LedgerEntry>> = BTreeMap::new();
            let mut all = Vec::new();
            for row in state.ledger.iter().filter(|row| sees(row)) {
                let in_time = row.value.at >= query.from && row.value.at < query.to;
                if in_time && (query.user.is_none() || row.user == query.user) {
                    groups.entry(key(row, query.group_by)).or_default().push(&row.value);
                    all.push(&row.value);
                }
            }
            let mut groups: Vec<_> =
                groups.into_iter().map(|(key, calls)| GroupUsage { key, sums: sums(&calls) }).collect();
            groups.sort_by_key(|group| std::cmp::Reverse(group.sums.calls));
            LedgerSums::of(sums(&all), groups, query.group_by)
        }))
    }
}

fn spending(state: &State, tenant: TenantId, user: Option<UserId>, now: Timestamp) -> Spending {
    let mut spending = Spending::default();
    let (day, month) = (now.date_naive(), first_of_month(now.date_naive()));
    let mut count = |of: Option<UserId>, add: &dyn Fn(&mut PeriodSpending)| {
        add(&mut spending.tenant);
        if user.is_some() && of == user {
            add(&mut spending.user);
        }
    };
    for row in state.ledger.iter().filter(|row| row.tenant == tenant) {
        let LedgerEntry { at, metered, call, .. } = &row.value;
        let tokens = u64::from(call.usage.input_tokens) + u64::from(call.usage.output_tokens);
        if *metered && at.date_naive() == day {
            count(row.user, &|spent| spent.tokens += tokens);
        }
        if first_of_month(at.date_naive()) == month {
            count(row.user, &|spent| spent.cost += call.cost);
        }
    }
    for row in state.reservations.iter().filter(|row| row.tenant == tenant && row.value.expires_at > now) {
        count(row.user, &|spent| spent.reserved += row.value.amount);
    }
    spending
}

fn key(row: &Row<LedgerEntry>, by: UsageGroup) -> Option<String> {
    let LedgerEntry { at, context, tier, call, .. } = &row.value;
    match by {
        UsageGroup::Day => Some(at.date_naive().to_string()),
        UsageGroup::User => row.user.map(|id| id.to_string()),
        UsageGroup::Backend => Some(call.served_by.backend.clone()),
        UsageGroup::Model => Some(call.served_by.model.clone()),
        UsageGroup::Operation => Some(call.operation.to_string()),
        UsageGroup::Tier => tier.map(|tier| tier.to_string()),
        UsageGroup::Conversation => context.conversation.map(|id| id.to_string()),
    }
}

fn sums(calls: &[&LedgerEntry]) -> UsageSums {
    let mut sums = UsageSums::default();
    let (mut took, mut first) = (Vec::new(), Vec::new());
    for call in calls.iter().map(|entry| &entry.call) {
        sums.calls += 1;
        sums.input_tokens += u64::from(call.usage.input_tokens);
        sums.output_tokens += u64::from(call.usage.output_tokens);
        sums.cost += MicroCost(call.cost.0);
        sums.errors += u64::from(call.status == CallStatus::Error);
        sums.fallbacks += u64::from(call.served_by.fallback);
        took.push(call.took.as_secs_f64() * 1e3);
        first.extend(call.first_token.map(|first| first.as_secs_f64() * 1e3));
    }
    took.sort_by(f64::total_cmp);
    sums.p50_ms = match took.len() {
        0 => None,
        n if n % 2 == 1 => Some(took[n / 2]),
        n => Some(f64::midpoint(took[n / 2 - 1], took[n / 2])),
    };
    let count = u32::try_from(first.len()).unwrap_or(u32::MAX);
    sums.first_token_ms = (count > 0).then(|| first.iter().sum::<f64>() / f64::from(count));
    sums
}
