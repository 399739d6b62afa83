//! What a turn may spend: set aside before a model is called, so that turns at the same moment pass no limit together,
//! and asked for anew when tools make the turn longer than was thought.

use super::budget::{TokenBudget, cost, estimate, newest_within};
use super::prompt::{self, Assembled, Material};
use super::stream::{Draft, INSTRUCTIONS};
use super::{ChatService, intent};
use crate::error::RuntimeError;
use chrono::TimeDelta;
use domain::budget::{Amount, BudgetLimit, Budgets, Reservation, ReserveOutcome, Spending};
use domain::classified::Classified;
use domain::command::RetrievalMode;
use domain::conversation::Message;
use domain::ids::{ReservationId, TenantId, UserId};
use domain::memory::Memory;
use domain::model::{OfferedTool, PromptMessage};
use domain::model_call::{MicroCost, Price};
use domain::ports::TenantTx;
use domain::run::TokenUsage;
use domain::scope::TenantScope;
use domain::time::{Date, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An answer of fewer tokens says nothing.
pub(super) const LEAST_OUTPUT: u32 = 64;
/// How long a turn's end may take beyond the turn: storing is tried for ten minutes.
const SETTLING: Duration = Duration::from_secs(720);
/// When to come back where other turns hold what is missing: they settle when they end.
const HELD: Duration = Duration::from_secs(10);

/// What a turn may come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnEstimate {
    /// Tokens of the shortest prompt.
    pub(super) least: usize,
    /// Tokens of the longest.
    pub(super) prompt: usize,
    /// Most tokens of the answer.
    pub(super) output: u32,
    /// The most that they cost; `None`: not known.
    pub(super) price: Option<Price>,
}

/// What a turn may spend; where nothing is limited, whatever it takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowance {
    held: Option<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    id: ReservationId,
    budgets: Budgets,
    price: Option<Price>,
    /// All that was set aside so far.
    amount: Amount,
    /// The limit that left no more.
    scarce: Option<BudgetLimit>,
}

/// A reply as it fits what the turn may spend.
pub(super) struct Reply {
    pub(super) prompt: Classified<Vec<PromptMessage>>,
    pub(super) tools: Vec<OfferedTool>,
    pub(super) output: u32,
}

impl Draft {
    /// A reply to this prompt. What the answer is made from by now is noted.
    fn reply(&mut self, assembled: Assembled, tools: Vec<OfferedTool>, output: u32) -> Reply {
        let Assembled { prompt, sources } = assembled;
        self.classification = self.classification.max(prompt.class());
        self.sources.extend(&sources);
        Reply { prompt, tools, output }
    }
}

/// Tokens of these tools in a prompt, which their server puts there.
pub(super) fn cost_of_tools(tools: &[OfferedTool]) -> usize {
    let of = |tool: &OfferedTool| {
        estimate(&tool.name) + estimate(&tool.description) + estimate(&tool.parameters.to_string())
    };
    tools.iter().map(of).sum()
}

impl Allowance {
    /// What it is set aside under, if something is limited.
    pub(super) fn reservation(&self) -> Option<ReservationId> {
        self.held.as_ref().map(|held| held.id)
    }

    /// The most of `room` that a prompt may take once so much is spent.
    pub(super) fn room(&self, room: usize, spent: Amount) -> usize {
        self.held.as_ref().map_or(room, |held| room.min(held.left(spent).prompt_before(LEAST_OUTPUT)))
    }

    /// The most tokens of an answer to a prompt of so many, and at most so many, before anything is spent.
    pub(super) fn output(&self, prompt: usize, most: u32) -> u32 {
        let left = self.held.as_ref().map_or(most, |held| held.left(Amount::default()).output_after(prompt));
        left.clamp(1, most.max(1))
    }

    fn used_up(&self, now: Timestamp) -> RuntimeError {
        let limit = self.held.as_ref().and_then(|held| held.scarce).unwrap_or(BudgetLimit::TenantTokens);
        used_up(limit, (limit.period_ends(now) - now).to_std().unwrap_or_default())
    }
}

fn used_up(limit: BudgetLimit, retry_after: Duration) -> RuntimeError {
    RuntimeError::TokensUsedUp { limit, retry_after }
}

/// An amount at a price. Where that is not known, the least amount there is: it is refused where nothing is left.
fn amount(price: Option<Price>, prompt: usize, output: u32) -> Amount {
    let usage = TokenUsage { input_tokens: u32::try_from(prompt).unwrap_or(u32::MAX), output_tokens: output };
    Amount {
        tokens: u64::from(usage.input_tokens) + u64::from(output),
        cost: price.map_or(MicroCost(1), |price| price.of(usage)),
    }
}

impl Held {
    fn left(&self, spent: Amount) -> Left {
        let cost = self.amount.cost.0.saturating_sub(spent.cost.0);
        Left {
            tokens: self.budgets.limits_tokens().then(|| self.amount.tokens.saturating_sub(spent.tokens)),
            cost: self.price.filter(|_| self.budgets.limits_cost()).map(|price| (cost, price)),
        }
    }
}

