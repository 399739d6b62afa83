//! The definition of a run.

use super::agent::Agent;
use super::budget::BudgetReservation;
use super::input::RunInput;
use crate::prompt::nonce::TagNonce;
use domain::agent::AgentSpec;
use domain::authorized::Permit;
use domain::ids::{MessageId, RunId, TeamId};
use domain::ledger::CallOrigin;
use domain::model_call::ModelCaller;
use domain::ports::StepLease;
use domain::privacy::PatternCounts;
use domain::role::Classification;
use domain::tool::ToolSpec;
use std::collections::BTreeSet;
use tools::gateway::CallAdmission;

/// The specialists of a user.
pub struct Orchestration {
    pub agents: Vec<AgentSpec>,
    /// The tools that the user may call.
    pub tools: Vec<ToolSpec>,
}

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
    /// Admission of the search for the tags that the question is about; `None` if no plant system is to be read.
    pub tag_search_admission: Option<CallAdmission>,
    /// Permits for the teams whose documents the automatic search looks in, instead of the run's own space.
    pub team_permits: Vec<Permit>,
    /// Teams whose documents the answer, or the history before it, is written from, in a conversation of the home
    /// space.
    pub source_teams: BTreeSet<TeamId>,
    /// Budget reserved for it.
    pub budget: BudgetReservation,
    /// The specialist that answers instead of the assistant.
    pub specialist: Option<AgentSpec>,
    /// Specialists that may work on parts of the question before the assistant answers.
    pub orchestration: Option<Orchestration>,
    /// The goal's step that it executes.
    pub goal_step: Option<StepLease>,
}
