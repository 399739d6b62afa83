//! The ledger of model calls: an insert-only table with one row per call, and the aggregates for usage reports.

use crate::deferred::NewCallRow;
use crate::rows::non_negative;
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use domain::ledger::{GroupUsage, LedgerAggregates, LedgerEntry, UsageAggregates, UsageQuery};
use domain::model::ModelTier;
use domain::model_call::{FailedAttempt, MicroCost, ModelCall};
use domain::ports::StoreError;
use domain::run::FinishReason;
use serde_json::json;
use std::time::Duration;

/// Maximum stored length of a backend or model name, in characters. Model names are reported by the inference server,
/// so they can be of any length.
const MAX_NAME_CHARS: usize = 128;
/// Maximum number of failed attempts stored per call.
const MAX_ATTEMPTS: usize = 16;
/// Maximum stored length of an error code, in characters.
const MAX_ERROR_CHARS: usize = 64;
/// Maximum stored cost of one call, in millionths of the currency unit. The inference server may report the cost, so it
/// can be any number.
const MAX_COST_MICROS: u64 = 1_000_000_000_000;

row! {
    /// Aggregates over the calls of one group, or over all calls.
    struct AggregatesRow {
        key: Option<String>,
        calls: i64,
        input_tokens: i64,
        output_tokens: i64,
        cost: i64,
        errors: i64,
        fallbacks: i64,
        p50_ms: Option<f64>,
        mean_time_to_first_token_ms: Option<f64>,
    }
}

statements! {
    /// The first row is the total over all groups. The groups follow in descending order of their number of calls.
    AGGREGATES: AggregatesRow = Statement::select(
        "model_calls",
        "summing model calls",
        "WITH calls AS (
             SELECT CASE $4 WHEN 'day' THEN to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
                            WHEN 'user' THEN user_id::text
                            WHEN 'backend' THEN backend
                            WHEN 'model' THEN model
                            WHEN 'operation' THEN operation
                            WHEN 'tier' THEN tier
                            WHEN 'conversation' THEN conversation_id::text END AS key,
                    status, fallback, input_tokens, output_tokens, cost_micros, took_ms, first_token_ms
             FROM model_calls
             WHERE tenant_id = app_tenant() AND created_at >= $1 AND created_at < $2
               AND ($3::uuid IS NULL OR user_id = $3))
         SELECT key, count(*) AS calls,
                coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
                coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
                coalesce(sum(cost_micros), 0)::bigint AS cost,
                count(*) FILTER (WHERE status = 'error') AS errors,
                count(*) FILTER (WHERE fallback) AS fallbacks,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY took_ms) AS p50_ms,
                avg(first_token_ms)::float8 AS mean_time_to_first_token_ms
         FROM calls GROUP BY GROUPING SETS ((), (key))
         ORDER BY grouping(key) DESC, count(*) DESC, key NULLS FIRST LIMIT $5",
    );
}

impl PgTenantTx {
    /// Queues a row; it is inserted when the transaction commits. A row with the same id that is already in the ledger
    /// is left unchanged.
    pub(crate) fn record_call(&mut self, entry: &LedgerEntry) {
        let ModelCall { served_by, usage, .. } = &entry.call;
        let row = NewCallRow {
            id: entry.id.as_uuid(),
            conversation_id: entry.origin.conversation.map(|id| id.as_uuid()),
            run_id: entry.origin.run.map(|id| id.as_uuid()),
            operation: entry.call.operation.as_str(),
            tier: entry.tier.map(ModelTier::as_str),
            backend: truncate(&served_by.backend, MAX_NAME_CHARS),
            requested_model: truncate(&served_by.requested_model, MAX_NAME_CHARS),
            model: truncate(&served_by.model, MAX_NAME_CHARS),
            fallback: served_by.fallback,
            failed: json!(truncated_attempts(&served_by.failed_attempts)),
            status: entry.call.status.as_str(),
            error: entry.call.error.as_deref().map(|code| truncate(code, MAX_ERROR_CHARS)),
            finish_reason: entry.call.finish_reason.map(FinishReason::as_str),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            estimated: entry.call.tokens_estimated,
            counts_towards_budget: entry.counts_towards_budget,
            cost_micros: i64::try_from(entry.call.cost.0.min(MAX_COST_MICROS)).unwrap_or(i64::MAX),
            took_ms: millis(entry.call.duration),
            first_token_ms: entry.call.time_to_first_token.map(millis),
            created_at: entry.ended_at,
        };
        self.deferred().push_call(row);
    }

    pub(crate) async fn select_call_aggregates(&mut self, query: &UsageQuery) -> Result<LedgerAggregates, StoreError> {
        // Two extra rows: the total, and one group more than allowed to detect that groups were cut off.
        let limit = i64::try_from(UsageQuery::MAX_GROUPS + 2).unwrap_or(i64::MAX);
        let rows: Vec<GroupUsage> = AGGREGATES
            .query()
            .bind(query.from)
            .bind(query.to)
            .bind(query.user.map(|id| id.as_uuid()))
            .bind(query.group_by.as_str())
            .bind(limit)
            .fetch_all(self.connection())
            .await?;
        let mut rows = rows.into_iter();
        let totals = rows.next().map(|total| total.aggregates).unwrap_or_default();
        Ok(LedgerAggregates::from_groups(totals, rows.collect(), query.group_by))
    }
}

impl From<AggregatesRow> for GroupUsage {
    fn from(row: AggregatesRow) -> Self {
        let aggregates = UsageAggregates {
            calls: non_negative(row.calls),
            input_tokens: non_negative(row.input_tokens),
            output_tokens: non_negative(row.output_tokens),
            cost: MicroCost(non_negative(row.cost)),
            errors: non_negative(row.errors),
            fallbacks: non_negative(row.fallbacks),
            median_duration_ms: row.p50_ms,
            mean_time_to_first_token_ms: row.mean_time_to_first_token_ms,
        };
        Self { key: row.key, aggregates }
    }
}

/// Truncates to `max_chars` characters and removes U+0000, which PostgreSQL cannot store.
fn truncate(text: &str, max_chars: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(max_chars).collect()
}

fn truncated_attempts(failed: &[FailedAttempt]) -> Vec<FailedAttempt> {
    let truncated = |attempt: &FailedAttempt| FailedAttempt {
        backend: truncate(&attempt.backend, MAX_NAME_CHARS),
        error: truncate(&attempt.error, MAX_ERROR_CHARS),
    };
    failed.iter().take(MAX_ATTEMPTS).map(truncated).collect()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reported_values_are_truncated_to_the_limits_of_the_table() {
        assert_eq!(truncate("a\0b\u{e4}c", 3), "ab\u{e4}");
        let attempt = FailedAttempt { backend: "\u{1f600}".repeat(500), error: "e".repeat(500) };
        let json = serde_json::to_string(&truncated_attempts(&vec![attempt; 40])).expect("JSON");
        assert!(json.chars().count() <= 8_192, "{}", json.chars().count());
    }
}