/// What is left of an allowance; `None` is without limit.
struct Left {
    tokens: Option<u64>,
    cost: Option<(u64, Price)>,
}

impl Left {
    /// The most tokens of an answer to a prompt of so many.
    fn output_after(&self, prompt: usize) -> u32 {
        let by_tokens = self.tokens.map_or(u64::MAX, |left| left.saturating_sub(prompt as u64));
        let by_cost =
            self.cost.map_or(u64::MAX, |(left, price)| match left.checked_sub(amount(Some(price), prompt, 0).cost.0) {
                Some(rest) => affordable(rest, price.output),
                None => 0,
            });
        u32::try_from(by_tokens.min(by_cost)).unwrap_or(u32::MAX)
    }

    /// The most tokens of a prompt that leaves so many for the answer.
    fn prompt_before(&self, output: u32) -> usize {
        let by_tokens = self.tokens.map_or(u64::MAX, |left| left.saturating_sub(u64::from(output)));
        let by_cost = self.cost.map_or(u64::MAX, |(left, price)| {
            affordable(left.saturating_sub(amount(Some(price), 0, output).cost.0), price.input)
        });
        usize::try_from(by_tokens.min(by_cost)).unwrap_or(usize::MAX)
    }
}

/// The most tokens at a price per million that `left` pays for.
fn affordable(left: u64, price: MicroCost) -> u64 {
    let tokens = (u128::from(left) * 1_000_000).checked_div(u128::from(price.0));
    tokens.map_or(u64::MAX, |tokens| u64::try_from(tokens).unwrap_or(u64::MAX))
}

impl ChatService {
    /// What a turn with this may come to, tools aside that it may call later.
    pub(super) fn estimate(
        &self,
        (question, mode): (&str, RetrievalMode),
        history: &[Message],
        memories: &[Memory],
        (tools, price): (&[OfferedTool], Option<Price>),
    ) -> TurnEstimate {
        let remembered: usize = memories.iter().map(|memory| estimate(&memory.content)).sum();
        let least = INSTRUCTIONS + estimate(question) + remembered;
        let room = self.room();
        let told = newest_within(history, TokenBudget(room.saturating_sub(least)));
        let told: usize = told.iter().map(|message| estimate(&message.content)).sum();
        let looks = intent::wants_documents(mode, question);
        let passages = if looks { self.room_for_passages(question, room).0 } else { 0 };
        let wanted = least.saturating_add(told).saturating_add(passages);
        let prompt = room.min(wanted).max(least) + cost_of_tools(tools);
        TurnEstimate { least, prompt, output: self.settings.max_output_tokens, price }
    }

    /// Sets aside what a turn may come to, or what is left of it, in the transaction of the caller; nothing where nothing
    /// is limited. Do it as late as may be: until the transaction ends, the tenant's other turns wait.
    ///
    /// # Errors
    /// Where too little is left for an answer, or the store fails.
    pub(super) async fn reserve(
        &self,
        tx: &mut dyn TenantTx,
        scope: &TenantScope,
        budgets: Budgets,
        turn: TurnEstimate,
    ) -> Result<Allowance, RuntimeError> {
        if budgets.is_unlimited() || !self.parts.model.is_generative() {
            return Ok(Allowance::default());
        }
        let now = self.parts.clock.now();
        let asked = Reservation {
            id: ReservationId::from_uuid(self.parts.ids.uuid()),
            least: amount(turn.price, turn.least, LEAST_OUTPUT),
            wanted: amount(turn.price, turn.prompt, turn.output),
            expires_at: self.expiry(now),
        };
        match tx.usage().reserve(&asked, &budgets, now).await? {
            ReserveOutcome::Reserved { amount, spending } => {
                self.soft_limits.look(scope, &budgets, &spending, now);
                let scarce = short(&budgets, amount, asked.wanted);
                Ok(Allowance { held: Some(Held { id: asked.id, budgets, price: turn.price, amount, scarce }) })
            }
            ReserveOutcome::Refused { limit, held: true } => Err(used_up(limit, HELD)),
            ReserveOutcome::Refused { limit, held: false } => {
                Err(used_up(limit, (limit.period_ends(now) - now).to_std().unwrap_or_default()))
            }
        }
    }

    fn expiry(&self, now: Timestamp) -> Timestamp {
        let life = TimeDelta::from_std(self.settings.turn_limit + SETTLING).unwrap_or(TimeDelta::hours(1));
        now.checked_add_signed(life).unwrap_or(now)
    }

