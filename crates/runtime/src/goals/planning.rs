//! The worker's part that makes a plan: one call of the heavy model, and one more to repair an answer that is no plan.

use super::changes::set_status;
use super::work::{GoalWorker, Stop};
use crate::agents::AgentCatalog;
use crate::error::RuntimeError;
use crate::prompt::planner;
use crate::run::model_access;
use crate::run::side_call::{Asker, ModelAnswer, ModelCall, call_model};
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::authorized::{AuditReceipt, Permit};
use domain::classified::Classified;
use domain::decision::RefusalCode;
use domain::error::Classify as _;
use domain::goal::{Goal, GoalError, GoalEventKind, GoalStatus, PlanApproval, PlanAuthor, PlannedStep, check_plan};
use domain::ids::{AuditId, GoalId};
use domain::ledger::CallOrigin;
use domain::model::ModelTier;
use domain::ports::{GoalTransition, StandingWork, StoreError};
use domain::retry;
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::run::TokenUsage;
use domain::scope::TenantScope;
use serde_json::{Value, json};
use std::time::Duration;

/// Permission that the user of a goal must still have when its work starts.
pub(super) const GOAL_WORK: Permission = Permission::new(Resource::Goals, Operation::Create);
/// Maximum number of tokens of a plan.
const MAX_PLAN_TOKENS: u32 = 4_096;
/// Maximum length of the planner's answer, in bytes.
const MAX_PLAN_BYTES: usize = 128 << 10;
/// Time limit of each call.
const TIME_LIMIT: Duration = Duration::from_secs(180);
/// Delay before the call is made again after a failure that passes.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// The lease of a planning.
#[derive(Clone, Copy)]
pub(super) struct PlanLease<'a> {
    pub scope: &'a TenantScope,
    pub goal: GoalId,
    pub token: i64,
}

/// A planning whose intent is recorded.
struct Planning {
    goal: Goal,
    permit: Result<Permit, RefusalCode>,
    receipt: AuditReceipt,
    catalog: Option<AgentCatalog>,
}

/// What came of a planning.
struct Planned {
    /// `None` if it was interrupted.
    plan: Option<Result<Vec<PlannedStep>, GoalError>>,
    usage: TokenUsage,
    /// Number of answers that were no valid plan.
    rejected: u32,
}

