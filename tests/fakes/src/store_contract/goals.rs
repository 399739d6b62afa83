//! Test cases for agents, goals and the queue of their work.

use super::{CaseError, CaseResult, TestContext, TestTenant, require};
use chrono::TimeDelta;
use domain::agent::{AgentSpec, TenantAgent};
use domain::conversation::Sources;
use domain::goal::{
    Goal, GoalCredential, GoalError, GoalEventKind, GoalStatus, PlanApproval, PlanAuthor, PlannedStep, Step, StepStatus,
};
use domain::ids::GoalId;
use domain::model::TierChoice;
use domain::page::PageRequest;
use domain::ports::{ApprovedAgent, GoalTransition, GoalWork, StepEnd, StepLease, StepRetry};
use domain::role::Classification;
use domain::run::TokenUsage;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use serde_json::json;
use std::time::Duration;

/// A lease that lasts longer than a case.
const LONG: Duration = Duration::from_secs(600);
/// A lease that has expired at once.
const EXPIRED: Duration = Duration::ZERO;
/// Maximum number of leases of a tenant.
const MAX: u32 = 8;

fn step(id: &str, depends_on: &[&str]) -> PlannedStep {
    PlannedStep {
        id: id.to_owned(),
        title: format!("Step {id}"),
        agent: "document_analyst".to_owned(),
        instruction: "Find it.".to_owned(),
        depends_on: depends_on.iter().map(|&id| id.to_owned()).collect(),
    }
}

fn end(status: StepStatus) -> StepEnd {
    let is_failed = status == StepStatus::Failed;
    StepEnd {
        status,
        output: (!is_failed).then(|| "Found.".to_owned()),
        citations: Vec::new(),
        sources: Sources::default(),
        classification: Classification::Internal,
        error: is_failed.then(|| GoalError::new("tool_not_used", "No tool.")),
    }
}

