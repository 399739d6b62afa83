//! The ledger of calls to models: rows that are inserted and never changed, and what they come to.

use crate::error::failed;
use crate::tx::PgTenantTx;
use crate::usage::count;
use domain::ledger::{GroupUsage, LedgerEntry, LedgerSums, UsageQuery, UsageSums};
use domain::model::ModelTier;
use domain::model_call::{FailedAttempt, MicroCost, ModelCall};
use domain::ports::StoreError;
use domain::run::FinishReason;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use std::time::Duration;

/// Longest name that is kept, in characters: a server may name its model as it likes.
const MAX_NAME: usize = 128;
/// Most backends tried before that are kept.
const MAX_ATTEMPTS: usize = 16;
/// Highest cost of one call that is kept, in millionths: a server may say what it likes of that, too.
const MAX_COST: u64 = 1_000_000_000_000;

/// Groups, and in the first row all of them together. Those with the most calls come first.
const SUMS: &str = "
    WITH calls AS (
        SELECT CASE $4 WHEN 'day' THEN to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
                       WHEN 'user' THEN user_id::text
                       WHEN 'backend' THEN backend
                       WHEN 'model' THEN model
                       WHEN 'operation' THEN operation
                       WHEN 'tier' THEN tier
                       WHEN 'conversation' THEN conversation_id::text END AS key,
               status, fallback, input_tokens, output_tokens, cost_micros, took_ms, first_token_ms
        FROM model_calls
        WHERE tenant_id = app_tenant() AND created_at >= $1 AND created_at < $2 AND ($3::uuid IS NULL OR user_id = $3))
    SELECT key, count(*) AS calls,
           coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
           coalesce(sum(cost_micros), 0)::bigint AS cost,
           count(*) FILTER (WHERE status = 'error') AS errors,
           count(*) FILTER (WHERE fallback) AS fallbacks,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY took_ms) AS p50_ms,
           avg(first_token_ms)::float8 AS first_token_ms
    FROM calls GROUP BY GROUPING SETS ((), (key))
    ORDER BY grouping(key) DESC, count(*) DESC, key NULLS FIRST LIMIT $5";

impl PgTenantTx {
    pub(crate) async fn insert_call(&mut self, entry: &LedgerEntry) -> Result<(), StoreError> {
        let request = self.scope().request().to_string();
        let ModelCall { served_by, usage, .. } = &entry.call;
        sqlx::query(
            "INSERT INTO model_calls (tenant_id, user_id, id, conversation_id, run_id, request_id, operation, tier, backend,
                 requested_model, model, fallback, failed, status, error, finish_reason, input_tokens, output_tokens,
                 estimated, metered, cost_micros, took_ms, first_token_ms, created_at)
             VALUES (app_tenant(), app_user(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                 $18, $19, $20, $21, $22)
             ON CONFLICT (tenant_id, id) DO NOTHING",
        )
        .bind(entry.id.as_uuid())
        .bind(entry.context.conversation.map(|id| id.as_uuid()))
        .bind(entry.context.run.map(|id| id.as_uuid()))
        .bind(request)
        .bind(entry.call.operation.as_str())
        .bind(entry.tier.map(ModelTier::as_str))
        .bind(clip(&served_by.backend, MAX_NAME))
        .bind(clip(&served_by.requested, MAX_NAME))
        .bind(clip(&served_by.model, MAX_NAME))
        .bind(served_by.fallback)
        .bind(Json(attempts(&served_by.failed)))
        .bind(entry.call.status.as_str())
        .bind(entry.call.error.as_deref().map(|word| clip(word, 64)))
        .bind(entry.call.finish_reason.map(FinishReason::as_str))
        .bind(i64::from(usage.input_tokens))
        .bind(i64::from(usage.output_tokens))
        .bind(entry.call.estimated)
        .bind(entry.metered)
        .bind(i64::try_from(entry.call.cost.0.min(MAX_COST)).unwrap_or(i64::MAX))
        .bind(millis(entry.call.took))
        .bind(entry.call.first_token.map(millis))
        .bind(entry.at)
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(failed("putting a call to a model on record"))
    }

    pub(crate) async fn sum_calls(&mut self, query: &UsageQuery) -> Result<LedgerSums, StoreError> {
        // One for the totals, one to see that there are more.
        let rows = i64::try_from(UsageQuery::MAX_GROUPS + 2).unwrap_or(i64::MAX);
        let mut rows = sqlx::query(SUMS)
            .bind(query.from)
            .bind(query.to)
            .bind(query.user.map(|id| id.as_uuid()))
            .bind(query.group_by.as_str())
            .bind(rows)
            .try_map(|row: PgRow| Ok(GroupUsage { key: row.try_get("key")?, sums: sums(&row)? }))
            .fetch_all(self.connection())
            .await
            .map_err(failed("summing calls to models"))?
            .into_iter();
        let totals = rows.next().map(|all| all.sums).unwrap_or_default();
        Ok(LedgerSums::of(totals, rows.collect(), query.group_by))
    }
}

fn sums(row: &PgRow) -> Result<UsageSums, sqlx::Error> {
    let number = |column: &str| row.try_get(column).map(count);
    Ok(UsageSums {
        calls: number("calls")?,
        input_tokens: number("input_tokens")?,
        output_tokens: number("output_tokens")?,
        cost: MicroCost(number("cost")?),
        errors: number("errors")?,
        fallbacks: number("fallbacks")?,
        p50_ms: row.try_get("p50_ms")?,
        first_token_ms: row.try_get("first_token_ms")?,
    })
}

/// The first characters; PostgreSQL stores no U+0000.
fn clip(text: &str, most: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(most).collect()
}

fn attempts(failed: &[FailedAttempt]) -> Vec<FailedAttempt> {
    let clipped = |attempt: &FailedAttempt| FailedAttempt {
        backend: clip(&attempt.backend, MAX_NAME),
        error: clip(&attempt.error, 64),
    };
    failed.iter().take(MAX_ATTEMPTS).map(clipped).collect()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_cut_to_what_the_table_holds() {
        assert_eq!(clip("a\0b\u{e4}c", 3), "ab\u{e4}");
        let attempt = FailedAttempt { backend: "\u{1f600}".repeat(500), error: "e".repeat(500) };
        let kept = serde_json::to_string(&attempts(&vec![attempt; 40])).expect("JSON");
        assert!(kept.chars().count() <= 8_192, "{}", kept.chars().count());
    }
}
