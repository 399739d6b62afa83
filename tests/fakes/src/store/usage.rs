//! The in-memory repository of storage usage, model calls and reservations.

use super::{InMemoryStore, InMemoryTx, Row, State};
use async_trait::async_trait;
use domain::budget::{
    BudgetAmount, Budgets, PeriodSpending, ReservationOutcome, ReservationRequest, Spending, first_of_month,
};
use domain::ids::{ReservationId, TeamId, TenantId, UserId};
use domain::ledger::{GroupUsage, LedgerAggregates, LedgerEntry, UsageAggregates, UsageDimension, UsageQuery};
use domain::model_call::{CallStatus, MicroCost};
use domain::ports::{StoreError, UsageRepo};
use domain::tenant::StorageUsage;
use domain::time::Timestamp;
use std::collections::BTreeMap;

/// A stored budget reservation.
#[derive(Clone, Debug)]
pub(super) struct StoredReservation {
    id: ReservationId,
    amount: BudgetAmount,
    expires_at: Timestamp,
}

impl InMemoryStore {
    /// The model calls of a tenant, oldest first, each with its user.
    #[must_use]
    pub fn ledger(&self, tenant: TenantId) -> Vec<(Option<UserId>, LedgerEntry)> {
        let state = self.committed();
        let rows = state.ledger.iter().filter(|row| row.tenant == tenant);
        rows.map(|row| (row.user, row.value.clone())).collect()
    }
}

#[async_trait]
impl UsageRepo for InMemoryTx {
    async fn storage_usage(&mut self) -> Result<StorageUsage, StoreError> {
        let tenant = self.tenant();
        Ok(self.read(|s| {
            // Documents of teams are kept under the team's id.
            let host = |space: TenantId| s.teams.host(TeamId::from_uuid(space.as_uuid())).unwrap_or(space);
            let sizes = s.documents.iter().filter(|r| host(r.tenant) == tenant).map(|r| r.value.file_size_bytes);
            sizes.fold(StorageUsage::default(), |total, size| StorageUsage {
                documents: total.documents + 1,
                bytes: total.bytes + u64::try_from(size).unwrap_or_default(),
            })
        }))
    }

    async fn record_calls(&mut self, calls: &[LedgerEntry]) -> Result<(), StoreError> {
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
        Ok(self.read(|state| sum_spending(state, tenant, user, now)))
    }

    async fn reserve(
        &mut self,
        request: &ReservationRequest,
        budgets: &Budgets,
        now: Timestamp,
    ) -> Result<ReservationOutcome, StoreError> {
        let (tenant, user) = (self.tenant(), self.scope.user());
        let state = self.write().await?;
        state.reservations.retain(|row| row.tenant != tenant || row.value.expires_at > now);
        let outcome = budgets.evaluate(request, sum_spending(state, tenant, user, now));
        if let ReservationOutcome::Reserved { amount, .. } = outcome {
            let is_same_reservation =
                |row: &&mut Row<StoredReservation>| row.tenant == tenant && row.value.id == request.id;
            match state.reservations.iter_mut().find(is_same_reservation) {
                Some(row) => {
                    row.value.amount += amount;
                    row.value.expires_at = request.expires_at;
                }
                None => {
                    let reservation = StoredReservation { id: request.id, amount, expires_at: request.expires_at };
                    state.reservations.push(Row { tenant, user, value: reservation });
                }
            }
        }
        Ok(outcome)
    }

    async fn release_reservation(&mut self, id: ReservationId) -> Result<(), StoreError> {
        let tenant = self.tenant();
        self.write().await?.reservations.retain(|row| row.tenant != tenant || row.value.id != id);
        Ok(())
    }