    /// The next reply, as it fits what the turn may spend: more is set aside where that is needed and left. Where it is
    /// not, the reply is a shorter one, and the last: it is offered no tools.
    ///
    /// # Errors
    /// Where too little is left for an answer, or the store fails.
    pub(super) async fn next_reply(
        &self,
        scope: &TenantScope,
        draft: &mut Draft,
        (material, said): (&Material<'_>, &Classified<Vec<PromptMessage>>),
        tools: Vec<OfferedTool>,
    ) -> Result<Reply, RuntimeError> {
        let spoken = cost(said.content());
        let within = |room: usize| {
            let mut assembled = prompt::assemble(material, TokenBudget(room.saturating_sub(spoken)));
            assembled.prompt.append(said.clone());
            assembled
        };
        let (first, most) = (within(self.room()), self.settings.max_output_tokens);
        let Some(held) = &mut draft.allowance.held else { return Ok(draft.reply(first, tools, most)) };
        let size = cost(first.prompt.content());
        let (spent, prompt) = (draft.calls.spent(), size + cost_of_tools(&tools));
        let least = amount(held.price, prompt::least(material) + spoken, LEAST_OUTPUT);
        self.cover(scope, held, spent, (least, amount(held.price, prompt, most))).await?;
        let left = held.left(spent);
        if left.output_after(prompt) >= most {
            return Ok(draft.reply(first, tools, most));
        }
        let fits = left.output_after(size) >= LEAST_OUTPUT;
        let assembled = if fits { first } else { within(left.prompt_before(LEAST_OUTPUT)) };
        let output = left.output_after(cost(assembled.prompt.content())).min(most);
        if output < LEAST_OUTPUT {
            return Err(draft.allowance.used_up(self.parts.clock.now()));
        }
        Ok(draft.reply(assembled, Vec::new(), output))
    }

    /// Sets more aside where less than `wanted` is left: as much as there is, if that makes `least`.
    async fn cover(
        &self,
        scope: &TenantScope,
        held: &mut Held,
        spent: Amount,
        (least, wanted): (Amount, Amount),
    ) -> Result<(), RuntimeError> {
        let missing = |of: Amount| Amount {
            tokens: of.tokens.saturating_sub(held.amount.tokens.saturating_sub(spent.tokens)),
            cost: MicroCost(of.cost.0.saturating_sub(held.amount.cost.0.saturating_sub(spent.cost.0))),
        };
        let (least, more) = (missing(least), missing(wanted));
        if short(&held.budgets, Amount::default(), more).is_none() || held.scarce.is_some() {
            return Ok(());
        }
        let now = self.parts.clock.now();
        let asked = Reservation { id: held.id, least, wanted: more, expires_at: self.expiry(now) };
        let mut tx = self.parts.store.begin(scope).await?;
        match tx.usage().reserve(&asked, &held.budgets, now).await? {
            ReserveOutcome::Reserved { amount, .. } => {
                tx.commit().await?;
                held.scarce = short(&held.budgets, amount, more);
                held.amount += amount;
            }
            ReserveOutcome::Refused { limit, .. } => held.scarce = Some(limit),
        }
        Ok(())
    }
}

/// The limit by which less was granted than wanted.
fn short(budgets: &Budgets, granted: Amount, wanted: Amount) -> Option<BudgetLimit> {
    let cut = |limit: &&BudgetLimit| match limit {
        BudgetLimit::TenantTokens | BudgetLimit::UserTokens => granted.tokens < wanted.tokens,
        BudgetLimit::TenantCost | BudgetLimit::UserCost => granted.cost < wanted.cost,
    };
    BudgetLimit::ALL.iter().filter(|limit| budgets.limit(**limit).is_some()).find(cut).copied()
}

/// A limit of a tenant, or of one of its users.
type OneLimit = (TenantId, Option<UserId>, BudgetLimit);

/// Says once in a period that a limit is nearly used up.
#[derive(Debug, Default)]
pub(super) struct SoftLimits {
    /// When the period began of which it was said.
    told: Mutex<HashMap<OneLimit, Date>>,
}

impl SoftLimits {
    fn look(&self, scope: &TenantScope, budgets: &Budgets, spending: &Spending, now: Timestamp) {
        for limit in BudgetLimit::ALL.iter().filter(|limit| budgets.exceeds_soft_limit(**limit, spending)) {
            let user = scope.user().filter(|_| limit.is_per_user());
            if self.is_first((scope.tenant(), user, *limit), now) {
                let (used, most) = (spending.usage_of(*limit).spent, budgets.limit(*limit).unwrap_or_default());
                tracing::warn!(tenant_id = %scope.tenant(), user_id = user.map(tracing::field::display), %limit, used, most,
                    "a budget is nearly used up");
            }
        }
    }

    /// Whether it was not said in this period. What was said in earlier ones is forgotten.
    fn is_first(&self, what: OneLimit, now: Timestamp) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let period = what.2.period_begins(now);
        if told.get(&what) == Some(&period) {
            return false;
        }
        told.retain(|(_, _, limit), begun| *begun == limit.period_begins(now));
        told.insert(what, period);
        true
    }
}
