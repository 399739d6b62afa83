//! Use cases of agents: listing them, and administering those of a tenant.

use super::GoalService;
use crate::agents::{AgentCatalog, all_agents};
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::agent::{AgentSpec, MAX_TENANT_AGENTS, TenantAgent, builtin_agents};
use domain::audit::Change;
use domain::authorized::Authorized;
use domain::command::{CreateAgent, DeleteAgent, GetAgent, ListAgents, UpdateAgent};
use domain::tool::ToolId;
use domain::upload::FieldError;

const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the agent" };
const IS_BUILTIN: RuntimeError = RuntimeError::Conflict { detail: "The platform has an agent of this name." };

fn check_tools(tools: &[String]) -> Result<(), FieldError> {
    let unknown = tools.iter().position(|tool| ToolId::parse(tool).is_none());
    let repeated = tools.iter().enumerate().position(|(index, tool)| tools[..index].contains(tool));
    match (unknown, repeated) {
        (Some(index), _) => {
            Err(FieldError { pointer: format!("/tools/{index}"), detail: "There is no tool of this name.".to_owned() })
        }
        (None, Some(index)) => {
            Err(FieldError { pointer: format!("/tools/{index}"), detail: "The tool is named twice.".to_owned() })
        }
        (None, None) => Ok(()),
    }
}

fn is_builtin(name: &str) -> bool {
    builtin_agents().iter().any(|agent| agent.name == name)
}

#[async_trait]
impl UseCase<ListAgents> for GoalService {
    async fn execute(&self, command: Authorized<ListAgents>) -> Result<Vec<AgentSpec>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let catalog = AgentCatalog::load(&mut *tx, &*self.ports.tools, command.permit().rights()).await?;
        tx.defer_commit();
        Ok(catalog.into_agents())
    }
}

#[async_trait]
impl UseCase<GetAgent> for GoalService {
    async fn execute(&self, command: Authorized<GetAgent>) -> Result<AgentSpec, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let name = &command.command().name;
        let agent = all_agents(&mut *tx).await?.into_iter().find(|agent| agent.name == *name).ok_or(NOT_FOUND)?;
        tx.defer_commit();
        Ok(agent)
    }
}

#[async_trait]
impl UseCase<CreateAgent> for GoalService {
    async fn execute(&self, command: Authorized<CreateAgent>) -> Result<AgentSpec, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let spec = command.command().spec.clone();
        if is_builtin(&spec.name) {
            return Err(IS_BUILTIN);
        }
        check_tools(&spec.tools)?;
        let agents = tx.agents().list().await?;
        if agents.iter().any(|agent| agent.spec.name == spec.name) {
            return Err(RuntimeError::Conflict { detail: "The tenant has an agent of this name." });
        }
        if agents.len() >= MAX_TENANT_AGENTS {
            return Err(RuntimeError::TenantLimit { resources: "agents", max: MAX_TENANT_AGENTS });
        }
        let now = self.ports.clock.now();
        let (updated_by, created_at, updated_at) = (command.scope().user(), now, now);
        tx.agents().insert(&TenantAgent { spec: spec.clone(), updated_by, created_at, updated_at }).await?;
        tx.defer_commit();
        Ok(spec)
    }
}

#[async_trait]
impl UseCase<UpdateAgent> for GoalService {
    async fn execute(&self, command: Authorized<UpdateAgent>) -> Result<Change<AgentSpec>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let UpdateAgent { name, patch } = command.command();
        if is_builtin(name) {
            return Err(IS_BUILTIN);
        }
        let mut agents = tx.agents().list().await?.into_iter();
        let before = agents.find(|agent| agent.spec.name == *name).ok_or(NOT_FOUND)?;
        let after = before.spec.clone().with_patch(patch);
        check_tools(&after.tools)?;
        let changed = TenantAgent {
            spec: after.clone(),
            updated_by: command.scope().user(),
            created_at: before.created_at,
            updated_at: self.ports.clock.now(),
        };
        tx.agents().update(&changed).await?;
        tx.defer_commit();
        Ok(Change { before: before.spec, after })
    }
}

#[async_trait]
impl UseCase<DeleteAgent> for GoalService {
    async fn execute(&self, command: Authorized<DeleteAgent>) -> Result<AgentSpec, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let name = &command.command().name;
        if is_builtin(name) {
            return Err(IS_BUILTIN);
        }
        let mut agents = tx.agents().list().await?.into_iter();
        let agent = agents.find(|agent| agent.spec.name == *name).ok_or(NOT_FOUND)?;
        tx.agents().delete(name).await?;
        tx.defer_commit();
        Ok(agent.spec)
    }
}
