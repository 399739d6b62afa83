//! The agents of a user: those of the platform and of the tenant, with the tools that the user may call.

use domain::agent::{AgentSpec, builtin_agents};
use domain::goal::{PlannedStep, Step};
use domain::ports::{ApprovedAgent, StoreError, TenantTx};
use domain::rights::Rights;
use domain::tool::ToolSpec;
use std::collections::{BTreeMap, BTreeSet};
use tools::gateway::ToolGateway;

/// The agents of one user, with the tools that the user may call.
pub(crate) struct AgentCatalog {
    agents: Vec<AgentSpec>,
    /// Digests of the whole specifications, by name: with the tools that the user may not call.
    digests: BTreeMap<String, String>,
    manifest: Vec<ToolSpec>,
}

impl AgentCatalog {
    /// Reads the agents of the transaction's tenant, and limits their tools to those that the rights allow. An agent
    /// that has none left is left out.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn load(
        tx: &mut dyn TenantTx,
        tools: &dyn ToolGateway,
        rights: &Rights,
    ) -> Result<Self, StoreError> {
        let manifest = tools.manifest(tx, rights).await?;
        let mut agents = all_agents(tx).await?;
        let digests = agents.iter().map(|agent| (agent.name.clone(), agent.digest())).collect();
        for agent in &mut agents {
            agent.tools.retain(|name| manifest.iter().any(|tool| tool.name.as_str() == name));
        }
        agents.retain(|agent| !agent.tools.is_empty());
        Ok(Self { agents, digests, manifest })
    }

    /// The agents that the caller may use.
    pub(crate) fn into_agents(self) -> Vec<AgentSpec> {
        self.agents
    }

    /// The tools that the user may call.
    pub(crate) fn manifest(&self) -> &[ToolSpec] {
        &self.manifest
    }

    /// The agents, built-in ones first.
    pub(crate) fn agents(&self) -> &[AgentSpec] {
        &self.agents
    }

    /// The agent of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&AgentSpec> {
        self.agents.iter().find(|agent| agent.name == name)
    }

    /// The agents of these steps, for the user to have approved.
    pub(crate) fn approved<'a>(&self, steps: impl IntoIterator<Item = &'a PlannedStep>) -> Vec<ApprovedAgent> {
        let approved = |step: &PlannedStep| {
            let digest = self.digests.get(&step.agent)?.clone();
            Some(ApprovedAgent { step: step.id.clone(), digest })
        };
        steps.into_iter().filter_map(approved).collect()
    }

    /// Whether the step's agent still is the one that was approved.
    pub(crate) fn is_approved(&self, step: &Step) -> bool {
        step.agent_digest.is_some() && step.agent_digest.as_ref() == self.digests.get(&step.plan.agent)
    }

    /// The names of all agents.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.agents.iter().map(|agent| agent.name.clone()).collect()
    }

    /// The manifest entries of an agent's tools.
    pub(crate) fn tools_of(&self, agent: &AgentSpec) -> Vec<ToolSpec> {
        self.manifest.iter().filter(|tool| agent.has_tool(tool.name.as_str())).cloned().collect()
    }

    /// Whether one of the agent's tools writes.
    pub(crate) fn writes(&self, name: &str) -> bool {
        self.find(name).is_some_and(|agent| self.tools_of(agent).iter().any(|tool| tool.writes_to_plant))
    }
}

/// All agents of the transaction's tenant, built-in ones first.
///
/// # Errors
/// If the database fails.
pub(crate) async fn all_agents(tx: &mut dyn TenantTx) -> Result<Vec<AgentSpec>, StoreError> {
    let mut agents = builtin_agents();
    agents.extend(tx.agents().list().await?.into_iter().map(|agent| agent.spec));
    Ok(agents)
}