    async fn aggregate_calls(&mut self, query: &UsageQuery) -> Result<LedgerAggregates, StoreError> {
        let in_tenant = self.tenant_filter();
        Ok(self.read(|state| {
            let mut groups: BTreeMap<Option<String>, Vec<&LedgerEntry>> = BTreeMap::new();
            let mut all_calls = Vec::new();
            for row in state.ledger.iter().filter(|row| in_tenant(row)) {
                let is_in_period = row.value.ended_at >= query.from && row.value.ended_at < query.to;
                if is_in_period && (query.user.is_none() || row.user == query.user) {
                    groups.entry(group_key(row, query.group_by)).or_default().push(&row.value);
                    all_calls.push(&row.value);
                }
            }
            let mut groups: Vec<_> = groups
                .into_iter()
                .map(|(key, calls)| GroupUsage { key, aggregates: aggregate_calls(&calls) })
                .collect();
            groups.sort_by_key(|group| std::cmp::Reverse(group.aggregates.calls));
            LedgerAggregates::from_groups(aggregate_calls(&all_calls), groups, query.group_by)
        }))
    }
}

fn sum_spending(state: &State, tenant: TenantId, user: Option<UserId>, now: Timestamp) -> Spending {
    let mut spending = Spending::default();
    let (day, month) = (now.date_naive(), first_of_month(now.date_naive()));
    let mut add_spending = |user_id: Option<UserId>, add: &dyn Fn(&mut PeriodSpending)| {
        add(&mut spending.tenant);
        if user.is_some() && user_id == user {
            add(&mut spending.user);
        }
    };
    for row in state.ledger.iter().filter(|row| row.tenant == tenant) {
        let LedgerEntry { ended_at: at, counts_towards_budget, call, .. } = &row.value;
        let tokens = u64::from(call.usage.input_tokens) + u64::from(call.usage.output_tokens);
        if *counts_towards_budget && at.date_naive() == day {
            add_spending(row.user, &|spent| spent.tokens += tokens);
        }
        if first_of_month(at.date_naive()) == month {
            add_spending(row.user, &|spent| spent.cost += call.cost);
        }
    }
    for row in state.reservations.iter().filter(|row| row.tenant == tenant && row.value.expires_at > now) {
        add_spending(row.user, &|spent| spent.reserved += row.value.amount);
    }
    spending
}

fn group_key(row: &Row<LedgerEntry>, group_by: UsageDimension) -> Option<String> {
    let LedgerEntry { ended_at: at, origin, tier, call, .. } = &row.value;
    match group_by {
        UsageDimension::Day => Some(at.date_naive().to_string()),
        UsageDimension::User => row.user.map(|id| id.to_string()),
        UsageDimension::Backend => Some(call.served_by.backend.clone()),
        UsageDimension::Model => Some(call.served_by.model.clone()),
        UsageDimension::Operation => Some(call.operation.to_string()),
        UsageDimension::Tier => tier.map(|tier| tier.to_string()),
        UsageDimension::Conversation => origin.conversation.map(|id| id.to_string()),
    }
}

fn aggregate_calls(calls: &[&LedgerEntry]) -> UsageAggregates {
    let mut aggregates = UsageAggregates::default();
    let (mut durations_ms, mut first_token_times_ms) = (Vec::new(), Vec::new());
    for call in calls.iter().map(|entry| &entry.call) {
        aggregates.calls += 1;
        aggregates.input_tokens += u64::from(call.usage.input_tokens);
        aggregates.output_tokens += u64::from(call.usage.output_tokens);
        aggregates.cost += MicroCost(call.cost.0);
        aggregates.errors += u64::from(call.status == CallStatus::Error);
        aggregates.fallbacks += u64::from(call.served_by.fallback);
        durations_ms.push(call.duration.as_secs_f64() * 1e3);
        first_token_times_ms.extend(call.time_to_first_token.map(|first| first.as_secs_f64() * 1e3));
    }
    durations_ms.sort_by(f64::total_cmp);
    aggregates.median_duration_ms = match durations_ms.len() {
        0 => None,
        n if n % 2 == 1 => Some(durations_ms[n / 2]),
        n => Some(f64::midpoint(durations_ms[n / 2 - 1], durations_ms[n / 2])),
    };
    let count = u32::try_from(first_token_times_ms.len()).unwrap_or(u32::MAX);
    aggregates.mean_time_to_first_token_ms =
        (count > 0).then(|| first_token_times_ms.iter().sum::<f64>() / f64::from(count));
    aggregates
}
