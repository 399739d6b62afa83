//! What the transaction's tenant uses: what it keeps, what it has spent, and what is set aside of its budgets.

use crate::error::failed;
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::budget::{Amount, Budgets, PeriodSpending, Reservation, ReserveOutcome, Spending, first_of_month};
use domain::ids::ReservationId;
use domain::ledger::{LedgerEntry, LedgerSums, UsageQuery};
use domain::model_call::MicroCost;
use domain::ports::{StoreError, UsageRepo};
use domain::tenant::StorageUsage;
use domain::time::{Date, Timestamp};
use sqlx::Row;
use sqlx::postgres::PgRow;

/// PeriodSpending and set aside, of tenant and user, in one statement: turns settle beside it, and between two statements one
/// could take what is set aside away and what it has spent would not have been there yet.
const SPENDING: &str = "
    SELECT spent.*, held.* FROM
        (SELECT coalesce(sum(input_tokens + output_tokens) FILTER (WHERE day = $1), 0)::bigint AS tokens,
                coalesce(sum(cost_micros), 0)::bigint AS cost,
                coalesce(sum(input_tokens + output_tokens) FILTER (WHERE day = $1 AND user_id = app_user()), 0)::bigint
                    AS user_tokens,
                coalesce(sum(cost_micros) FILTER (WHERE user_id = app_user()), 0)::bigint AS user_cost
         FROM usage_days WHERE tenant_id = app_tenant() AND day BETWEEN $2 AND $1) AS spent,
        (SELECT coalesce(sum(tokens), 0)::bigint AS held_tokens, coalesce(sum(cost_micros), 0)::bigint AS held_cost,
                coalesce(sum(tokens) FILTER (WHERE user_id = app_user()), 0)::bigint AS user_held_tokens,
                coalesce(sum(cost_micros) FILTER (WHERE user_id = app_user()), 0)::bigint AS user_held_cost
         FROM budget_reservations WHERE tenant_id = app_tenant() AND expires_at > $3) AS held";

impl PgTenantTx {
    /// The cost is that since `since`, the tokens those of the day.
    async fn spent_since(&mut self, since: Date, now: Timestamp) -> Result<Spending, StoreError> {
        sqlx::query(SPENDING)
            .bind(now.date_naive())
            .bind(since)
            .bind(now)
            .try_map(|row: PgRow| {
                let number = |column: &str| row.try_get(column).map(count);
                let spent = |tokens: &str, cost: &str, held_tokens: &str, held_cost: &str| {
                    let reserved = Amount { tokens: number(held_tokens)?, cost: MicroCost(number(held_cost)?) };
                    Ok::<_, sqlx::Error>(PeriodSpending {
                        tokens: number(tokens)?,
                        cost: MicroCost(number(cost)?),
                        reserved,
                    })
                };
                Ok(Spending {
                    tenant: spent("tokens", "cost", "held_tokens", "held_cost")?,
                    user: spent("user_tokens", "user_cost", "user_held_tokens", "user_held_cost")?,
                })
            })
            .fetch_one(self.connection())
            .await
            .map_err(failed("reading what a tenant has spent"))
    }

    /// Whoever sets something aside for the tenant waits until this transaction ends. What has expired goes.
    async fn hold_budgets(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let doing = "holding a tenant's budgets";
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('budget ' || app_tenant()::text, 0))")
            .execute(self.connection())
            .await
            .map_err(failed(doing))?;
        sqlx::query("DELETE FROM budget_reservations WHERE tenant_id = app_tenant() AND expires_at <= $1")
            .bind(now)
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(failed(doing))
    }

    async fn set_aside(&mut self, asked: &Reservation, amount: Amount, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO budget_reservations AS known (tenant_id, id, user_id, tokens, cost_micros, created_at, expires_at)
             VALUES (app_tenant(), $1, app_user(), $2, $3, $4, $5)
             ON CONFLICT (tenant_id, id) DO UPDATE
             SET tokens = known.tokens + excluded.tokens, cost_micros = known.cost_micros + excluded.cost_micros,
                 expires_at = excluded.expires_at",
        )
        .bind(asked.id.as_uuid())
        .bind(amount_of(amount.tokens))
        .bind(amount_of(amount.cost.0))
        .bind(now)
        .bind(asked.expires_at)
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(failed("setting a part of a budget aside"))
    }
}

#[async_trait]
impl UsageRepo for PgTenantTx {
    async fn storage(&mut self) -> Result<StorageUsage, StoreError> {
        let kept = sqlx::query("SELECT documents, bytes FROM tenant_usage WHERE tenant_id = app_tenant()")
            .try_map(|row: PgRow| {
                Ok(StorageUsage { documents: count(row.try_get("documents")?), bytes: count(row.try_get("bytes")?) })
            })
            .fetch_optional(self.connection())
            .await
            .map_err(failed("reading what a tenant keeps"))?;
        Ok(kept.unwrap_or_default())
    }

    async fn record(&mut self, calls: &[LedgerEntry]) -> Result<(), StoreError> {
        for call in calls {
            self.insert_call(call).await?;
        }
        Ok(())
    }

    async fn spending(&mut self, now: Timestamp) -> Result<Spending, StoreError> {
        self.spent_since(first_of_month(now.date_naive()), now).await
    }

    async fn reserve(
        &mut self,
        asked: &Reservation,
        budgets: &Budgets,
        now: Timestamp,
    ) -> Result<ReserveOutcome, StoreError> {
        self.hold_budgets(now).await?;
        let day = now.date_naive();
        // A month is looked through only where it counts.
        let since = if budgets.limits_cost() { first_of_month(day) } else { day };
        // A statement of its own, which sees what was committed while this waited.
        let granted = budgets.grant(asked, self.spent_since(since, now).await?);
        if let ReserveOutcome::Reserved { amount, .. } = granted {
            self.set_aside(asked, amount, now).await?;
        }
        Ok(granted)
    }

    async fn release(&mut self, id: ReservationId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM budget_reservations WHERE tenant_id = app_tenant() AND id = $1")
            .bind(id.as_uuid())
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(failed("giving a part of a budget back"))
    }

    async fn sums(&mut self, query: &UsageQuery) -> Result<LedgerSums, StoreError> {
        self.sum_calls(query).await
    }
}

/// A number of the database that is never negative.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Sums of many stay within the type.
fn amount_of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX).min(1 << 50)
}
