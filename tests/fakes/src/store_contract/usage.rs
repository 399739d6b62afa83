//! Test cases for the ledger of model calls and for budgets.

use super::{CaseError, CaseResult, TestContext};
use chrono::TimeDelta;
use domain::budget::{
    BudgetAmount, BudgetLimit, Budgets, PeriodSpending, ReservationOutcome, ReservationRequest, Spending,
};
use domain::ids::{ConversationId, ReservationId};
use domain::ledger::{CallOrigin, LedgerAggregates, LedgerEntry, UsageDimension, UsageQuery};
use domain::model::{CallUsage, ModelError, ModelTier};
use domain::model_call::{FailedAttempt, MicroCost, ModelCall, ModelOperation, ServedBy};
use domain::run::TokenUsage;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use futures::future::try_join_all;
use std::time::Duration;

const UNLIMITED: Budgets = Budgets {
    tokens_per_day: None,
    user_tokens_per_day: None,
    cost_per_month: None,
    user_cost_per_month: None,
    soft_percent: 80,
};

impl TestContext {
    fn new_ledger_entry(
        &self,
        operation: ModelOperation,
        input_tokens: u32,
        output_tokens: u32,
        cost: u64,
    ) -> LedgerEntry {
        let call_usage = CallUsage {
            served_by: ServedBy {
                backend: "cloud".to_owned(),
                requested_model: "m".to_owned(),
                model: "m-1".to_owned(),
                ..ServedBy::default()
            },
            token_usage: TokenUsage { input_tokens, output_tokens },
            tokens_estimated: false,
            cost: MicroCost(cost),
        };
        LedgerEntry {
            id: self.new_id(),
            ended_at: self.now(),
            origin: CallOrigin::default(),
            tier: None,
            counts_towards_budget: operation == ModelOperation::Chat,
            call: ModelCall::succeeded(operation, &call_usage, Duration::from_millis(40)),
        }
    }

    async fn record(&self, scope: &TenantScope, calls: &[LedgerEntry]) -> CaseResult {
        let mut tx = self.begin(scope).await?;
        tx.usage().record_calls(calls).await?;
        Ok(tx.commit().await?)
    }

    async fn spending(&self, scope: &TenantScope, now: Timestamp) -> Result<Spending, CaseError> {
        Ok(self.begin(scope).await?.usage().spending(now).await?)
    }

    async fn aggregates(&self, scope: &TenantScope, query: UsageQuery) -> Result<LedgerAggregates, CaseError> {
        Ok(self.begin(scope).await?.usage().aggregate_calls(&query).await?)
    }

    fn usage_query_around_now(&self, group_by: UsageDimension) -> UsageQuery {
        let (from, to) = (self.now() - TimeDelta::days(1), self.now() + TimeDelta::days(1));
        UsageQuery { from, to, user: None, group_by }
    }

