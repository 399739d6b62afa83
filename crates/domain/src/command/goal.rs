//! Commands on agents and goals.

use super::command;
use crate::agent::{AgentPatch, AgentSpec};
use crate::audit::Change;
use crate::goal::{GoalEvent, GoalWithPlan, PlanApproval, PlannedStep};
use crate::ids::GoalId;
use crate::page::{Page, PageRequest};
use crate::text::ObjectiveText;
use futures::stream::BoxStream;
use serde::Serialize;
use serde_json::{Value, json};

/// List the agents that the caller may use: those of the platform and of the tenant.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ListAgents;
command!(ListAgents: List Agents as "agent.listed" -> Vec<AgentSpec>, transaction Shared);

/// Read an agent.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GetAgent {
    /// Name of the agent, which may not exist.
    pub name: String,
}
command!(GetAgent: Read Agents as "admin.agent_read" -> AgentSpec, transaction Shared);

/// Add an agent to the tenant.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateAgent {
    /// The specification, which is not built-in.
    #[serde(skip)]
    pub spec: AgentSpec,
}
command! {
    CreateAgent: Create Agents as "admin.agent_created" -> AgentSpec,
    transaction Shared,
    metadata(command => agent_metadata(&command.spec)),
    outcome(agent => agent_metadata(agent))
}

/// Change an agent of the tenant.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateAgent {
    /// Name of the agent.
    pub name: String,
    /// Fields that are replaced.
    pub patch: AgentPatch,
}
command! {
    UpdateAgent: Update Agents as "admin.agent_changed" -> Change<AgentSpec>,
    transaction Shared,
    outcome(change => json!({ "before": agent_metadata(&change.before), "after": agent_metadata(&change.after) }))
}

/// Delete an agent of the tenant.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteAgent {
    /// Name of the agent.
    pub name: String,
}
command! {
    DeleteAgent: Delete Agents as "admin.agent_deleted" -> AgentSpec,
    transaction Shared,
    outcome(agent => agent_metadata(agent))
}

fn agent_metadata(agent: &AgentSpec) -> Value {
    json!({
        "agent": agent.name, "tools": agent.tools, "model": agent.model,
        "instructions_digest": agent.instructions_digest(),
    })
}

/// Create a goal, for which a worker then makes a plan.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateGoal {
    /// What the caller wants.
    pub objective: ObjectiveText,
    /// Whether the plan waits for approval.
    pub approval: PlanApproval,
}
command! {
    CreateGoal: Create Goals as "goal.created" -> GoalWithPlan,
    transaction Shared,
    metadata(command => json!({ "approval": command.approval })),
    id(created => created.goal.id)
}

/// List the caller's goals.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListGoals {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListGoals: List Goals as "goal.listed" -> Page<GoalWithPlan>, transaction Shared);

/// Read a goal with its plan.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetGoal {
    /// The goal; must be the caller's own.
    pub id: GoalId,
}
command!(GetGoal: Read Goals as "goal.read" -> GoalWithPlan, target Goal(id), transaction Shared);

/// Replace the plan of a goal that awaits approval.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EditPlan {
    /// The goal; must be the caller's own.
    pub id: GoalId,
    /// The version that the caller read.
    pub version: u32,
    /// The new steps.
    pub steps: Vec<PlannedStep>,
}
command! {
    EditPlan: Update Goals as "goal.plan_edited" -> GoalWithPlan,
    target Goal(id),
    transaction Shared,
    outcome(edited => json!({ "version": edited.goal.plan_version, "steps": edited.steps.len() }))
}

/// Approve the plan of a goal, which starts its execution.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ApprovePlan {
    /// The goal; must be the caller's own.
    pub id: GoalId,
    /// The version that the caller read.
    pub version: u32,
}
command! {
    ApprovePlan: Update Goals as "goal.approved" -> GoalWithPlan,
    target Goal(id),
    transaction Shared,
    metadata(command => json!({ "version": command.version }))
}

/// Stop a goal: nothing of it goes on, and approvals that it waits for are withdrawn.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct CancelGoal {
    /// The goal; must be the caller's own.
    pub id: GoalId,
}
command!(CancelGoal: Delete Goals as "goal.cancelled" -> GoalWithPlan, target Goal(id), transaction Shared);

/// Try a step that failed again, without a new plan.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RetryStep {
    /// The goal; must be the caller's own.
    pub id: GoalId,
    /// Id of the step, which may not exist.
    pub step: String,
}
command! {
    RetryStep: Update Goals as "step.retried" -> GoalWithPlan,
    target Goal(id),
    transaction Shared,
    metadata(command => json!({ "step": command.step }))
}

/// Read the events of a goal, from the beginning or after a given one, and those that follow.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct FollowGoal {
    /// The goal; must be the caller's own.
    pub id: GoalId,
    /// Sequence number of the last event that the client has; 0 returns all events.
    pub after: u64,
}
command! {
    FollowGoal: Read Goals as "goal.followed" -> BoxStream<'static, GoalEvent>,
    target Goal(id),
    transaction Shared
}
