//! Arithmetic of the tokens and cost that are reserved for a run. Pure functions; [`super::budget_reservation`] makes
//! the reservations.

use crate::error::RuntimeError;
use domain::budget::{BudgetAmount, BudgetLimit, Budgets};
use domain::ids::ReservationId;
use domain::model_call::{MicroCost, Price};
use domain::run::TokenUsage;
use domain::time::Timestamp;
use std::time::Duration;

/// Minimum number of tokens that must be available for a reply; otherwise the model is not called.
pub const MIN_OUTPUT_TOKENS: u32 = 64;

/// The tokens that a run is expected to need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenEstimate {
    /// Tokens of the shortest useful prompt.
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
    grant: Option<BudgetGrant>,
}

/// Amount that was granted from limited budgets.
#[derive(Clone, Debug)]
pub struct BudgetGrant {
    pub id: ReservationId,
    pub budgets: Budgets,
    /// The highest price that may apply; `None` if it is not known in advance.
    pub price: Option<Price>,
    /// Total amount granted so far.
    pub amount: BudgetAmount,
    /// The limit that made the granted amount smaller than the requested one. If set, nothing more can be reserved.
    pub exhausted_limit: Option<BudgetLimit>,
}

/// The minimum and the requested amount of a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AmountRange {
    pub minimum: BudgetAmount,
    pub requested: BudgetAmount,
}

impl AmountRange {
    /// Computes the amounts of an estimate at a price.
    pub fn from_estimate(estimate: TokenEstimate, price: Option<Price>) -> Self {
        Self {
            minimum: amount_at_price(price, estimate.min_prompt, MIN_OUTPUT_TOKENS),
            requested: amount_at_price(price, estimate.prompt, estimate.output),
        }
    }
}

impl BudgetReservation {
    pub fn from_grant(grant: BudgetGrant) -> Self {
        Self { grant: Some(grant) }
    }

    /// Returns the id of the reservation; `None` if nothing is limited.
    pub fn id(&self) -> Option<ReservationId> {
        self.grant.as_ref().map(|granted| granted.id)
    }

    /// Returns whether a limit granted less than the run may need.
    pub fn is_exhausted(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.exhausted_limit.is_some())
    }

    /// Returns what was granted; `None` if nothing is limited.
    pub fn grant_mut(&mut self) -> Option<&mut BudgetGrant> {
        self.grant.as_mut()
    }

    /// Returns how many of `prompt_tokens` a prompt may use after `spent` was used up, so that the budget still allows
    /// a reply.
    pub fn max_prompt_tokens(&self, prompt_tokens: usize, spent: BudgetAmount) -> usize {
        self.grant.as_ref().map_or(prompt_tokens, |granted| {
            prompt_tokens.min(granted.remaining(spent).max_prompt_tokens(MIN_OUTPUT_TOKENS))
        })
    }
}

impl BudgetGrant {
    /// Returns what is left after `spent` was used up.
    pub fn remaining(&self, spent: BudgetAmount) -> RemainingBudget {
        let cost = self.amount.cost.0.saturating_sub(spent.cost.0);
        RemainingBudget {
            tokens: self.budgets.limits_tokens().then(|| self.amount.tokens.saturating_sub(spent.tokens)),
            cost: self.price.filter(|_| self.budgets.limits_cost()).map(|price| RemainingCost { cost, price }),
        }
    }

    /// Returns the part of `needed` that the reservation does not cover after `spent` was used up.
    pub fn shortfall(&self, needed: BudgetAmount, spent: BudgetAmount) -> BudgetAmount {
        let tokens = self.amount.tokens.saturating_sub(spent.tokens);
        let cost = self.amount.cost.0.saturating_sub(spent.cost.0);
        BudgetAmount {
            tokens: needed.tokens.saturating_sub(tokens),
            cost: MicroCost(needed.cost.0.saturating_sub(cost)),
        }
    }