    async fn reserve(
        &self,
        scope: &TenantScope,
        reservation: ReservationRequest,
        budgets: Budgets,
    ) -> Result<ReservationOutcome, CaseError> {
        let mut tx = self.begin(scope).await?;
        let outcome = tx.usage().reserve(&reservation, &budgets, self.now()).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    fn new_reservation(&self, minimum: u64, requested: u64) -> ReservationRequest {
        let amount = |tokens| BudgetAmount { tokens, cost: MicroCost(tokens) };
        let expires_at = self.now() + TimeDelta::minutes(5);
        ReservationRequest { id: self.new_id(), minimum: amount(minimum), requested: amount(requested), expires_at }
    }
}

fn reserved_tokens(outcome: &ReservationOutcome) -> Option<u64> {
    match outcome {
        ReservationOutcome::Reserved { amount, .. } => Some(amount.tokens),
        ReservationOutcome::Refused { .. } => None,
    }
}

/// Calls are summed per tenant and per user; a call that is recorded twice counts once.
pub async fn calls_are_recorded_once_and_counted(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let now = context.now();
    let adas_calls = [
        context.new_ledger_entry(ModelOperation::Chat, 100, 7, 50),
        context.new_ledger_entry(ModelOperation::Chat, 1, 1, 0),
        context.new_ledger_entry(ModelOperation::Embeddings, 1_000, 0, 5),
        LedgerEntry { counts_towards_budget: false, ..context.new_ledger_entry(ModelOperation::Chat, 9, 9, 0) },
    ];
    context.record(&tenant_a.ada, &adas_calls).await?;
    context.record(&tenant_a.ada, &adas_calls).await?;
    context.record(&tenant_a.bob, &[context.new_ledger_entry(ModelOperation::Chat, 10, 0, 1)]).await?;
    let worker = super::scope(tenant_a.id, domain::scope::Actor::Worker);
    context.record(&worker, &[context.new_ledger_entry(ModelOperation::Embeddings, 500, 0, 2)]).await?;

    let period_spending = |tokens, cost| PeriodSpending { tokens, cost: MicroCost(cost), ..PeriodSpending::default() };
    assert_eq!(
        context.spending(&tenant_a.ada, now).await?,
        Spending { tenant: period_spending(119, 58), user: period_spending(109, 55) }
    );
    assert_eq!(
        context.spending(&tenant_a.bob, now).await?,
        Spending { tenant: period_spending(119, 58), user: period_spending(10, 1) }
    );
    assert_eq!(context.spending(&worker, now).await?.user, PeriodSpending::default());
    assert_eq!(context.spending(&tenant_b.ada, now).await?, Spending::default());
    Ok(())
}

/// Tokens count for the day of the call, cost for its month, both in UTC.
pub async fn spending_counts_for_its_day_and_month(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let parse_time = |text: &str| text.parse::<Timestamp>();
    for (called_at, tokens, cost) in [
        ("2026-02-28T23:59:59Z", 1, 1),
        ("2026-03-01T00:00:00Z", 10, 10),
        ("2026-03-30T23:59:59Z", 100, 100),
        ("2026-03-31T12:00:00Z", 1_000, 1_000),
    ] {
        let call = LedgerEntry {
            ended_at: parse_time(called_at)?,
            ..context.new_ledger_entry(ModelOperation::Chat, tokens, 0, cost)
        };
        context.record(&tenant_a.ada, &[call]).await?;
    }
    for (now, tokens, cost) in [("2026-03-31T23:00:00Z", 1_000, 1_110), ("2026-04-01T00:00:00Z", 0, 0)] {
        let period_spending = PeriodSpending { tokens, cost: MicroCost(cost), ..PeriodSpending::default() };
        assert_eq!(
            context.spending(&tenant_a.ada, parse_time(now)?).await?,
            Spending { tenant: period_spending, user: period_spending },
            "{now}"
        );
    }
    Ok(())
}

/// Spending plus reservations stay within the limit, regardless of how many turns start concurrently.
pub async fn concurrent_reservations_never_exceed_a_limit(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    context.record(&tenant_a.bob, &[context.new_ledger_entry(ModelOperation::Chat, 100, 0, 0)]).await?;
    let budgets = Budgets { tokens_per_day: Some(1_000), ..UNLIMITED };
    let turns = (0..12).map(|n| {
        let scope = if n % 2 == 0 { &tenant_a.ada } else { &tenant_a.bob };
        context.reserve(scope, context.new_reservation(50, 200), budgets)
    });
    let outcomes = try_join_all(turns).await?;
    let mut amounts: Vec<_> = outcomes.iter().filter_map(reserved_tokens).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [100, 200, 200, 200, 200], "{outcomes:?}");
    let expected_refusal =
        ReservationOutcome::Refused { limit: BudgetLimit::TenantTokens, blocked_by_reservations: true };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == expected_refusal).count(), 7, "{outcomes:?}");
    let tenant_spending = context.spending(&tenant_a.ada, context.now()).await?.tenant;
    assert_eq!(tenant_spending.tokens + tenant_spending.reserved.tokens, 1_000);
    Ok(())
}

