//! Cases on the ledger of model calls, and on budgets.

use super::{CaseError, CaseResult, World};
use chrono::TimeDelta;
use domain::budget::{Amount, BudgetLimit, Budgets, PeriodSpending, Reservation, ReserveOutcome, Spending};
use domain::ids::{ConversationId, ReservationId};
use domain::ledger::{CallContext, LedgerEntry, LedgerSums, UsageGroup, UsageQuery};
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

impl World {
    fn call(&self, operation: ModelOperation, input_tokens: u32, output_tokens: u32, cost: u64) -> LedgerEntry {
        let spent = CallUsage {
            served_by: ServedBy {
                backend: "cloud".to_owned(),
                requested: "m".to_owned(),
                model: "m-1".to_owned(),
                ..ServedBy::default()
            },
            usage: TokenUsage { input_tokens, output_tokens },
            estimated: false,
            cost: MicroCost(cost),
        };
        LedgerEntry {
            id: self.id(),
            at: self.now(),
            context: CallContext::default(),
            tier: None,
            metered: operation == ModelOperation::Chat,
            call: ModelCall::answered(operation, &spent, Duration::from_millis(40)),
        }
    }

    async fn record(&self, by: &TenantScope, calls: &[LedgerEntry]) -> CaseResult {
        let mut tx = self.begin(by).await?;
        tx.usage().record(calls).await?;
        Ok(tx.commit().await?)
    }

    async fn spending(&self, by: &TenantScope, now: Timestamp) -> Result<Spending, CaseError> {
        Ok(self.begin(by).await?.usage().spending(now).await?)
    }

    async fn sums(&self, by: &TenantScope, query: UsageQuery) -> Result<LedgerSums, CaseError> {
        Ok(self.begin(by).await?.usage().sums(&query).await?)
    }

    fn around_now(&self, group_by: UsageGroup) -> UsageQuery {
        let (from, to) = (self.now() - TimeDelta::days(1), self.now() + TimeDelta::days(1));
        UsageQuery { from, to, user: None, group_by }
    }

    async fn reserve(
        &self,
        by: &TenantScope,
        asked: Reservation,
        budgets: Budgets,
    ) -> Result<ReserveOutcome, CaseError> {
        let mut tx = self.begin(by).await?;
        let granted = tx.usage().reserve(&asked, &budgets, self.now()).await?;
        tx.commit().await?;
        Ok(granted)
    }

    fn asking(&self, least: u64, wanted: u64) -> Reservation {
        let amount = |tokens| Amount { tokens, cost: MicroCost(tokens) };
        let expires_at = self.now() + TimeDelta::minutes(5);
        Reservation { id: self.id(), least: amount(least), wanted: amount(wanted), expires_at }
    }
}

fn tokens(granted: &ReserveOutcome) -> Option<u64> {
    match granted {
        ReserveOutcome::Reserved { amount, .. } => Some(amount.tokens),
        ReserveOutcome::Refused { .. } => None,
    }
}

/// Calls are summed per tenant and per user; a call that is recorded twice counts once.
pub async fn calls_are_recorded_once_and_counted(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let now = world.now();
    let of_ada = [
        world.call(ModelOperation::Chat, 100, 7, 50),
        world.call(ModelOperation::Chat, 1, 1, 0),
        world.call(ModelOperation::Embeddings, 1_000, 0, 5),
        LedgerEntry { metered: false, ..world.call(ModelOperation::Chat, 9, 9, 0) },
    ];
    world.record(&here.ada, &of_ada).await?;
    world.record(&here.ada, &of_ada).await?;
    world.record(&here.bob, &[world.call(ModelOperation::Chat, 10, 0, 1)]).await?;
    let worker = super::scope(here.tenant, domain::scope::Actor::Worker);
    world.record(&worker, &[world.call(ModelOperation::Embeddings, 500, 0, 2)]).await?;

    let spent = |tokens, cost| PeriodSpending { tokens, cost: MicroCost(cost), ..PeriodSpending::default() };
    assert_eq!(world.spending(&here.ada, now).await?, Spending { tenant: spent(119, 58), user: spent(109, 55) });
    assert_eq!(world.spending(&here.bob, now).await?, Spending { tenant: spent(119, 58), user: spent(10, 1) });
    assert_eq!(world.spending(&worker, now).await?.user, PeriodSpending::default());
    assert_eq!(world.spending(&there.ada, now).await?, Spending::default());
    Ok(())
}

