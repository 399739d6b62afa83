//! The route that returns the usage report: model calls and budgets.

use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page;
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use chrono::{DateTime, Utc};
use domain::budget::{BudgetLimit, Money, end_of_day, start_of_day};
use domain::command::ReadModelUsage;
use domain::ledger::{GroupUsage, UsageAggregates, UsageDimension, UsageReport};
use domain::model_call::MicroCost;
use domain::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(usage))
}

/// Period and grouping of a usage report.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageQuery {
    /// Start of the period: a timestamp (RFC 3339) or a date (UTC). By default the start of the current month.
    #[param(schema_with = timestamp_or_date)]
    from: Option<String>,
    /// End of the period: a timestamp, or a date, which is included. By default now. At most 366 days after `from`.
    #[param(schema_with = timestamp_or_date)]
    to: Option<String>,
    /// How calls are grouped. By day by default.
    #[param(schema_with = fields::usage_group)]
    group_by: Option<UsageDimension>,
}

/// Model calls in a period, and the current budgets.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageReport)]
struct ReportBody {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    #[schema(schema_with = fields::usage_group)]
    group_by: &'static str,
    totals: AggregatesBody,
    /// Days in chronological order; other groups by descending number of calls.
    groups: Vec<GroupBody>,
    /// Whether the groups with the fewest calls were left out. The totals include all calls.
    truncated: bool,
    budgets: BudgetsBody,
}

/// Sums over a set of model calls.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageSums)]
struct AggregatesBody {
    calls: u64,
    /// Input tokens of chat, embedding and reranking models.
    input_tokens: u64,
    output_tokens: u64,
    /// Total cost, in the currency of the configured prices.
    cost: f64,
    /// Number of failed calls.
    errors: u64,
    /// Number of calls that were served by a backend other than the first choice.
    fallbacks: u64,
    /// Median duration in milliseconds; null if there are no calls.
    p50_ms: Option<f64>,
    /// Mean time to the first chunk of a streamed answer, in milliseconds; null if no answer was streamed.
    first_token_ms_avg: Option<f64>,
}

/// Sums over the calls of one group.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageOfGroup)]
struct GroupBody {
    /// The day, the id of the user or conversation, the backend, …; null for calls that have none.
    key: Option<String>,
    #[serde(flatten)]
    aggregates: AggregatesBody,
}

/// The current budgets, regardless of the requested period.
#[derive(Serialize, ToSchema)]
#[schema(as = Budgets)]
struct BudgetsBody {
    /// The tenant's budgets; null for users who can see only their own calls.
    tenant: Option<BudgetsOf>,
    /// Your own budgets.
    user: BudgetsOf,
}

/// Budgets of a tenant or a user.
#[derive(Serialize, ToSchema)]
struct BudgetsOf {
    tokens_per_day: TokenBudget,
    cost_per_month: CostBudget,
}

/// A token budget for one day (UTC).
#[derive(Serialize, ToSchema)]
struct TokenBudget {
    /// Null if there is no limit.
    limit: Option<u64>,
    spent: u64,
    /// Reserved for answers that are being generated.
    reserved: u64,
    /// Soft limit, as a percentage of `limit`.
    soft_percent: u8,
    soft_exceeded: bool,
    period_ends: DateTime<Utc>,
}

/// A cost budget for one month (UTC), in the currency of the configured prices.
#[derive(Serialize, ToSchema)]
struct CostBudget {
    /// Null if there is no limit.
    limit: Option<f64>,
    spent: f64,
    /// Reserved for answers that are being generated.
    reserved: f64,
    /// Soft limit, as a percentage of `limit`.
    soft_percent: u8,
    soft_exceeded: bool,
    period_ends: DateTime<Utc>,
}

impl From<UsageAggregates> for AggregatesBody {
    fn from(aggregates: UsageAggregates) -> Self {
        Self {
            calls: aggregates.calls,
            input_tokens: aggregates.input_tokens,
            output_tokens: aggregates.output_tokens,
            cost: Money(aggregates.cost).units(),
            errors: aggregates.errors,
            fallbacks: aggregates.fallbacks,
            p50_ms: aggregates.median_duration_ms,
            first_token_ms_avg: aggregates.mean_time_to_first_token_ms,
        }
    }
}

impl From<GroupUsage> for GroupBody {
    fn from(group: GroupUsage) -> Self {
        Self { key: group.key, aggregates: group.aggregates.into() }
    }
}