/// A turn extends its reservation under the same id. At its end, the actual spending replaces the reservation.
pub async fn a_reservation_is_extended_and_settled(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let budgets = Budgets { user_tokens_per_day: Some(300), ..UNLIMITED };
    let reservation = context.new_reservation(100, 200);
    assert_eq!(reserved_tokens(&context.reserve(&tenant_a.ada, reservation, budgets).await?), Some(200));
    assert_eq!(
        reserved_tokens(&context.reserve(&tenant_a.ada, reservation, budgets).await?),
        Some(100),
        "the rest of the limit"
    );
    let expected_refusal =
        ReservationOutcome::Refused { limit: BudgetLimit::UserTokens, blocked_by_reservations: true };
    assert_eq!(context.reserve(&tenant_a.ada, reservation, budgets).await?, expected_refusal);
    let adas_spending = context.spending(&tenant_a.ada, context.now()).await?.user;
    assert_eq!(adas_spending.reserved, BudgetAmount { tokens: 300, cost: MicroCost(400) });
    assert_eq!(
        reserved_tokens(&context.reserve(&tenant_a.bob, context.new_reservation(1, 300), budgets).await?),
        Some(300),
        "each user has a separate limit"
    );

    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.usage().record_calls(&[context.new_ledger_entry(ModelOperation::Chat, 150, 10, 0)]).await?;
    tx.usage().release_reservation(reservation.id).await?;
    tx.usage().release_reservation(reservation.id).await?;
    tx.commit().await?;
    let user_spending = context.spending(&tenant_a.ada, context.now()).await?.user;
    assert_eq!((user_spending.tokens, user_spending.reserved), (160, BudgetAmount::default()));
    assert_eq!(
        reserved_tokens(&context.reserve(&tenant_a.ada, context.new_reservation(100, 200), budgets).await?),
        Some(140)
    );
    Ok(())
}

/// The reservation of a process that died does not count after its expiry.
pub async fn expired_reservations_do_not_count(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let budgets = Budgets { cost_per_month: Some(MicroCost(100)), ..UNLIMITED };
    assert_eq!(
        reserved_tokens(&context.reserve(&tenant_a.ada, context.new_reservation(100, 100), budgets).await?),
        Some(100)
    );
    let expected_refusal =
        ReservationOutcome::Refused { limit: BudgetLimit::TenantCost, blocked_by_reservations: true };
    assert_eq!(context.reserve(&tenant_a.bob, context.new_reservation(1, 1), budgets).await?, expected_refusal);
    context.clock.advance(TimeDelta::minutes(5));
    assert_eq!(context.spending(&tenant_a.bob, context.now()).await?.tenant.reserved, BudgetAmount::default());
    assert_eq!(
        reserved_tokens(&context.reserve(&tenant_a.bob, context.new_reservation(100, 100), budgets).await?),
        Some(100)
    );
    Ok(())
}