/// Tokens count for the day of the call, cost for its month, both in UTC.
pub async fn spending_counts_for_its_day_and_month(world: &World) -> CaseResult {
    let here = world.plant("a").await?;
    let at = |text: &str| text.parse::<Timestamp>();
    for (moment, tokens, cost) in [
        ("2026-02-28T23:59:59Z", 1, 1),
        ("2026-03-01T00:00:00Z", 10, 10),
        ("2026-03-30T23:59:59Z", 100, 100),
        ("2026-03-31T12:00:00Z", 1_000, 1_000),
    ] {
        let call = LedgerEntry { at: at(moment)?, ..world.call(ModelOperation::Chat, tokens, 0, cost) };
        world.record(&here.ada, &[call]).await?;
    }
    for (now, tokens, cost) in [("2026-03-31T23:00:00Z", 1_000, 1_110), ("2026-04-01T00:00:00Z", 0, 0)] {
        let spent = PeriodSpending { tokens, cost: MicroCost(cost), ..PeriodSpending::default() };
        assert_eq!(world.spending(&here.ada, at(now)?).await?, Spending { tenant: spent, user: spent }, "{now}");
    }
    Ok(())
}

/// Spending plus reservations stay within the limit, regardless of how many turns start concurrently.
pub async fn concurrent_reservations_never_exceed_a_limit(world: &World) -> CaseResult {
    let here = world.plant("a").await?;
    world.record(&here.bob, &[world.call(ModelOperation::Chat, 100, 0, 0)]).await?;
    let budgets = Budgets { tokens_per_day: Some(1_000), ..UNLIMITED };
    let turns = (0..12).map(|n| {
        let by = if n % 2 == 0 { &here.ada } else { &here.bob };
        world.reserve(by, world.asking(50, 200), budgets)
    });
    let granted = try_join_all(turns).await?;
    let mut amounts: Vec<_> = granted.iter().filter_map(tokens).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [100, 200, 200, 200, 200], "{granted:?}");
    let refused = ReserveOutcome::Refused { limit: BudgetLimit::TenantTokens, held: true };
    assert_eq!(granted.iter().filter(|granted| **granted == refused).count(), 7, "{granted:?}");
    let tenant = world.spending(&here.ada, world.now()).await?.tenant;
    assert_eq!(tenant.tokens + tenant.reserved.tokens, 1_000);
    Ok(())
}

/// A turn extends its reservation under the same id; when it settles, its actual spending replaces the reservation.
pub async fn a_reservation_is_extended_and_settled(world: &World) -> CaseResult {
    let here = world.plant("a").await?;
    let budgets = Budgets { user_tokens_per_day: Some(300), ..UNLIMITED };
    let turn = world.asking(100, 200);
    assert_eq!(tokens(&world.reserve(&here.ada, turn, budgets).await?), Some(200));
    assert_eq!(tokens(&world.reserve(&here.ada, turn, budgets).await?), Some(100), "the rest of the limit");
    let refused = ReserveOutcome::Refused { limit: BudgetLimit::UserTokens, held: true };
    assert_eq!(world.reserve(&here.ada, turn, budgets).await?, refused);
    let held = world.spending(&here.ada, world.now()).await?.user;
    assert_eq!(held.reserved, Amount { tokens: 300, cost: MicroCost(400) });
    assert_eq!(
        tokens(&world.reserve(&here.bob, world.asking(1, 300), budgets).await?),
        Some(300),
        "a user's own limit"
    );

    let mut tx = world.begin(&here.ada).await?;
    tx.usage().record(&[world.call(ModelOperation::Chat, 150, 10, 0)]).await?;
    tx.usage().release(turn.id).await?;
    tx.usage().release(turn.id).await?;
    tx.commit().await?;
    let user = world.spending(&here.ada, world.now()).await?.user;
    assert_eq!((user.tokens, user.reserved), (160, Amount::default()));
    assert_eq!(tokens(&world.reserve(&here.ada, world.asking(100, 200), budgets).await?), Some(140));
    Ok(())
}

/// The reservation of a process that died does not count after its expiry.
pub async fn expired_reservations_do_not_count(world: &World) -> CaseResult {
    let here = world.plant("a").await?;
    let budgets = Budgets { cost_per_month: Some(MicroCost(100)), ..UNLIMITED };
    assert_eq!(tokens(&world.reserve(&here.ada, world.asking(100, 100), budgets).await?), Some(100));
    let refused = ReserveOutcome::Refused { limit: BudgetLimit::TenantCost, held: true };
    assert_eq!(world.reserve(&here.bob, world.asking(1, 1), budgets).await?, refused);
    world.clock.advance(TimeDelta::minutes(5));
    assert_eq!(world.spending(&here.bob, world.now()).await?.tenant.reserved, Amount::default());
    assert_eq!(tokens(&world.reserve(&here.bob, world.asking(100, 100), budgets).await?), Some(100));
    Ok(())
}

