//! What a run may spend: tokens and cost that are reserved for it. Pure arithmetic; [`super::reserve`] does the
//! reserving.

use crate::error::RuntimeError;
use domain::budget::{Amount, BudgetLimit, Budgets};
use domain::ids::ReservationId;
use domain::model_call::{MicroCost, Price};
use domain::run::TokenUsage;
use domain::time::Timestamp;
use std::time::Duration;

/// Minimum tokens of a reply: a shorter one is not worth a call.
pub const MIN_OUTPUT_TOKENS: u32 = 64;

/// The tokens that a run is expected to need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenEstimate {
    /// Tokens of the shortest prompt that makes sense.
    pub min_prompt: usize,
    /// Tokens of the longest first prompt.
    pub prompt: usize,
    /// Maximum tokens of the reply.
    pub output: u32,
}

/// The budget reserved for a run.
#[derive(Clone, Debug, Default)]
pub struct BudgetReservation {
    /// `None` if nothing limits the run.
    granted: Option<Granted>,
}

/// What was granted of limited budgets.
#[derive(Clone, Debug)]
pub struct Granted {
    pub id: ReservationId,
    pub budgets: Budgets,
    /// The highest price that may apply; `None` if it is not known beforehand.
    pub price: Option<Price>,
    /// All that was granted so far.
    pub amount: Amount,
    /// The limit that granted less than was wanted; nothing more can be reserved.
    pub exhausted: Option<BudgetLimit>,
}

/// The smallest amount that is worth reserving, and the amount that is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AmountRange {
    pub min: Amount,
    pub wanted: Amount,
}

impl AmountRange {
    /// The amounts of an estimate at a price.
    pub fn of(estimate: TokenEstimate, price: Option<Price>) -> Self {
        Self {
            min: amount(price, estimate.min_prompt, MIN_OUTPUT_TOKENS),
            wanted: amount(price, estimate.prompt, estimate.output),
        }
    }
}

impl BudgetReservation {
    pub fn limited(granted: Granted) -> Self {
        Self { granted: Some(granted) }
    }

    /// Id of the reservation, if something is limited.
    pub fn id(&self) -> Option<ReservationId> {
        self.granted.as_ref().map(|granted| granted.id)
    }

    /// What was granted, if something is limited.
    pub fn granted_mut(&mut self) -> Option<&mut Granted> {
        self.granted.as_mut()
    }

    /// The tokens of `prompt_tokens` that a prompt may take after `spent`, so that a reply is still possible.
    pub fn prompt_tokens(&self, prompt_tokens: usize, spent: Amount) -> usize {
        self.granted.as_ref().map_or(prompt_tokens, |granted| {
            prompt_tokens.min(granted.remaining(spent).prompt_tokens_before(MIN_OUTPUT_TOKENS))
        })
    }
}

impl Granted {
    /// What is left after `spent`.
    pub fn remaining(&self, spent: Amount) -> Remaining {
        let cost = self.amount.cost.0.saturating_sub(spent.cost.0);
        Remaining {
            tokens: self.budgets.limits_tokens().then(|| self.amount.tokens.saturating_sub(spent.tokens)),
            cost: self.price.filter(|_| self.budgets.limits_cost()).map(|price| RemainingCost { cost, price }),
        }
    }

    /// What of `needed` is not covered after `spent`.
    pub fn missing(&self, needed: Amount, spent: Amount) -> Amount {
        let tokens = self.amount.tokens.saturating_sub(spent.tokens);
        let cost = self.amount.cost.0.saturating_sub(spent.cost.0);
        Amount { tokens: needed.tokens.saturating_sub(tokens), cost: MicroCost(needed.cost.0.saturating_sub(cost)) }
    }

    /// The error of a run for which too little is left.
    pub fn exceeded(&self, now: Timestamp) -> RuntimeError {
        let limit = self.exhausted.unwrap_or(BudgetLimit::TenantTokens);
        exceeded(limit, until_period_end(limit, now))
    }
}

/// The error of a run that a limit leaves too little for.
pub fn exceeded(limit: BudgetLimit, retry_after: Duration) -> RuntimeError {
    RuntimeError::BudgetExceeded { limit, retry_after }
}

/// Time until a limit starts again.
pub fn until_period_end(limit: BudgetLimit, now: Timestamp) -> Duration {
    (limit.period_ends(now) - now).to_std().unwrap_or_default()
}

/// The limit that granted less than was wanted.
pub fn limit_reached(budgets: &Budgets, granted: Amount, wanted: Amount) -> Option<BudgetLimit> {
    let falls_short = |limit: &&BudgetLimit| match limit {
        BudgetLimit::TenantTokens | BudgetLimit::UserTokens => granted.tokens < wanted.tokens,
        BudgetLimit::TenantCost | BudgetLimit::UserCost => granted.cost < wanted.cost,
    };
    BudgetLimit::ALL.iter().filter(|limit| budgets.limit(**limit).is_some()).find(falls_short).copied()
}

/// Tokens and their cost. Without a known price the cost is the smallest amount, which is refused only if the budget is
/// used up.
pub fn amount(price: Option<Price>, prompt_tokens: usize, output_tokens: u32) -> Amount {
    let input_tokens = u32::try_from(prompt_tokens).unwrap_or(u32::MAX);
    let usage = TokenUsage { input_tokens, output_tokens };
    Amount {
        tokens: u64::from(input_tokens) + u64::from(output_tokens),
        cost: price.map_or(MicroCost(1), |price| price.of(usage)),
    }
}

/// What is left of a reservation; `None` is unlimited.
pub struct Remaining {
    tokens: Option<u64>,
    cost: Option<RemainingCost>,
}

#[derive(Clone, Copy)]
struct RemainingCost {
    cost: u64,
    price: Price,
}

impl Remaining {
    /// Maximum tokens of a reply to a prompt of `prompt_tokens`.
    pub fn output_tokens_after(&self, prompt_tokens: usize) -> u32 {
        let by_tokens = self.tokens.map_or(u64::MAX, |left| left.saturating_sub(prompt_tokens as u64));
        let by_cost = self.cost.map_or(u64::MAX, |RemainingCost { cost, price }| {
            match cost.checked_sub(amount(Some(price), prompt_tokens, 0).cost.0) {
                Some(rest) => affordable_tokens(rest, price.output),
                None => 0,
            }
        });
        u32::try_from(by_tokens.min(by_cost)).unwrap_or(u32::MAX)
    }

    /// Maximum tokens of a prompt that leaves `output_tokens` for the reply.
    pub fn prompt_tokens_before(&self, output_tokens: u32) -> usize {
        let by_tokens = self.tokens.map_or(u64::MAX, |left| left.saturating_sub(u64::from(output_tokens)));
        let by_cost = self.cost.map_or(u64::MAX, |RemainingCost { cost, price }| {
            let output = amount(Some(price), 0, output_tokens).cost.0;
            affordable_tokens(cost.saturating_sub(output), price.input)
        });
        usize::try_from(by_tokens.min(by_cost)).unwrap_or(usize::MAX)
    }
}

/// Maximum tokens that `cost` pays for, at a price per million tokens.
fn affordable_tokens(cost: u64, price: MicroCost) -> u64 {
    let tokens = (u128::from(cost) * 1_000_000).checked_div(u128::from(price.0));
    tokens.map_or(u64::MAX, |tokens| u64::try_from(tokens).unwrap_or(u64::MAX))
}