impl TestContext {
    async fn insert_goal(&self, scope: &TenantScope) -> Result<GoalId, CaseError> {
        let now = self.advance_clock();
        let goal = Goal {
            id: self.new_id(),
            objective: "Compare the limits.".to_owned(),
            approval: PlanApproval::NotRequired,
            status: GoalStatus::Planning,
            plan_version: 0,
            credential: GoalCredential { session: None, access_token: None, scopes: vec!["goals:create".parse()?] },
            result: None,
            classification: Classification::Public,
            error: None,
            usage: TokenUsage::default(),
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.begin(scope).await?;
        tx.goals().insert(&goal).await?;
        assert_eq!(tx.goals().get(goal.id).await?, Some(goal.clone()), "read as it was stored");
        tx.commit().await?;
        Ok(goal.id)
    }

    /// Inserts a goal whose plan is being executed.
    async fn insert_running_goal(&self, scope: &TenantScope, steps: &[PlannedStep]) -> Result<GoalId, CaseError> {
        let goal = self.insert_goal(scope).await?;
        let now = self.advance_clock();
        let mut tx = self.begin(scope).await?;
        tx.goals().put_plan(goal, steps, PlanAuthor::Planner, now).await?;
        let run = GoalTransition::new(GoalStatus::Planning, GoalStatus::Running);
        assert!(tx.goals().transition(goal, &run, now).await?);
        tx.commit().await?;
        Ok(goal)
    }

    async fn claim_step(&self, max: u32, lease: Duration) -> Result<Option<StepLease>, CaseError> {
        Ok(match self.goal_queue.claim(max, lease).await?.map(|claim| claim.work) {
            Some(GoalWork::Execute(lease)) => Some(lease),
            Some(other) => return Err(format!("unexpected work: {other:?}").into()),
            None => None,
        })
    }

    async fn execute(&self, scope: &TenantScope, lease: &StepLease, status: StepStatus) -> CaseResult {
        let mut tx = self.begin(scope).await?;
        assert!(tx.goals().start_step(lease, self.now()).await?);
        assert!(tx.goals().end_step(lease, &end(status), self.now()).await?);
        Ok(tx.commit().await?)
    }

    async fn step(&self, scope: &TenantScope, goal: GoalId, id: &str) -> Result<Step, CaseError> {
        let mut tx = self.begin(scope).await?;
        let steps = tx.goals().steps(&[goal]).await?;
        require(steps.into_iter().map(|row| row.step).find(|step| step.plan.id == id))
    }
}

/// Planning is claimed once; steps are claimed once what they depend on has succeeded, and no more than a tenant may
/// have.
pub async fn goals_are_worked_on_in_the_order_of_their_plans(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let goal = context.insert_goal(&ada).await?;
    let claim = require(context.goal_queue.claim(MAX, LONG).await?)?;
    assert_eq!(claim.work, GoalWork::Plan { goal, token: 1 });
    assert_eq!((claim.scope.tenant(), claim.scope.user()), (ada.tenant(), ada.user()));
    assert_eq!(context.goal_queue.claim(MAX, LONG).await?, None, "it is claimed");
    assert!(context.goal_queue.heartbeat(&claim, LONG).await?);
    let steps = [step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b", "c"])];
    let mut tx = context.begin(&ada).await?;
    assert!(tx.goals().holds_planning(goal, 1).await?);
    tx.goals().put_plan(goal, &steps, PlanAuthor::Planner, context.now()).await?;
    let run = GoalTransition::new(GoalStatus::Planning, GoalStatus::Running);
    assert!(tx.goals().transition(goal, &run, context.now()).await?);
    tx.commit().await?;
    assert!(!context.goal_queue.heartbeat(&claim, LONG).await?, "it is planned");

    let first = require(context.claim_step(MAX, LONG).await?)?;
    assert_eq!(first.step, "a");
    assert_eq!(context.claim_step(MAX, LONG).await?, None, "the others wait");
    context.execute(&ada, &first, StepStatus::Succeeded).await?;
    let second = require(context.claim_step(MAX, LONG).await?)?;
    assert_eq!(context.claim_step(1, LONG).await?, None, "the tenant has as many leases as it may");
    let third = require(context.claim_step(2, LONG).await?)?;
    assert_eq!([second.step.as_str(), third.step.as_str()], ["b", "c"]);
    context.execute(&ada, &second, StepStatus::Succeeded).await?;
    assert_eq!(context.claim_step(MAX, LONG).await?, None, "d waits for c");
    context.execute(&ada, &third, StepStatus::Failed).await?;
    assert_eq!(context.claim_step(MAX, LONG).await?, None, "c has failed");
    let failed = context.step(&ada, goal, "c").await?;
    assert_eq!((failed.status, failed.attempts, failed.output), (StepStatus::Failed, 1, None));
    assert_eq!(failed.error.map(|error| error.code).as_deref(), Some("tool_not_used"));
    Ok(())
}

/// A step whose worker died is taken over; the worker that wakes up changes nothing.
pub async fn a_lost_lease_cannot_end_a_step(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let goal = context.insert_running_goal(&ada, &[step("a", &[])]).await?;
    let dead = require(context.claim_step(MAX, EXPIRED).await?)?;
    let mut tx = context.begin(&ada).await?;
    assert!(tx.goals().start_step(&dead, context.now()).await?);
    tx.commit().await?;
    let alive = require(context.claim_step(MAX, LONG).await?)?;
    assert_eq!((alive.step.as_str(), alive.token), ("a", dead.token + 1));
    let approval = context.new_id();
    let mut tx = context.begin(&ada).await?;
    assert!(!tx.goals().end_step(&dead, &end(StepStatus::Succeeded), context.now()).await?);
    assert!(!tx.goals().add_approval(&dead, approval).await?);
    assert_eq!(tx.goals().lock_approvals(&dead).await?, None);
    assert!(tx.goals().start_step(&alive, context.now()).await?);
    assert!(tx.goals().add_approval(&alive, approval).await?);
    assert_eq!(tx.goals().lock_approvals(&alive).await?, Some(vec![approval]));
    assert!(tx.goals().end_step(&alive, &end(StepStatus::Succeeded), context.now()).await?);
    assert!(!tx.goals().end_step(&alive, &end(StepStatus::Failed), context.now()).await?, "it has ended");
    tx.commit().await?;
    let step = context.step(&ada, goal, "a").await?;
    assert_eq!((step.status, step.attempts, step.interruptions), (StepStatus::Succeeded, 2, 1));
    assert_eq!(step.approvals, [approval]);
    Ok(())
}

/// A step is tried again later, skipped, and reopened; a cancelled goal loses its leases.
pub async fn steps_are_retried_skipped_and_reopened(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let goal = context.insert_running_goal(&ada, &[step("a", &[]), step("b", &["a"])]).await?;
    let lease = require(context.claim_step(MAX, LONG).await?)?;
    let busy = GoalError::new("model_unavailable", "Busy.");
    let mut tx = context.begin(&ada).await?;
    tx.goals().start_step(&lease, context.now()).await?;
    let retry = StepRetry { due_at: context.now(), error: busy.clone() };
    assert!(tx.goals().retry_step_later(&lease, &retry).await?);
    tx.commit().await?;
    let step_a = context.step(&ada, goal, "a").await?;
    assert_eq!((step_a.status, step_a.is_retried, step_a.error), (StepStatus::Pending, true, Some(busy.clone())));
    let lease = require(context.claim_step(MAX, LONG).await?)?;
    context.execute(&ada, &lease, StepStatus::Failed).await?;
    let mut tx = context.begin(&ada).await?;
    assert!(tx.goals().skip_step(goal, "b", &busy, context.now()).await?);
    assert!(!tx.goals().skip_step(goal, "b", &busy, context.now()).await?, "once");
    assert!(tx.goals().reopen_step(goal, "a", context.now()).await?);
    assert!(tx.goals().reopen_step(goal, "b", context.now()).await?);
    assert!(!tx.goals().reopen_step(goal, "b", context.now()).await?, "it is pending");
    tx.commit().await?;
    let claim = require(context.goal_queue.claim(MAX, LONG).await?)?;
    let mut tx = context.begin(&ada).await?;
    for id in ["a", "b"] {
        tx.goals().skip_step(goal, id, &busy, context.now()).await?;
    }
    let cancel = GoalTransition::new(GoalStatus::Running, GoalStatus::Cancelled);
    assert!(tx.goals().transition(goal, &cancel, context.now()).await?);
    assert!(!tx.goals().transition(goal, &cancel, context.now()).await?);
    tx.commit().await?;
    assert!(!context.goal_queue.heartbeat(&claim, LONG).await?);
    assert_eq!(context.goal_queue.claim(MAX, LONG).await?, None);
    Ok(())
}

/// The tenant with fewer leases is served first.
pub async fn work_on_goals_is_fair_between_tenants(context: &TestContext) -> CaseResult {
    let (first, second) = (context.create_tenant("a").await?.ada, context.create_tenant("b").await?.ada);
    context.insert_running_goal(&first, &[step("a", &[]), step("b", &[]), step("c", &[])]).await?;
    context.insert_running_goal(&second, &[step("a", &[])]).await?;
    let mut served = Vec::new();
    for _ in 0..3 {
        served.push(require(context.goal_queue.claim(MAX, LONG).await?)?.scope.tenant());
    }
    assert_eq!(served.iter().filter(|tenant| **tenant == second.tenant()).count(), 1);
    assert!(served[..2].contains(&second.tenant()), "it does not wait for the other one's steps");
    Ok(())
}

/// Neither a colleague nor another tenant sees a goal, its steps or its events.
pub async fn goals_belong_to_their_user(context: &TestContext) -> CaseResult {
    let TestTenant { ada, bob, .. } = context.create_tenant("a").await?;
    let stranger = context.create_tenant("b").await?.ada;
    let goal = context.insert_running_goal(&ada, &[step("a", &[])]).await?;
    let mut tx = context.begin(&ada).await?;
    let data = json!({ "status": "running" });
    tx.goals().append_event(goal, GoalEventKind::GoalStatus, &data, context.now()).await?;
    tx.goals().append_event(goal, GoalEventKind::PlanChanged, &data, context.now()).await?;
    tx.goals().add_usage(goal, TokenUsage { input_tokens: 3, output_tokens: 4 }).await?;
    tx.commit().await?;
    for other in [&bob, &stranger] {
        let mut tx = context.begin(other).await?;
        assert_eq!(tx.goals().get(goal).await?, None);
        assert_eq!(tx.goals().lock(goal).await?, None);
        assert_eq!(tx.goals().steps(&[goal]).await?, []);
        assert_eq!(tx.goals().events(goal, 0, 10).await?, []);
        assert_eq!(tx.goals().list(&PageRequest::default()).await?.items, []);
        assert!(!tx.goals().skip_step(goal, "a", &GoalError::new("x", "x"), context.now()).await?);
    }
    let mut tx = context.begin(&ada).await?;
    let events = tx.goals().events(goal, 1, 10).await?;
    assert_eq!(
        events.iter().map(|event| (event.seq, event.kind)).collect::<Vec<_>>(),
        [(2, GoalEventKind::PlanChanged)]
    );
    let read = require(tx.goals().get(goal).await?)?;
    assert_eq!((read.usage.input_tokens, read.usage.output_tokens, read.plan_version), (3, 4, 1));
    assert_eq!(tx.goals().open_count().await?, 1);
    assert_eq!(tx.goals().list(&PageRequest::default()).await?.items.len(), 1);
    Ok(())
}

/// An agent has a unique name within its tenant.
pub async fn agents_are_stored_by_name(context: &TestContext) -> CaseResult {
    let ada = context.create_tenant("a").await?.ada;
    let stranger = context.create_tenant("b").await?.ada;
    let agent = TenantAgent {
        spec: AgentSpec {
            name: "seal_expert".to_owned(),
            description: "Knows seals.".to_owned(),
            instructions: "Name the plan.".to_owned(),
            tools: vec!["rag_search".to_owned()],
            model: TierChoice::Fast,
            required_tool: None,
            is_builtin: false,
        },
        updated_by: ada.user(),
        created_at: context.now(),
        updated_at: context.now(),
    };
    let mut tx = context.begin(&ada).await?;
    tx.agents().insert(&agent).await?;
    tx.commit().await?;
    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.agents().list().await?, std::slice::from_ref(&agent));
    assert!(tx.agents().insert(&agent).await.is_err(), "the name is taken");
    drop(tx);
    let changed = TenantAgent { spec: AgentSpec { tools: Vec::new(), ..agent.spec.clone() }, ..agent.clone() };
    let mut tx = context.begin(&stranger).await?;
    assert_eq!(tx.agents().list().await?, []);
    assert!(!tx.agents().update(&changed).await?);
    assert!(!tx.agents().delete("seal_expert").await?);
    drop(tx);
    let mut tx = context.begin(&ada).await?;
    assert!(tx.agents().update(&changed).await?);
    assert_eq!(tx.agents().list().await?, [changed]);
    assert!(tx.agents().delete("seal_expert").await?);
    assert!(!tx.agents().delete("seal_expert").await?);
    Ok(())
}

/// A step keeps the agent that was approved for it; one that is postponed is claimed once it is due, and has not been
/// tried.
pub async fn a_step_is_approved_with_its_agent_and_can_be_postponed(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let goal = context.insert_running_goal(&ada, &[step("a", &[]), step("b", &["a"])]).await?;
    let digest = format!("sha256:{}", "0".repeat(64));
    let approved = ApprovedAgent { step: "a".to_owned(), digest: digest.clone() };
    let mut tx = context.begin(&ada).await?;
    tx.goals().approve_agents(goal, &[approved]).await?;
    tx.commit().await?;
    assert_eq!(context.step(&ada, goal, "a").await?.agent_digest, Some(digest));
    assert_eq!(context.step(&ada, goal, "b").await?.agent_digest, None);

    let lease = require(context.claim_step(MAX, LONG).await?)?;
    let postpone = async |due_at: Timestamp| -> CaseResult {
        let mut tx = context.begin(&ada).await?;
        tx.goals().postpone_step(&lease, due_at).await?;
        Ok(tx.commit().await?)
    };
    postpone(context.now() + TimeDelta::days(36_500)).await?;
    assert_eq!(context.claim_step(MAX, LONG).await?, None, "it is not due");
    postpone(context.now()).await?;
    assert_eq!(context.claim_step(MAX, LONG).await?.map(|lease| lease.step).as_deref(), Some("a"));
    assert_eq!(context.step(&ada, goal, "a").await?.attempts, 0);
    Ok(())
}