impl From<UsageReport> for ReportBody {
    fn from(report: UsageReport) -> Self {
        let tenant_budgets = || BudgetsOf::new(&report, BudgetLimit::TenantTokens, BudgetLimit::TenantCost);
        Self {
            from: report.from,
            to: report.to,
            group_by: report.group_by.as_str(),
            budgets: BudgetsBody {
                tenant: report.is_tenant_wide.then(tenant_budgets),
                user: BudgetsOf::new(&report, BudgetLimit::UserTokens, BudgetLimit::UserCost),
            },
            totals: report.aggregates.totals.into(),
            groups: report.aggregates.groups.into_iter().map(Into::into).collect(),
            truncated: report.aggregates.truncated,
        }
    }
}

impl BudgetsOf {
    fn new(report: &UsageReport, token_limit: BudgetLimit, cost_limit: BudgetLimit) -> Self {
        let UsageReport { budgets, spending, now, .. } = report;
        let units = |micros| Money(MicroCost(micros)).units();
        let (used_tokens, used_cost) = (spending.usage_of(token_limit), spending.usage_of(cost_limit));
        Self {
            tokens_per_day: TokenBudget {
                limit: budgets.limit(token_limit),
                spent: used_tokens.spent,
                reserved: used_tokens.reserved,
                soft_percent: budgets.soft_percent,
                soft_exceeded: budgets.exceeds_soft_limit(token_limit, spending),
                period_ends: token_limit.period_end(*now),
            },
            cost_per_month: CostBudget {
                limit: budgets.limit(cost_limit).map(units),
                spent: units(used_cost.spent),
                reserved: units(used_cost.reserved),
                soft_percent: budgets.soft_percent,
                soft_exceeded: budgets.exceeds_soft_limit(cost_limit, spending),
                period_ends: cost_limit.period_end(*now),
            },
        }
    }
}

fn timestamp_or_date() -> RefOr<Schema> {
    let string =
        |format| ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)));
    let either = AnyOfBuilder::new().item(string(KnownFormat::DateTime)).item(string(KnownFormat::Date)).build();
    Schema::AnyOf(either).into()
}

/// Whether a date means the start or the end of that day.
#[derive(Clone, Copy)]
enum DayBoundary {
    Start,
    End,
}

/// Parses a timestamp or a date. A date is converted to the start or end of that day in UTC.
fn parse_time(pointer: &str, text: Option<&str>, boundary: DayBoundary) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let day_boundary = |date: Date| match boundary {
        DayBoundary::Start => start_of_day(date),
        DayBoundary::End => end_of_day(start_of_day(date)),
    };
    let parsed = text.parse::<Date>().map(day_boundary).or_else(|_| text.parse::<Timestamp>());
    let detail = "must be a timestamp (RFC 3339), or a date such as 2026-01-31";
    let timestamp = parsed.map_err(|_| ApiError::invalid_field(pointer, detail))?;
    page::check_timestamp(pointer, Some(timestamp))
}

/// Returns the usage of models (calls, tokens, cost, durations, errors, fallbacks), and the budgets.
///
/// Admins and auditors see the usage of their tenant, other users only their own.
#[utoipa::path(
    get, path = "/v1/usage", tag = "usage", params(UsageQuery), responses((status = 200, body = ReportBody))
)]
async fn usage(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<ReportBody>, ApiError> {
    let command = ReadModelUsage {
        from: parse_time("/from", query.from.as_deref(), DayBoundary::Start)?,
        to: parse_time("/to", query.to.as_deref(), DayBoundary::End)?,
        group_by: query.group_by.unwrap_or(UsageDimension::Day),
    };
    Ok(Json(call.execute(command).await?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_converted_to_the_start_or_end_of_its_day() {
        let parse =
            |text: &str, boundary| parse_time("/to", Some(text), boundary).map(|at| at.map(|at| at.to_rfc3339()));
        assert_eq!(parse("2026-02-28", DayBoundary::Start), Ok(Some("2026-02-28T00:00:00+00:00".to_owned())));
        assert_eq!(parse("2026-02-28", DayBoundary::End), Ok(Some("2026-03-01T00:00:00+00:00".to_owned())));
        assert_eq!(
            parse("2026-02-28T12:00:00+02:00", DayBoundary::End),
            Ok(Some("2026-02-28T10:00:00+00:00".to_owned()))
        );
        for invalid in ["", "yesterday", "2026-02-30", "2026-02-28T12:00", "12345-01-01", "9999-12-31"] {
            assert_eq!(parse(invalid, DayBoundary::End).expect_err(invalid).fields[0].pointer, "/to");
        }
        assert_eq!(parse_time("/from", None, DayBoundary::Start), Ok(None));
    }
}
