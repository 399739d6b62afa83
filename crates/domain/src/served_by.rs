//! Which backend served a request, for whom, and what it costs.

use crate::ids::{TenantId, UserId};
use crate::role::Classification;
use crate::token_usage::TokenUsage;
use serde::{Deserialize, Serialize};

/// On whose behalf a model is called: whose turn it is in the queue, whose tags the server gets, and what may leave
/// the site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModelCaller {
    /// Tenant that this belongs to.
    pub tenant: TenantId,
    /// The user, if one waits for it.
    pub user: Option<UserId>,
    /// Nothing of this tenant that is classified higher goes to a backend outside the site.
    pub cloud_limit: Classification,
}

/// An amount of money, in millionths of the currency that the prices are in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroCost(pub u64);

impl std::ops::AddAssign for MicroCost {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

/// Price of a backend per million tokens, in millionths: 0.15 per million tokens is 150,000.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Price {
    /// For a million tokens read.
    pub input: MicroCost,
    /// For a million tokens written.
    pub output: MicroCost,
}

impl Price {
    /// What `usage` costs, rounded up.
    #[must_use]
    pub fn of(self, usage: TokenUsage) -> MicroCost {
        let part = |tokens: u32, price: MicroCost| u128::from(tokens) * u128::from(price.0);
        let millions = part(usage.input_tokens, self.input) + part(usage.output_tokens, self.output);
        MicroCost(u64::try_from(millions.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

/// A backend that was tried and did not serve.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// The backend's name.
    pub backend: String,
    /// `error.type`, one of a closed set of codes.
    pub error: String,
}

/// What served a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServedBy {
    /// The backend's name in the configuration.
    pub backend: String,
    /// The model that was asked for, by the backend's name of it.
    pub requested: String,
    /// The model that served, as the server names it.
    pub model: String,
    /// A backend other than the first choice served.
    pub fallback: bool,
    /// The backends that were tried before it.
    pub failed: Vec<FailedAttempt>,
    /// Price of the backend.
    pub price: Price,
}

impl ServedBy {
    /// Served by a model in this process, which costs nothing.
    #[must_use]
    pub fn embedded(backend: &str, model: &str) -> Self {
        let (backend, model) = (backend.to_owned(), model.to_owned());
        Self { backend, requested: model.clone(), model, ..Self::default() }
    }
}

/// What a call without a stream took.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CallUsage {
    /// Backend and model that served the call.
    pub served_by: ServedBy,
    /// Tokens, as reported or estimated.
    pub usage: TokenUsage,
    /// The server reported no token counts, so that these are estimates.
    pub estimated: bool,
    /// Cost, as the server reports it, else by the price of the backend.
    pub cost: MicroCost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_per_million_tokens_and_a_part_of_a_millionth_counts_as_one() {
        let price = Price { input: MicroCost(150_000), output: MicroCost(600_000) };
        let cost = |input_tokens, output_tokens| price.of(TokenUsage { input_tokens, output_tokens });
        assert_eq!(cost(1_000_000, 1_000_000), MicroCost(750_000));
        assert_eq!(cost(1, 0), MicroCost(1));
        assert_eq!(cost(0, 0), MicroCost(0));
        let dear = Price { input: MicroCost(u64::MAX), output: MicroCost(u64::MAX) };
        assert_eq!(dear.of(TokenUsage { input_tokens: u32::MAX, output_tokens: u32::MAX }), MicroCost(u64::MAX));
    }
}