/// The calls are summed by day, user, backend, model, operation, tier and conversation.
pub async fn calls_are_summed_by_group(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let conversation: ConversationId = context.new_id();
    let mut fallback = context.new_ledger_entry(ModelOperation::Chat, 20, 4, 300);
    fallback.origin.conversation = Some(conversation);
    fallback.tier = Some(ModelTier::Heavy);
    fallback.call.served_by.fallback = true;
    let failed_attempt = FailedAttempt { backend: "site".to_owned(), error: "unavailable".to_owned() };
    fallback.call.served_by.failed_attempts = vec![failed_attempt];
    fallback.call.duration = Duration::from_millis(60);
    fallback.call.time_to_first_token = Some(Duration::from_millis(10));
    let timeout = ModelError::Timeout { backend: "site".to_owned(), waited_s: 9 };
    let failed_call = LedgerEntry {
        call: ModelCall::failed(ModelOperation::Rerank, &timeout, Duration::from_secs(9)),
        ..context.new_ledger_entry(ModelOperation::Rerank, 0, 0, 0)
    };
    context
        .record(&tenant_a.ada, &[context.new_ledger_entry(ModelOperation::Chat, 1, 2, 5), fallback, failed_call])
        .await?;

    let aggregates =
        context.aggregates(&tenant_a.bob, context.usage_query_around_now(UsageDimension::Operation)).await?;
    let totals = &aggregates.totals;
    assert_eq!((totals.calls, totals.input_tokens, totals.output_tokens, totals.cost), (3, 21, 6, MicroCost(305)));
    assert_eq!((totals.errors, totals.fallbacks, totals.mean_time_to_first_token_ms), (1, 1, Some(10.0)));
    assert_eq!(
        (aggregates.groups[0].key.as_deref(), aggregates.groups[0].aggregates.median_duration_ms),
        (Some("chat"), Some(50.0))
    );
    let adas_id = super::user_id(&tenant_a.ada)?.to_string();
    let (day, conversation) = (context.now().date_naive().to_string(), conversation.to_string());
    for (group_by, keys) in [
        (UsageDimension::Day, vec![Some(day.as_str())]),
        (UsageDimension::User, vec![Some(adas_id.as_str())]),
        (UsageDimension::Backend, vec![Some("cloud"), Some("site")]),
        (UsageDimension::Model, vec![Some("m-1"), Some("")]),
        (UsageDimension::Operation, vec![Some("chat"), Some("rerank")]),
        (UsageDimension::Tier, vec![None, Some("heavy")]),
        (UsageDimension::Conversation, vec![None, Some(conversation.as_str())]),
    ] {
        let aggregates = context.aggregates(&tenant_a.ada, context.usage_query_around_now(group_by)).await?;
        let found: Vec<_> = aggregates.groups.iter().map(|group| group.key.as_deref()).collect();
        assert_eq!(found, keys, "{group_by}");
        assert!(!aggregates.truncated);
    }
    Ok(())
}

/// Calls of other tenants are invisible; aggregates can be limited to one user and to a period.
pub async fn nobody_else_sees_a_tenants_calls(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    context.record(&tenant_a.ada, &[context.new_ledger_entry(ModelOperation::Chat, 1, 1, 1)]).await?;
    let budgets = Budgets { tokens_per_day: Some(100), ..UNLIMITED };
    let reservation = context.new_reservation(100, 100);
    context.reserve(&tenant_b.ada, reservation, budgets).await?;
    let query = context.usage_query_around_now(UsageDimension::Day);
    assert_eq!(context.aggregates(&tenant_a.bob, query).await?.totals.calls, 1);
    assert_eq!(context.aggregates(&tenant_b.ada, query).await?, LedgerAggregates::default());
    for (user, calls) in [(&tenant_a.ada, 1), (&tenant_a.bob, 0), (&tenant_b.ada, 0)] {
        let query = UsageQuery { user: user.user(), ..query };
        assert_eq!(context.aggregates(&tenant_a.ada, query).await?.totals.calls, calls);
    }
    let before = UsageQuery { to: context.now(), ..query };
    assert_eq!(context.aggregates(&tenant_a.ada, before).await?.totals.calls, 0, "the end of the period is exclusive");

    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.usage().release_reservation(ReservationId::from_uuid(reservation.id.as_uuid())).await?;
    tx.commit().await?;
    let reserved = context.spending(&tenant_b.ada, context.now()).await?.tenant.reserved.tokens;
    assert_eq!(reserved, 100, "another tenant cannot release a reservation");
    assert_eq!(context.spending(&tenant_a.ada, context.now()).await?.tenant.reserved, BudgetAmount::default());
    Ok(())
}
