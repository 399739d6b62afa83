//! Usage of the current tenant: document storage, tokens and cost of model calls, and budget reservations.

use crate::rows::non_negative;
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::budget::{
    BudgetAmount, Budgets, PeriodSpending, ReservationOutcome, ReservationRequest, Spending, first_of_month,
};
use domain::ids::ReservationId;
use domain::ledger::{LedgerAggregates, LedgerEntry, UsageQuery};
use domain::model_call::MicroCost;
use domain::ports::{StoreError, UsageRepo};
use domain::tenant::StorageUsage;
use domain::time::{Date, Timestamp};

row! {
    struct StorageRow, columns = storage_columns {
        documents: i64,
        bytes: i64,
    }
}

row! {
    struct SpendingRow {
        tokens: i64,
        cost: i64,
        user_tokens: i64,
        user_cost: i64,
        reserved_tokens: i64,
        reserved_cost: i64,
        user_reserved_tokens: i64,
        user_reserved_cost: i64,
    }
}

statements! {
    STORAGE: StorageRow = Statement::select(
        "tenant_usage",
        "reading a tenant's storage usage",
        concat!("SELECT ", storage_columns!(), " FROM tenant_usage WHERE tenant_id = app_tenant()"),
    );
    /// Spent and reserved amounts of the tenant and of the user, in a single statement. With two statements, a turn
    /// that finishes in between could have its reservation removed before its spending is counted.
    SPENDING: SpendingRow = Statement::select(
        "usage_days",
        "reading a tenant's spending",
        "SELECT spent.*, held.* FROM
             (SELECT coalesce(sum(input_tokens + output_tokens) FILTER (WHERE day = $1), 0)::bigint AS tokens,
                     coalesce(sum(cost_micros), 0)::bigint AS cost,
                     coalesce(sum(input_tokens + output_tokens)
                              FILTER (WHERE day = $1 AND user_id = app_user()), 0)::bigint AS user_tokens,
                     coalesce(sum(cost_micros) FILTER (WHERE user_id = app_user()), 0)::bigint AS user_cost
              FROM usage_days WHERE tenant_id = app_tenant() AND day BETWEEN $2 AND $1) AS spent,
             (SELECT coalesce(sum(tokens), 0)::bigint AS reserved_tokens,
                     coalesce(sum(cost_micros), 0)::bigint AS reserved_cost,
                     coalesce(sum(tokens) FILTER (WHERE user_id = app_user()), 0)::bigint AS user_reserved_tokens,
                     coalesce(sum(cost_micros) FILTER (WHERE user_id = app_user()), 0)::bigint AS user_reserved_cost
              FROM budget_reservations WHERE tenant_id = app_tenant() AND expires_at > $3) AS held",
    );
    LOCK_BUDGETS: () = Statement::call(
        "pg_advisory_xact_lock",
        "locking a tenant's budgets",
        "SELECT pg_advisory_xact_lock(hashtextextended('budget ' || app_tenant()::text, 0))",
    );
    DELETE_EXPIRED: () = Statement::delete(
        "budget_reservations",
        "locking a tenant's budgets",
        "DELETE FROM budget_reservations WHERE tenant_id = app_tenant() AND expires_at <= $1",
    );
    RESERVE: () = Statement::insert(
        "budget_reservations",
        "reserving a part of a budget",
        "INSERT INTO budget_reservations AS known
             (tenant_id, id, user_id, tokens, cost_micros, created_at, expires_at)
         VALUES (app_tenant(), $1, app_user(), $2, $3, $4, $5)
         ON CONFLICT (tenant_id, id) DO UPDATE
         SET tokens = known.tokens + excluded.tokens, cost_micros = known.cost_micros + excluded.cost_micros,
             expires_at = excluded.expires_at",
    );
    RELEASE: () = Statement::delete(
        "budget_reservations",
        "releasing a budget reservation",
        "DELETE FROM budget_reservations WHERE tenant_id = app_tenant() AND id = $1",
    );
}

