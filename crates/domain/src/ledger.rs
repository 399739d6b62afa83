//! The ledger of model calls, and queries on it.

use crate::budget::{Budgets, Spending};
use crate::ids::{ConversationId, ModelCallId, RunId, UserId};
use crate::model_call::{MicroCost, ModelCall};
use crate::model_tier::ModelTier;
use crate::role::string_enum;
use crate::time::Timestamp;

/// The conversation and the run that a tool call or model call belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CallOrigin {
    /// The conversation, if the call was part of a chat turn.
    pub conversation: Option<ConversationId>,
    /// The run, if the call was part of one.
    pub run: Option<RunId>,
}

/// A model call to record. The user and the request are those of the transaction's scope.
#[derive(Clone, PartialEq, Debug)]
pub struct LedgerEntry {
    /// Id of the entry; recording the same id again has no effect.
    pub id: ModelCallId,
    /// Approximate end of the call: the time of the first attempt to record it.
    pub ended_at: Timestamp,
    /// Conversation and run that the call belongs to.
    pub origin: CallOrigin,
    /// The requested model tier, if any.
    pub tier: Option<ModelTier>,
    /// Whether its tokens count towards the token budgets.
    pub counts_towards_budget: bool,
    /// The call with its usage, cost and result.
    pub call: ModelCall,
}

string_enum! {
    /// Dimension by which calls are grouped.
    UsageDimension {
        /// Day of the call (UTC).
        Day = "day",
        /// User on whose behalf the model was called.
        User = "user",
        /// Backend that served the call.
        Backend = "backend",
        /// Model that served the call, as named by its server.
        Model = "model",
        /// Kind of call: chat, embeddings or reranking.
        Operation = "operation",
        /// The requested model tier.
        Tier = "tier",
        /// Conversation that the call belongs to.
        Conversation = "conversation",
    }
}

/// A query for aggregates over the tenant's model calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsageQuery {
    /// Start of the period, inclusive.
    pub from: Timestamp,
    /// End of the period, exclusive.
    pub to: Timestamp,
    /// Only calls of this user; `None` for all users.
    pub user: Option<UserId>,
    /// Dimension by which calls are grouped.
    pub group_by: UsageDimension,
}

impl UsageQuery {
    /// Maximum number of groups in a report; if there are more, those with the most calls are kept.
    pub const MAX_GROUPS: usize = 1_000;
    /// Maximum length of a report's period, in days.
    pub const MAX_DAYS: i64 = 366;
}

/// Aggregates over a set of calls.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UsageAggregates {
    /// Number of calls.
    pub calls: u64,
    /// Input tokens of all calls.
    pub input_tokens: u64,
    /// Output tokens of all calls.
    pub output_tokens: u64,
    /// Sum of the costs of all calls.
    pub cost: MicroCost,
    /// Number of failed calls.
    pub errors: u64,
    /// Number of calls served by a backend other than the first choice.
    pub fallbacks: u64,
    /// Median duration in milliseconds; `None` if there are no calls.
    pub median_duration_ms: Option<f64>,
    /// Mean time to the first piece of a streamed answer, in milliseconds; `None` if no call was streamed.
    pub mean_time_to_first_token_ms: Option<f64>,
}

/// Aggregates over the calls of one group.
#[derive(Clone, PartialEq, Debug)]
pub struct GroupUsage {
    /// Value of the grouping dimension (the day, the user, …); `None` for calls without one.
    pub key: Option<String>,
    /// Aggregates over the calls of the group.
    pub aggregates: UsageAggregates,
}

/// Aggregates over the selected calls: over all of them, and per group.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LedgerAggregates {
    /// Aggregates over all calls.
    pub totals: UsageAggregates,
    /// Aggregates per group: days in chronological order, other groups by descending number of calls.
    pub groups: Vec<GroupUsage>,
    /// Whether groups were left out because there are more than [`UsageQuery::MAX_GROUPS`].
    pub truncated: bool,
}

impl LedgerAggregates {
    /// Builds the aggregates from groups in descending order of calls. The caller fetches one group more than
    /// [`UsageQuery::MAX_GROUPS`]; if it gets that many, the result is truncated.
    #[must_use]
    pub fn from_groups(totals: UsageAggregates, mut groups: Vec<GroupUsage>, group_by: UsageDimension) -> Self {
        let truncated = groups.len() > UsageQuery::MAX_GROUPS;
        groups.truncate(UsageQuery::MAX_GROUPS);
        if group_by == UsageDimension::Day {
            groups.sort_by(|a, b| a.key.cmp(&b.key));
        }
        Self { totals, groups, truncated }
    }
}

/// Aggregates of the ledger, with the current budgets and spending.
#[derive(Clone, PartialEq, Debug)]
pub struct UsageReport {
    /// Start of the period, inclusive.
    pub from: Timestamp,
    /// End of the period, exclusive.
    pub to: Timestamp,
    /// Dimension by which calls are grouped.
    pub group_by: UsageDimension,
    /// Aggregates over all calls and per group.
    pub aggregates: LedgerAggregates,
    /// Budgets of the tenant and its users.
    pub budgets: Budgets,
    /// Current spending and reservations of the tenant and the user.
    pub spending: Spending,
    /// Time of the report.
    pub now: Timestamp,
    /// Whether the reader may see the tenant's totals, not only their own.
    pub is_tenant_wide: bool,
}
