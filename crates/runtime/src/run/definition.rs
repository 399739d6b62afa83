//! The definition of a run.

use super::agent::Agent;
use super::budget::BudgetReservation;
use super::input::RunInput;
use crate::prompt::nonce::TagNonce;
use domain::authorized::Permit;
use domain::ids::{MessageId, RunId};
use domain::ledger::CallOrigin;
use domain::model_call::ModelCaller;
use domain::privacy::PatternCounts;
use domain::role::Classification;
use tools::gateway::CallAdmission;

/// A run that is ready to start: one agent with its input.
pub struct Run {
    pub id: RunId,
    /// The permit that the gate issued for the command.
    pub permit: Permit,
    /// The caller that model requests are attributed to.
    pub caller: ModelCaller,
    /// Privacy patterns that matched in the user's texts, if the tenant's rules warn about them.
    pub personal_data: PatternCounts,
    /// Ids under which its model and tool calls are recorded.
    pub origin: CallOrigin,
    /// Message id of its answer, as sent in the events.
    pub answer_id: MessageId,
    pub agent: Agent,
    pub input: RunInput,
    /// The highest classification that the model may see.
    pub model_classification_limit: Classification,
    /// Nonce of the tags in its prompts and tool results.
    pub nonce: TagNonce,
    /// Admission of the automatic search, which runs before the model is called; `None` if no search is needed, or if
    /// its query is known only after the run has started.
    pub search_admission: Option<CallAdmission>,
    /// Budget reserved for it.
    pub budget: BudgetReservation,
}