/// Sums by day, user, backend, model, operation, tier and conversation.
pub async fn calls_are_summed_by_group(world: &World) -> CaseResult {
    let here = world.plant("a").await?;
    let conversation: ConversationId = world.id();
    let mut fallback = world.call(ModelOperation::Chat, 20, 4, 300);
    fallback.context.conversation = Some(conversation);
    fallback.tier = Some(ModelTier::Heavy);
    fallback.call.served_by.fallback = true;
    let refused = FailedAttempt { backend: "site".to_owned(), error: "unavailable".to_owned() };
    fallback.call.served_by.failed = vec![refused];
    fallback.call.took = Duration::from_millis(60);
    fallback.call.first_token = Some(Duration::from_millis(10));
    let failed = ModelError::Timeout { backend: "site".to_owned(), waited_s: 9 };
    let failed = LedgerEntry {
        call: ModelCall::failed(ModelOperation::Rerank, &failed, Duration::from_secs(9)),
        ..world.call(ModelOperation::Rerank, 0, 0, 0)
    };
    world.record(&here.ada, &[world.call(ModelOperation::Chat, 1, 2, 5), fallback, failed]).await?;

    let sums = world.sums(&here.bob, world.around_now(UsageGroup::Operation)).await?;
    let totals = &sums.totals;
    assert_eq!((totals.calls, totals.input_tokens, totals.output_tokens, totals.cost), (3, 21, 6, MicroCost(305)));
    assert_eq!((totals.errors, totals.fallbacks, totals.first_token_ms), (1, 1, Some(10.0)));
    assert_eq!((sums.groups[0].key.as_deref(), sums.groups[0].sums.p50_ms), (Some("chat"), Some(50.0)));
    let owner = super::owner(&here.ada)?.to_string();
    let (day, conversation) = (world.now().date_naive().to_string(), conversation.to_string());
    for (by, keys) in [
        (UsageGroup::Day, vec![Some(day.as_str())]),
        (UsageGroup::User, vec![Some(owner.as_str())]),
        (UsageGroup::Backend, vec![Some("cloud"), Some("site")]),
        (UsageGroup::Model, vec![Some("m-1"), Some("")]),
        (UsageGroup::Operation, vec![Some("chat"), Some("rerank")]),
        (UsageGroup::Tier, vec![None, Some("heavy")]),
        (UsageGroup::Conversation, vec![None, Some(conversation.as_str())]),
    ] {
        let sums = world.sums(&here.ada, world.around_now(by)).await?;
        let found: Vec<_> = sums.groups.iter().map(|group| group.key.as_deref()).collect();
        assert_eq!(found, keys, "{by}");
        assert!(!sums.truncated);
    }
    Ok(())
}

/// Calls of other tenants are invisible; sums can be limited to one user and to a period.
pub async fn nobody_else_sees_a_tenants_calls(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    world.record(&here.ada, &[world.call(ModelOperation::Chat, 1, 1, 1)]).await?;
    let budgets = Budgets { tokens_per_day: Some(100), ..UNLIMITED };
    let held = world.asking(100, 100);
    world.reserve(&there.ada, held, budgets).await?;
    let query = world.around_now(UsageGroup::Day);
    assert_eq!(world.sums(&here.bob, query).await?.totals.calls, 1);
    assert_eq!(world.sums(&there.ada, query).await?, LedgerSums::default());
    for (user, calls) in [(&here.ada, 1), (&here.bob, 0), (&there.ada, 0)] {
        let query = UsageQuery { user: user.user(), ..query };
        assert_eq!(world.sums(&here.ada, query).await?.totals.calls, calls);
    }
    let before = UsageQuery { to: world.now(), ..query };
    assert_eq!(world.sums(&here.ada, before).await?.totals.calls, 0, "the end of the period is exclusive");

    let mut tx = world.begin(&here.ada).await?;
    tx.usage().release(ReservationId::from_uuid(held.id.as_uuid())).await?;
    tx.commit().await?;
    let reserved = world.spending(&there.ada, world.now()).await?.tenant.reserved.tokens;
    assert_eq!(reserved, 100, "another tenant cannot release a reservation");
    assert_eq!(world.spending(&here.ada, world.now()).await?.tenant.reserved, Amount::default());
    Ok(())
}
