//! Use cases of goals: creating, reading, editing and approving them.

use super::GoalService;
use super::changes::{set_status, steps_of};
use super::view::{with_plan, with_plans};
use crate::agents::AgentCatalog;
use crate::error::RuntimeError;
use crate::privacy;
use crate::run::model_access;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::authorized::{Authorized, Permit};
use domain::command::{ApprovePlan, CreateGoal, EditPlan, GetGoal, ListGoals};
use domain::credential::CredentialKind;
use domain::decision::RefusalCode;
use domain::goal::{
    Goal, GoalCredential, GoalEventKind, GoalStatus, GoalWithPlan, PlanApproval, PlanAuthor, PlanError, check_plan,
};
use domain::ids::GoalId;
use domain::page::Page;
use domain::ports::{GoalTransition, TenantTx};
use domain::role::Classification;
use domain::run::TokenUsage;
use domain::upload::FieldError;
use serde_json::json;
use tools::error::ToolError;

/// Maximum number of goals of a user that have not ended.
const MAX_OPEN_GOALS: u64 = 100;

pub(super) const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the goal" };
const NOT_AWAITING: RuntimeError = RuntimeError::Conflict { detail: "The goal's plan does not await approval." };

#[async_trait]
impl UseCase<CreateGoal> for GoalService {
    async fn execute(&self, command: Authorized<CreateGoal>) -> Result<GoalWithPlan, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (permit, CreateGoal { objective, approval }) = command.into_parts();
        let settings = &permit.tenant().settings;
        if approval == PlanApproval::NotRequired && settings.goals.require_approval == Some(true) {
            let detail = "Your tenant requires approval of each plan.".to_owned();
            return Err(FieldError { pointer: "/approval".to_owned(), detail }.into());
        }
        let caller = model_access::caller(permit.scope(), settings);
        privacy::check(&*self.ports.privacy, &caller, [objective.as_str()])?;
        if tx.goals().open_count().await? >= MAX_OPEN_GOALS {
            return Err(RuntimeError::Conflict { detail: "You have too many open goals; cancel some first." });
        }
        let now = self.ports.clock.now();
        let goal = Goal {
            id: GoalId::from_uuid(self.ports.ids.uuid()),
            objective: objective.into_string(),
            approval,
            status: GoalStatus::Planning,
            plan_version: 0,
            credential: credential_of(&permit),
            result: None,
            classification: Classification::Public,
            error: None,
            usage: TokenUsage::default(),
            created_at: now,
            updated_at: now,
        };
        tx.goals().insert(&goal).await?;
        let data = json!({ "goal_id": goal.id, "status": goal.status });
        tx.goals().append_event(goal.id, GoalEventKind::GoalStatus, &data, now).await?;
        tx.defer_commit();
        Ok(GoalWithPlan { goal, steps: Vec::new() })
    }
}

/// The part of the caller's credential that limits the goal's work.
fn credential_of(permit: &Permit) -> GoalCredential {
    let session = permit.scope().session();
    match &permit.credential().kind {
        CredentialKind::PersonalAccessToken { id, scopes } => {
            GoalCredential { session, access_token: Some(*id), scopes: scopes.clone() }
        }
        CredentialKind::Interactive { .. } | CredentialKind::Application => {
            GoalCredential { session, access_token: None, scopes: Vec::new() }
        }
    }
}

#[async_trait]
impl UseCase<ListGoals> for GoalService {
    async fn execute(&self, command: Authorized<ListGoals>) -> Result<Page<GoalWithPlan>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let Page { items, next } = tx.goals().list(&command.command().page).await?;
        let items = with_plans(&mut *tx, items, command.permit().clearance()).await?;
        tx.defer_commit();
        Ok(Page { items, next })
    }
}

#[async_trait]
impl UseCase<GetGoal> for GoalService {
    async fn execute(&self, command: Authorized<GetGoal>) -> Result<GoalWithPlan, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let goal = tx.goals().get(command.command().id).await?.ok_or(NOT_FOUND)?;
        let view = with_plan(&mut *tx, goal, command.permit().clearance()).await?;
        tx.defer_commit();
        Ok(view)
    }
}

