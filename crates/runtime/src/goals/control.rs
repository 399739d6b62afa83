//! Use cases that stop a goal, and that try one of its steps again.

use super::GoalService;
use super::changes::{EndedStep, set_status, steps_of, tell_finished};
use super::service::{NOT_FOUND, check_credential};
use super::view::with_plan;
use crate::agents::AgentCatalog;
use crate::approvals::audit_events::ApprovalEvent;
use crate::approvals::request::lock_with_policy;
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::approval::ApprovalStatus;
use domain::audit::EventType;
use domain::authorized::Authorized;
use domain::command::{CancelGoal, RetryStep};
use domain::goal::{GoalError, GoalStatus, GoalWithPlan, MAX_ATTEMPTS, Step, StepStatus, steps_to_reopen};
use domain::ports::{GoalTransition, StatusTransition, StoreError, TenantTx};

#[async_trait]
impl UseCase<CancelGoal> for GoalService {
    async fn execute(&self, command: Authorized<CancelGoal>) -> Result<GoalWithPlan, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let id = command.command().id;
        let goal = tx.goals().lock(id).await?.ok_or(NOT_FOUND)?;
        let now = self.ports.clock.now();
        match goal.status {
            GoalStatus::Planning | GoalStatus::AwaitingApproval | GoalStatus::Running => {}
            GoalStatus::Cancelled => {
                let view = with_plan(&mut *tx, goal, command.permit().clearance()).await?;
                tx.defer_commit();
                return Ok(view);
            }
            GoalStatus::Succeeded | GoalStatus::Failed => {
                return Err(RuntimeError::Conflict { detail: "The goal has ended already." });
            }
        }
        let error = GoalError::new(GoalError::CANCELLED, "The goal was cancelled.");
        for step in steps_of(&mut *tx, id).await?.iter().filter(|step| !step.status.has_ended()) {
            tx.goals().skip_step(id, &step.plan.id, &error, now).await?;
            let ended = EndedStep { id: &step.plan.id, status: StepStatus::Skipped, error: Some(&error) };
            tell_finished(&mut *tx, id, ended, now).await?;
        }
        // Nothing more is asked for once the leases have ended.
        for step in steps_of(&mut *tx, id).await? {
            self.void_approvals(&mut *tx, &step).await?;
        }
        set_status(&mut *tx, id, &GoalTransition::new(goal.status, GoalStatus::Cancelled), now).await?;
        let goal = tx.goals().get(id).await?.ok_or(NOT_FOUND)?;
        let view = with_plan(&mut *tx, goal, command.permit().clearance()).await?;
        tx.defer_commit();
        Ok(view)
    }
}

impl GoalService {
    /// Withdraws the step's requests that nobody has decided on yet.
    async fn void_approvals(&self, tx: &mut dyn TenantTx, step: &Step) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        for id in &step.approvals {
            let Some(mut approval) = lock_with_policy(tx, *id).await? else { continue };
            let cancel = StatusTransition {
                notify: false,
                ..StatusTransition::new(ApprovalStatus::Pending, ApprovalStatus::Cancelled)
            };
            if tx.approvals().transition(*id, &cancel, now).await? {
                (approval.status, approval.updated_at) = (ApprovalStatus::Cancelled, now);
                let event = ApprovalEvent::new(EventType::APPROVAL_CANCELLED, &approval);
                event.record(tx, &*self.ports.ids, now).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl UseCase<RetryStep> for GoalService {
    async fn execute(&self, command: Authorized<RetryStep>) -> Result<GoalWithPlan, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let RetryStep { id, step: step_id } = command.command();
        let goal = tx.goals().lock(*id).await?.ok_or(NOT_FOUND)?;
        check_credential(command.permit(), &goal)?;
        let steps = steps_of(&mut *tx, *id).await?;
        let step = steps.iter().find(|step| step.plan.id == *step_id);
        let step = step.ok_or(RuntimeError::NotFound { target: "the step" })?;
        if !matches!(goal.status, GoalStatus::Running | GoalStatus::Failed) || step.status != StepStatus::Failed {
            return Err(RuntimeError::Conflict { detail: "Only a step that failed can be tried again." });
        }
        if step.attempts >= MAX_ATTEMPTS {
            return Err(RuntimeError::AttemptsExhausted);
        }
        let now = self.ports.clock.now();
        let mut reopened = steps_to_reopen(&steps, step_id);
        reopened.push(step_id.clone());
        for step in &reopened {
            tx.goals().reopen_step(*id, step, now).await?;
        }
        // Who asks for another try accepts the agents as they are now.
        let catalog = AgentCatalog::load(&mut *tx, &*self.ports.tools, command.permit().rights()).await?;
        let plan = steps.iter().map(|step| &step.plan).filter(|step| reopened.contains(&step.id));
        tx.goals().approve_agents(*id, &catalog.approved(plan)).await?;
        if goal.status == GoalStatus::Failed {
            let resume = GoalTransition::new(GoalStatus::Failed, GoalStatus::Running);
            set_status(&mut *tx, *id, &resume, now).await?;
        }
        let goal = tx.goals().get(*id).await?.ok_or(NOT_FOUND)?;
        let view = with_plan(&mut *tx, goal, command.permit().clearance()).await?;
        tx.defer_commit();
        Ok(view)
    }
}