impl GoalWorker {
    /// Makes the plan of a goal, unless `stop` ends first.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn plan(&self, lease: PlanLease<'_>, stop: Stop<'_>) -> Result<(), StoreError> {
        let Some(planning) = self.begin_planning(lease).await? else { return Ok(()) };
        let mut planned = Planned { plan: None, usage: TokenUsage::default(), rejected: 0 };
        tokio::select! {
            plan = self.make_plan(&planning, &mut planned.usage, &mut planned.rejected) => planned.plan = Some(plan),
            _ = stop.wait() => {}
        }
        let id = AuditId::from_uuid(self.ports().ids.uuid());
        retry::with_backoff(|| self.end_planning(lease, &planning, &planned, id), tokio::time::sleep).await
    }

    async fn begin_planning(&self, lease: PlanLease<'_>) -> Result<Option<Planning>, StoreError> {
        let ports = self.ports();
        let mut tx = ports.store.begin(lease.scope).await?;
        let Some(goal) = tx.goals().lock(lease.goal).await? else { return Ok(None) };
        if !tx.goals().holds_planning(lease.goal, lease.token).await? {
            return Ok(None);
        }
        let operation = audited(lease.goal, json!({ "goal_id": lease.goal }));
        let id = AuditId::from_uuid(ports.ids.uuid());
        let receipt = tx.audit().record_intent(id, &operation, ports.clock.now()).await?;
        let member = match lease.scope.user() {
            Some(user) => tx.users().membership(user).await?,
            None => None,
        };
        let work = StandingWork { scope: lease.scope, permission: GOAL_WORK, credential: &goal.credential };
        let permit = ports.rules.standing_permit(work, member.as_ref(), receipt);
        let catalog = match &permit {
            Ok(permit) => Some(AgentCatalog::load(&mut *tx, &*ports.tools, permit.rights()).await?),
            Err(_) => None,
        };
        tx.commit().await?;
        Ok(Some(Planning { goal, permit, receipt, catalog }))
    }

    async fn make_plan(
        &self,
        planning: &Planning,
        usage: &mut TokenUsage,
        rejected: &mut u32,
    ) -> Result<Vec<PlannedStep>, GoalError> {
        let (permit, catalog) = match (&planning.permit, &planning.catalog) {
            (Ok(permit), Some(catalog)) => (permit, catalog),
            (Err(code), _) => return Err(GoalError::new(code.as_str(), "The user may not work on goals any more.")),
            (Ok(_), None) => return Err(GoalError::new(GoalError::AGENT_UNKNOWN, "There are no agents.")),
        };
        let objective = &planning.goal.objective;
        let mut input = objective.clone();
        loop {
            let answer = self.ask_planner(permit, catalog, input).await.map_err(|error| to_goal_error(&error))?;
            *usage += answer.usage;
            let steps = planner::parse(&answer.text).and_then(|steps| {
                check_plan(&steps, &catalog.names()).map(|()| steps).map_err(|error| error.to_string())
            });
            match steps {
                Ok(steps) => return Ok(steps),
                Err(problem) if *rejected == 0 => input = planner::repair_request(objective, &answer.text, &problem),
                Err(_) => {
                    *rejected += 1;
                    let detail = "The model gave no valid plan, and none when it was asked to correct it.";
                    return Err(GoalError::new(GoalError::PLAN_INVALID, detail));
                }
            }
            *rejected += 1;
        }
    }

    /// Asks the model, once more after a failure that passes, and without a schema if the server cannot use one.
    async fn ask_planner(
        &self,
        permit: &Permit,
        catalog: &AgentCatalog,
        input: String,
    ) -> Result<ModelAnswer, RuntimeError> {
        let ports = self.ports();
        let caller = model_access::caller(permit.scope(), &permit.tenant().settings);
        let tier = if ports.model.is_configured(ModelTier::Heavy) { ModelTier::Heavy } else { ModelTier::Fast };
        let input = Classified::new(input, permit.rights().own_message_classification());
        let mut options = planner::options(catalog.agents());
        let mut is_retried = false;
        loop {
            let call = ModelCall {
                tier,
                instructions: planner::instructions(catalog.agents()),
                input: input.clone(),
                max_output_tokens: MAX_PLAN_TOKENS,
                max_reply_bytes: MAX_PLAN_BYTES,
                time_limit: TIME_LIMIT,
                options: options.clone(),
            };
            let asker = Asker { permit, caller: &caller, origin: CallOrigin::default() };
            match call_model(ports, self.budgets(), asker, call).await {
                Err(error) if error.is_rejected_by_model_server() && options.response_format.is_some() => {
                    options.response_format = None;
                }
                Err(error) if error.is_transient() && !is_retried => {
                    is_retried = true;
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                answer => return answer,
            }
        }
    }

    /// Stores what came of a planning, unless another worker has taken it over or the goal was cancelled.
    async fn end_planning(
        &self,
        lease: PlanLease<'_>,
        planning: &Planning,
        planned: &Planned,
        outcome_id: AuditId,
    ) -> Result<(), StoreError> {
        let ports = self.ports();
        let now = ports.clock.now();
        let mut tx = ports.store.begin(lease.scope).await?;
        tx.goals().lock(lease.goal).await?;
        let holds_lease = tx.goals().holds_planning(lease.goal, lease.token).await?;
        let mut metadata = json!({ "rejected_answers": planned.rejected });
        let status = match planned.plan.as_ref().filter(|_| holds_lease) {
            None => ResultStatus::Cancelled,
            Some(Ok(steps)) => {
                tx.goals().put_plan(lease.goal, steps, PlanAuthor::Planner, now).await?;
                let version = planning.goal.plan_version + 1;
                let data = json!({ "goal_id": lease.goal, "version": version });
                tx.goals().append_event(lease.goal, GoalEventKind::PlanChanged, &data, now).await?;
                let to = self.status_after(planning, steps);
                if let (GoalStatus::Running, Some(catalog)) = (to, &planning.catalog) {
                    tx.goals().approve_agents(lease.goal, &catalog.approved(steps)).await?;
                }
                set_status(&mut *tx, lease.goal, &GoalTransition::new(GoalStatus::Planning, to), now).await?;
                metadata["steps"] = steps.len().into();
                metadata["version"] = version.into();
                ResultStatus::Success
            }
            Some(Err(error)) => {
                let failed = GoalTransition {
                    error: Some(error.clone()),
                    ..GoalTransition::new(GoalStatus::Planning, GoalStatus::Failed)
                };
                set_status(&mut *tx, lease.goal, &failed, now).await?;
                metadata["reason"] = error.code.as_str().into();
                if planning.permit.is_err() { ResultStatus::Denied } else { ResultStatus::Error }
            }
        };
        tx.goals().add_usage(lease.goal, planned.usage).await?;
        let operation = audited(lease.goal, metadata);
        let outcome = Outcome { operation, status, model: None, tools_used: Vec::new() };
        tx.audit().record_outcome(outcome_id, planning.receipt, &outcome, now).await?;
        tx.commit().await
    }

    /// The state of a goal with a new plan. A plan that may write always waits for approval.
    fn status_after(&self, planning: &Planning, steps: &[PlannedStep]) -> GoalStatus {
        let writes = |catalog: &AgentCatalog| steps.iter().any(|step| catalog.writes(&step.agent));
        let may_write = planning.catalog.as_ref().is_none_or(writes);
        let is_forbidden = planning
            .permit
            .as_ref()
            .map_or(true, |permit| permit.tenant().settings.goals.require_approval == Some(true));
        match planning.goal.approval {
            PlanApproval::NotRequired if !may_write && !is_forbidden => GoalStatus::Running,
            PlanApproval::NotRequired | PlanApproval::Required => GoalStatus::AwaitingApproval,
        }
    }
}

/// The part of a failure that the goal's user may see.
pub(super) fn to_goal_error(error: &RuntimeError) -> GoalError {
    let detail = error.public_detail().unwrap_or_else(|| "The platform failed.".to_owned());
    match error {
        RuntimeError::ModelNotFound => GoalError::new("model_unavailable", "No language model is configured."),
        _ => GoalError::new(error.code(), detail),
    }
}

fn audited(goal: GoalId, metadata: Value) -> AuditedOperation {
    AuditedOperation {
        event: EventType::GOAL_PLANNED,
        resource: Some(Resource::Goals),
        resource_id: Some(goal.as_uuid()),
        conversation_id: None,
        request_hash: None,
        metadata,
    }
}