#[async_trait]
impl UseCase<EditPlan> for GoalService {
    async fn execute(&self, command: Authorized<EditPlan>) -> Result<GoalWithPlan, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let EditPlan { id, version, steps } = command.command();
        lock_awaiting(&mut *tx, command.permit(), *id, *version).await?;
        let caller = model_access::caller(command.scope(), &command.permit().tenant().settings);
        let texts = steps.iter().flat_map(|step| [step.title.as_str(), step.instruction.as_str()]);
        privacy::check(&*self.ports.privacy, &caller, texts)?;
        let catalog = AgentCatalog::load(&mut *tx, &*self.ports.tools, command.permit().rights()).await?;
        check_plan(steps, &catalog.names()).map_err(to_field_error)?;
        let now = self.ports.clock.now();
        tx.goals().put_plan(*id, steps, PlanAuthor::User, now).await?;
        let goal = tx.goals().get(*id).await?.ok_or(NOT_FOUND)?;
        let data = json!({ "goal_id": id, "version": goal.plan_version });
        tx.goals().append_event(*id, GoalEventKind::PlanChanged, &data, now).await?;
        let view = with_plan(&mut *tx, goal, command.permit().clearance()).await?;
        tx.defer_commit();
        Ok(view)
    }
}

fn to_field_error(PlanError { pointer, detail }: PlanError) -> FieldError {
    FieldError { pointer, detail }
}

#[async_trait]
impl UseCase<ApprovePlan> for GoalService {
    async fn execute(&self, command: Authorized<ApprovePlan>) -> Result<GoalWithPlan, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let ApprovePlan { id, version } = *command.command();
        lock_awaiting(&mut *tx, command.permit(), id, version).await?;
        // Agents and rights may have changed since the plan was made.
        let plan: Vec<_> = steps_of(&mut *tx, id).await?.into_iter().map(|step| step.plan).collect();
        let catalog = AgentCatalog::load(&mut *tx, &*self.ports.tools, command.permit().rights()).await?;
        if check_plan(&plan, &catalog.names()).is_err() {
            let detail = "The plan names an agent that you do not have any more; edit it first.";
            return Err(RuntimeError::Conflict { detail });
        }
        tx.goals().approve_agents(id, &catalog.approved(&plan)).await?;
        let approve = GoalTransition::new(GoalStatus::AwaitingApproval, GoalStatus::Running);
        set_status(&mut *tx, id, &approve, self.ports.clock.now()).await?;
        let goal = tx.goals().get(id).await?.ok_or(NOT_FOUND)?;
        let view = with_plan(&mut *tx, goal, command.permit().clearance()).await?;
        tx.defer_commit();
        Ok(view)
    }
}

/// Checks that the caller's credential covers what the goal may do: a token with narrow scopes must not steer a goal
/// that was made with wider ones.
///
/// # Errors
/// If it does not.
pub(super) fn check_credential(permit: &Permit, goal: &Goal) -> Result<(), RuntimeError> {
    let Some(scopes) = permit.credential().scopes() else { return Ok(()) };
    let is_limited = goal.credential.access_token.is_some();
    if is_limited && goal.credential.scopes.iter().all(|scope| scopes.contains(scope)) {
        return Ok(());
    }
    Err(ToolError::Denied { reason: RefusalCode::TokenScope }.into())
}

/// Locks a goal whose plan of this version awaits approval.
async fn lock_awaiting(tx: &mut dyn TenantTx, permit: &Permit, id: GoalId, version: u32) -> Result<Goal, RuntimeError> {
    let goal = tx.goals().lock(id).await?.ok_or(NOT_FOUND)?;
    check_credential(permit, &goal)?;
    if goal.status != GoalStatus::AwaitingApproval {
        return Err(NOT_AWAITING);
    }
    if goal.plan_version != version {
        return Err(RuntimeError::StaleVersion);
    }
    Ok(goal)
}