impl PgTenantTx {
    /// Tokens used on the UTC day of `now`, cost since `since`, and the unexpired reservations.
    async fn load_spending(&mut self, since: Date, now: Timestamp) -> Result<Spending, StoreError> {
        SPENDING.query().bind(now.date_naive()).bind(since).bind(now).fetch_one(self.connection()).await
    }

    /// Locks the tenant's budgets until this transaction ends, so that reservations are granted one at a time. Also
    /// deletes expired reservations.
    async fn lock_budgets(&mut self, now: Timestamp) -> Result<(), StoreError> {
        LOCK_BUDGETS.query().execute(self.connection()).await?;
        DELETE_EXPIRED.query().bind(now).execute(self.connection()).await
    }

    async fn insert_reservation(
        &mut self,
        request: &ReservationRequest,
        amount: BudgetAmount,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        RESERVE
            .query()
            .bind(request.id.as_uuid())
            .bind(to_capped_bigint(amount.tokens))
            .bind(to_capped_bigint(amount.cost.0))
            .bind(now)
            .bind(request.expires_at)
            .execute(self.connection())
            .await
    }
}

#[async_trait]
impl UsageRepo for PgTenantTx {
    async fn storage_usage(&mut self) -> Result<StorageUsage, StoreError> {
        let usage = STORAGE.query().fetch_optional(self.connection()).await?;
        Ok(usage.unwrap_or_default())
    }

    async fn record_calls(&mut self, calls: &[LedgerEntry]) -> Result<(), StoreError> {
        for call in calls {
            self.record_call(call);
        }
        Ok(())
    }

    async fn spending(&mut self, now: Timestamp) -> Result<Spending, StoreError> {
        self.insert_deferred_calls().await?;
        self.load_spending(first_of_month(now.date_naive()), now).await
    }

    async fn reserve(
        &mut self,
        request: &ReservationRequest,
        budgets: &Budgets,
        now: Timestamp,
    ) -> Result<ReservationOutcome, StoreError> {
        self.insert_deferred_calls().await?;
        self.lock_budgets(now).await?;
        let day = now.date_naive();
        // Cost budgets are per month, token budgets per day: sum the whole month only if there is a cost budget.
        let since = if budgets.limits_cost() { first_of_month(day) } else { day };
        // Must be a separate statement, so that it sees what was committed while this transaction waited for the lock.
        let outcome = budgets.evaluate(request, self.load_spending(since, now).await?);
        if let ReservationOutcome::Reserved { amount, .. } = outcome {
            self.insert_reservation(request, amount, now).await?;
        }
        Ok(outcome)
    }

    async fn release_reservation(&mut self, id: ReservationId) -> Result<(), StoreError> {
        RELEASE.query().bind(id.as_uuid()).execute(self.connection()).await
    }

    async fn aggregate_calls(&mut self, query: &UsageQuery) -> Result<LedgerAggregates, StoreError> {
        self.insert_deferred_calls().await?;
        self.select_call_aggregates(query).await
    }
}

impl From<StorageRow> for StorageUsage {
    fn from(row: StorageRow) -> Self {
        Self { documents: non_negative(row.documents), bytes: non_negative(row.bytes) }
    }
}

impl From<SpendingRow> for Spending {
    fn from(row: SpendingRow) -> Self {
        let amount = |tokens, cost| BudgetAmount { tokens: non_negative(tokens), cost: MicroCost(non_negative(cost)) };
        let period =
            |spent: BudgetAmount, reserved| PeriodSpending { tokens: spent.tokens, cost: spent.cost, reserved };
        Self {
            tenant: period(amount(row.tokens, row.cost), amount(row.reserved_tokens, row.reserved_cost)),
            user: period(
                amount(row.user_tokens, row.user_cost),
                amount(row.user_reserved_tokens, row.user_reserved_cost),
            ),
        }
    }
}

/// Converts an amount for a `bigint` column. The cap of 2^50 keeps sums over many rows from overflowing.
fn to_capped_bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX).min(1 << 50)
}
