//! The ledger of calls to models, and what is asked of it.

use crate::budget::{Budgets, Spending};
use crate::ids::{ConversationId, ModelCallId, RunId, UserId};
use crate::model_call::{MicroCost, ModelCall};
use crate::model_tier::ModelTier;
use crate::role::string_enum;
use crate::time::Timestamp;

/// What a call to a model was part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CallContext {
    /// The conversation, if it was one's turn.
    pub conversation: Option<ConversationId>,
    /// The run, if one was under way.
    pub run: Option<RunId>,
}

/// A call as it goes on record; user and request are the transaction's.
#[derive(Clone, PartialEq, Debug)]
pub struct LedgerEntry {
    /// Its id: an entry that is on record already is not recorded again.
    pub id: ModelCallId,
    /// When it ended, roughly: when it was put on record first.
    pub at: Timestamp,
    /// What it was part of.
    pub context: CallContext,
    /// The tier that was asked for.
    pub tier: Option<ModelTier>,
    /// Its tokens count towards the budgets of tokens.
    pub metered: bool,
    /// Id of the call, as the model gave it.
    pub call: ModelCall,
}

string_enum! {
    /// Dimension by which calls are grouped.
    UsageGroup {
        /// The day (UTC).
        Day = "day",
        /// Grouped by the user who asked.
        User = "user",
        /// Backend and model that served the call.
        Backend = "backend",
        /// The model, as its server names it.
        Model = "model",
        /// What was asked for.
        Operation = "operation",
        /// The tier that was asked for.
        Tier = "tier",
        /// Conversation that it belongs to.
        Conversation = "conversation",
    }
}

/// Selects calls of the tenant and how they are grouped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsageQuery {
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
    /// Only this user's.
    pub user: Option<UserId>,
    /// Dimension of the groups.
    pub group_by: UsageGroup,
}

impl UsageQuery {
    /// Most groups in one report; if there are more, those with the most calls.
    pub const MAX_GROUPS: usize = 1_000;
    /// Longest period of one report, in days.
    pub const MAX_DAYS: i64 = 366;
}

/// Sums over a set of calls.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UsageSums {
    /// Number of calls.
    pub calls: u64,
    /// Tokens of the prompts.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// Sum of the costs of all calls.
    pub cost: MicroCost,
    /// Calls that failed.
    pub errors: u64,
    /// Calls that a backend other than the first choice served.
    pub fallbacks: u64,
    /// Median duration in milliseconds.
    pub p50_ms: Option<f64>,
    /// Mean time to the first piece of an answer, in milliseconds.
    pub first_token_ms: Option<f64>,
}

/// The calls of one group.
#[derive(Clone, PartialEq, Debug)]
pub struct GroupUsage {
    /// The day, user, …; `None` for calls without one.
    pub key: Option<String>,
    /// Sums of these calls.
    pub sums: UsageSums,
}

/// The totals and sums per group.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LedgerSums {
    /// Sums over all calls.
    pub totals: UsageSums,
    /// Group by group: days in order, others with the most calls first.
    pub groups: Vec<GroupUsage>,
    /// There are more groups.
    pub truncated: bool,
}

impl LedgerSums {
    /// Of groups with the most calls first, in which one more than fits says that there are more.
    #[must_use]
    pub fn of(totals: UsageSums, mut groups: Vec<GroupUsage>, group_by: UsageGroup) -> Self {
        let truncated = groups.len() > UsageQuery::MAX_GROUPS;
        groups.truncate(UsageQuery::MAX_GROUPS);
        if group_by == UsageGroup::Day {
            groups.sort_by(|a, b| a.key.cmp(&b.key));
        }
        Self { totals, groups, truncated }
    }
}

/// The ledger's sums, with the budgets of this moment.
#[derive(Clone, PartialEq, Debug)]
pub struct UsageReport {
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
    /// Dimension of the groups.
    pub group_by: UsageGroup,
    /// Sums of these calls.
    pub sums: LedgerSums,
    /// What may be spent.
    pub budgets: Budgets,
    /// What is spent and reserved.
    pub spending: Spending,
    /// Time of the report.
    pub now: Timestamp,
    /// The reader may see the tenant's part of it.
    pub of_tenant: bool,
}
