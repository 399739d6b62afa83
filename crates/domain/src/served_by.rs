//! Which backend served a model call, on whose behalf, and at what price.

use crate::ids::{ConversationId, TenantId, UserId};
use crate::privacy::{PatternCounts, PrivacyRules};
use crate::role::Classification;
use crate::token_usage::TokenUsage;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// On whose behalf a model is called. Determines the position in the queue, the tags sent to the server, and which
/// content may leave the site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelCaller {
    /// Tenant on whose behalf the model is called.
    pub tenant: TenantId,
    /// User who is waiting for the result; `None` for background work.
    pub user: Option<UserId>,
    /// The highest classification of this tenant's content that may be sent to a backend outside the site.
    pub max_cloud_classification: Classification,
    /// The stored conversation that the request continues, if any. Privacy placeholders stay the same throughout a
    /// conversation.
    pub conversation: Option<ConversationId>,
    /// The tenant's privacy rules; `None` if none are in force.
    pub privacy: Option<Arc<PrivacyRules>>,
}

impl ModelCaller {
    /// A caller without a user and without privacy rules: the platform itself.
    #[must_use]
    pub const fn without_privacy_rules(tenant: TenantId, max_cloud_classification: Classification) -> Self {
        Self { tenant, user: None, max_cloud_classification, conversation: None, privacy: None }
    }
}

/// An amount of money, in millionths of the currency of the configured prices.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroCost(pub u64);

impl std::ops::AddAssign for MicroCost {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

/// Price of a backend, in millionths of the currency per million tokens: 0.15 per million tokens is 150,000.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Price {
    /// Price of a million input tokens.
    pub input: MicroCost,
    /// Price of a million output tokens.
    pub output: MicroCost,
}

impl Price {
    /// The cost of `usage`, rounded up to a millionth.
    #[must_use]
    pub fn cost(self, usage: TokenUsage) -> MicroCost {
        let scaled_cost = |tokens: u32, price: MicroCost| u128::from(tokens) * u128::from(price.0);
        let scaled_total = scaled_cost(usage.input_tokens, self.input) + scaled_cost(usage.output_tokens, self.output);
        MicroCost(u64::try_from(scaled_total.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

/// A backend that was tried and failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Name of the backend in the configuration.
    pub backend: String,
    /// Error code (`error.type`), one of a closed set.
    pub error: String,
}

/// The backend and model that served a call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServedBy {
    /// Name of the backend in the configuration.
    pub backend: String,
    /// The requested model, as the backend names it.
    pub requested_model: String,
    /// The model that answered, as named by the server.
    pub model: String,
    /// Whether a backend other than the first choice served the call.
    pub fallback: bool,
    /// The backends that failed before this one, in order.
    pub failed_attempts: Vec<FailedAttempt>,
    /// Price of the backend.
    pub price: Price,
    /// How many values of the request the privacy rules replaced.
    pub replacement_counts: PatternCounts,
}

impl ServedBy {
    /// A model that runs in this process, which costs nothing.
    #[must_use]
    pub fn embedded(backend: &str, model: &str) -> Self {
        let (backend, model) = (backend.to_owned(), model.to_owned());
        Self { backend, requested_model: model.clone(), model, ..Self::default() }
    }
}

/// Usage of a call that was not streamed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CallUsage {
    /// Backend and model that served the call.
    pub served_by: ServedBy,
    /// Token counts, reported by the server or estimated.
    pub token_usage: TokenUsage,
    /// Whether the token counts are estimates, because the server reported none.
    pub tokens_estimated: bool,
    /// Cost, computed from the backend's price or, if none is configured, as reported by the server.
    pub cost: MicroCost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_per_million_tokens_and_the_cost_is_rounded_up() {
        let price = Price { input: MicroCost(150_000), output: MicroCost(600_000) };
        let cost = |input_tokens, output_tokens| price.cost(TokenUsage { input_tokens, output_tokens });
        assert_eq!(cost(1_000_000, 1_000_000), MicroCost(750_000));
        assert_eq!(cost(1, 0), MicroCost(1));
        assert_eq!(cost(0, 0), MicroCost(0));
        let max_price = Price { input: MicroCost(u64::MAX), output: MicroCost(u64::MAX) };
        assert_eq!(max_price.cost(TokenUsage { input_tokens: u32::MAX, output_tokens: u32::MAX }), MicroCost(u64::MAX));
    }
}