    /// Returns the error for a run whose remaining budget is too small.
    pub fn exceeded_error(&self, now: Timestamp) -> RuntimeError {
        let limit = self.exhausted_limit.unwrap_or(BudgetLimit::TenantTokens);
        budget_exceeded(limit, now)
    }
}

/// Returns the error for a run that exceeds `limit`, whose budget is used up.
pub fn budget_exceeded(limit: BudgetLimit, now: Timestamp) -> RuntimeError {
    RuntimeError::BudgetExceeded { limit, retry_after: until_period_end(limit, now), is_reserved: false }
}

/// Returns the time until the limit's period ends.
pub fn until_period_end(limit: BudgetLimit, now: Timestamp) -> Duration {
    (limit.period_end(now) - now).to_std().unwrap_or_default()
}

/// Returns the limit that made `granted` smaller than `requested`, or `None` if everything was granted.
pub fn limit_reached(budgets: &Budgets, granted: BudgetAmount, requested: BudgetAmount) -> Option<BudgetLimit> {
    let falls_short = |limit: &&BudgetLimit| match limit {
        BudgetLimit::TenantTokens | BudgetLimit::UserTokens => granted.tokens < requested.tokens,
        BudgetLimit::TenantCost | BudgetLimit::UserCost => granted.cost < requested.cost,
    };
    BudgetLimit::ALL.iter().filter(|limit| budgets.limit(**limit).is_some()).find(falls_short).copied()
}

/// Returns the amount for these tokens. Without a known price, the cost is the smallest possible amount, which is
/// refused only if the budget is used up.
pub fn amount_at_price(price: Option<Price>, prompt_tokens: usize, output_tokens: u32) -> BudgetAmount {
    let input_tokens = u32::try_from(prompt_tokens).unwrap_or(u32::MAX);
    let usage = TokenUsage { input_tokens, output_tokens };
    BudgetAmount {
        tokens: u64::from(input_tokens) + u64::from(output_tokens),
        cost: price.map_or(MicroCost(1), |price| price.cost(usage)),
    }
}

/// Remainder of a reservation; `None` means unlimited.
pub struct RemainingBudget {
    tokens: Option<u64>,
    cost: Option<RemainingCost>,
}

#[derive(Clone, Copy)]
struct RemainingCost {
    cost: u64,
    price: Price,
}

impl RemainingBudget {
    /// Returns the maximum number of tokens of a reply to a prompt of `prompt_tokens`.
    pub fn max_output_tokens(&self, prompt_tokens: usize) -> u32 {
        let by_tokens = self.tokens.map_or(u64::MAX, |tokens| tokens.saturating_sub(prompt_tokens as u64));
        let by_cost = self.cost.map_or(u64::MAX, |RemainingCost { cost, price }| {
            match cost.checked_sub(amount_at_price(Some(price), prompt_tokens, 0).cost.0) {
                Some(rest) => affordable_tokens(rest, price.output),
                None => 0,
            }
        });
        u32::try_from(by_tokens.min(by_cost)).unwrap_or(u32::MAX)
    }

    /// Returns the maximum number of tokens of a prompt that leaves `output_tokens` for the reply.
    pub fn max_prompt_tokens(&self, output_tokens: u32) -> usize {
        let by_tokens = self.tokens.map_or(u64::MAX, |tokens| tokens.saturating_sub(u64::from(output_tokens)));
        let by_cost = self.cost.map_or(u64::MAX, |RemainingCost { cost, price }| {
            let output = amount_at_price(Some(price), 0, output_tokens).cost.0;
            affordable_tokens(cost.saturating_sub(output), price.input)
        });
        usize::try_from(by_tokens.min(by_cost)).unwrap_or(usize::MAX)
    }
}

/// Returns the maximum number of tokens that `cost` pays for; `price` is per million tokens.
fn affordable_tokens(cost: u64, price: MicroCost) -> u64 {
    let tokens = (u128::from(cost) * 1_000_000).checked_div(u128::from(price.0));
    tokens.map_or(u64::MAX, |tokens| u64::try_from(tokens).unwrap_or(u64::MAX))
}
