//! The definition of a run.

use super::agent::Agent;
use super::budget::BudgetReservation;
use super::material::Material;
use crate::prompt::nonce::TagNonce;
use domain::authorized::Permit;
use domain::ids::{MessageId, RunId};
use domain::ledger::CallContext;
use domain::model_call::ModelCaller;
use domain::role::Classification;

/// One agent's work on one material, before it begins.
pub struct Run {
    pub id: RunId,
    /// What the gate granted for it.
    pub permit: Permit,
    /// On whose behalf models are called.
    pub caller: ModelCaller,
    /// What its calls of models and tools are recorded under.
    pub context: CallContext,
    /// Id of its answer in the events.
    pub answer_id: MessageId,
    pub agent: Agent,
    pub material: Material,
    /// The highest class that the model may see.
    pub model_limit: Classification,
    /// Nonce of the tags in its prompts and tool results.
    pub nonce: TagNonce,
    /// What was reserved of the budgets for it.
    pub budget: BudgetReservation,
}
