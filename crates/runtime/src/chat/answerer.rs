//! Who answers a question: the assistant, one of the user's agents, or the assistant with what agents found out.

use super::agent_rules::{has_several_parts, is_calculation};
use super::request::TurnRequest;
use crate::agents::AgentCatalog;
use crate::error::RuntimeError;
use crate::run::agent::{Agent, ToolSet};
use crate::run::definition::Orchestration;
use domain::agent::AgentSpec;
use domain::authorized::Permit;
use domain::command::AgentChoice;
use domain::model::TierChoice;
use domain::ports::TenantTx;
use domain::tool::{ToolName, ToolSpec};
use domain::upload::FieldError;
use tools::gateway::ToolGateway;

/// Who answers a question.
pub(super) enum Answerer {
    Assistant,
    /// One of the user's agents, with its tools.
    Specialist(Box<AgentSpec>, Vec<ToolSpec>),
    /// The assistant, after agents have worked on parts of the question.
    Orchestrator(Orchestration),
}

/// What the run is told about who answers.
pub(super) struct Delegation {
    pub specialist: Option<AgentSpec>,
    pub orchestration: Option<Orchestration>,
}

impl Answerer {
    /// Chooses by what the request asks for; for `auto`, by rules.
    ///
    /// # Errors
    /// If the user has no agent of the name, or the store fails.
    pub(super) async fn choose(
        tx: &mut dyn TenantTx,
        tools: &dyn ToolGateway,
        permit: &Permit,
        request: &TurnRequest,
        question: &str,
    ) -> Result<Self, RuntimeError> {
        let Some(choice) = &request.agent else { return Ok(Self::Assistant) };
        let is_calculation = is_calculation(question);
        if *choice == AgentChoice::Auto && !is_calculation && !has_several_parts(question) {
            return Ok(Self::Assistant);
        }
        let catalog = AgentCatalog::load(tx, tools, permit.rights()).await?;
        let name = match choice {
            AgentChoice::Named(name) => name.as_str(),
            AgentChoice::Auto if is_calculation => ToolName::Calculator.as_str(),
            AgentChoice::Auto => {
                let tools = catalog.manifest().to_vec();
                return Ok(Self::Orchestrator(Orchestration { agents: catalog.into_agents(), tools }));
            }
        };
        match catalog.find(name) {
            Some(spec) => Ok(Self::Specialist(Box::new(spec.clone()), catalog.tools_of(spec))),
            None if *choice == AgentChoice::Auto => Ok(Self::Assistant),
            None => {
                let detail = "You have no agent of this name.".to_owned();
                Err(FieldError { pointer: "/agent".to_owned(), detail }.into())
            }
        }
    }

    /// The tier that the specialist is bound to; `None` if it leaves the choice to others.
    pub(super) fn tier_choice(&self) -> Option<TierChoice> {
        match self {
            Self::Specialist(spec, _) => Some(spec.model).filter(|choice| *choice != TierChoice::Auto),
            Self::Assistant | Self::Orchestrator(_) => None,
        }
    }

    /// Gives the agent of the run what the specialist has.
    pub(super) fn delegate(self, agent: &mut Agent) -> Delegation {
        match self {
            Self::Assistant => Delegation { specialist: None, orchestration: None },
            Self::Specialist(spec, tools) => {
                agent.tools = ToolSet::Specialist(tools);
                agent.required_tool = spec.required_tool;
                Delegation { specialist: Some(*spec), orchestration: None }
            }
            Self::Orchestrator(orchestration) => Delegation { specialist: None, orchestration: Some(orchestration) },
        }
    }
}
