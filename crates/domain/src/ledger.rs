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
    /// The call.
    pub call: ModelCall,
}

string_enum! {
    /// What calls are put together by.
    UsageGroup {
        /// The day (UTC).
        Day = "day",
        /// Who asked.
        User = "user",
        /// What served.
        Backend = "backend",
        /// The model, as its server names it.
        Model = "model",
        /// What was asked for.
        Operation = "operation",
        /// The tier that was asked for.
        Tier = "tier",
        /// The conversation.
        Conversation = "conversation",
    }
}

/// Which calls of the tenant, and how they are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsageQuery {
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
    /// Only this user's.
    pub user: Option<UserId>,
    /// By what.
    pub group_by: UsageGroup,
}

impl UsageQuery {
    /// Most groups; of more, those with the most calls.
    pub const MAX_GROUPS: usize = 1_000;
    /// Longest time that is looked at.
    pub const MAX_DAYS: i64 = 366;
}

/// What calls come to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UsageSums {
    /// How many.
    pub calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Cost.
    pub cost: MicroCost,
    /// How many failed.
    pub errors: u64,
    /// How many a later choice than the first served.
    pub fallbacks: u64,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// Milliseconds to the first piece of an answer, on average.
    pub first_token_ms: Option<f64>,
}

/// The calls of one group.
#[derive(Clone, PartialEq, Debug)]
pub struct GroupUsage {
    /// Which day, user, …; `None`: of none.
    pub key: Option<String>,
    /// What they come to.
    pub sums: UsageSums,
}

/// What the ledger says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LedgerSums {
    /// All of them together.
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
    /// By what the calls are put together.
    pub group_by: UsageGroup,
    /// What they come to.
    pub sums: LedgerSums,
    /// What may be spent.
    pub budgets: Budgets,
    /// What was, and is set aside.
    pub spending: Spending,
    /// When that was looked at.
    pub now: Timestamp,
    /// The reader may see the tenant's part of it.
    pub of_tenant: bool,
}
