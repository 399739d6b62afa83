//! The in-memory repositories of agents and goals, and the queue of goals' work.

use super::{InMemoryStore, InMemoryTx, Row, State, constraint_error, page_of};
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::agent::TenantAgent;
use domain::goal::{Goal, GoalError, GoalEvent, GoalEventKind, GoalStatus, PlanAuthor, PlannedStep, Step, StepStatus};
use domain::ids::{ApprovalId, GoalId, RequestId, TenantId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{
    AgentRepo, ApprovedAgent, GoalClaim, GoalQueue, GoalRepo, GoalTransition, GoalWork, StepEnd, StepLease, StepOfGoal,
    StepRetry, StoreError,
};
use domain::run::TokenUsage;
use domain::scope::{Actor, TenantScope};
use domain::time::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// A goal with everything that belongs to it.
#[derive(Clone, Debug)]
pub(super) struct StoredGoal {
    goal: Goal,
    steps: Vec<StoredStep>,
    events: Vec<GoalEvent>,
    lease: Lease,
}

#[derive(Clone, Debug)]
struct StoredStep {
    step: Step,
    due_at: Timestamp,
    lease: Lease,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    token: i64,
    until: Option<Timestamp>,
}

impl Lease {
    fn is_free(self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    fn grant(&mut self, now: Timestamp, duration: Duration) -> i64 {
        self.token += 1;
        self.until = Some(now + TimeDelta::from_std(duration).unwrap_or_default());
        self.token
    }
}

impl InMemoryTx {
    async fn goal(&mut self, id: GoalId) -> Result<Option<&mut StoredGoal>, StoreError> {
        let is_own = self.owner_filter();
        let rows = &mut self.write().await?.goals;
        Ok(rows.iter_mut().find(|row| is_own(row) && row.value.goal.id == id).map(|row| &mut row.value))
    }

    async fn leased_step(&mut self, claim: &StepLease) -> Result<Option<&mut StoredStep>, StoreError> {
        let goal = self.goal(claim.goal).await?;
        let steps = goal.into_iter().flat_map(|goal| &mut goal.steps);
        let mut held = steps.filter(|stored| stored.step.plan.id == claim.step && stored.lease.token == claim.token);
        Ok(held.next())
    }
}

fn change_status(step: &mut Step, to: StepStatus) -> Result<(), StoreError> {
    if step.status != to && !step.status.may_become(to) {
        return Err(constraint_error("changing a step", "the transition is not in the table"));
    }
    step.status = to;
    Ok(())
}

#[async_trait]
impl AgentRepo for InMemoryTx {
    async fn insert(&mut self, agent: &TenantAgent) -> Result<(), StoreError> {
        let (tenant, in_tenant) = (self.tenant(), self.tenant_filter());
        let rows = &mut self.write().await?.agents;
        if rows.iter().any(|row| in_tenant(row) && row.value.spec.name == agent.spec.name) {
            return Err(StoreError::Conflict { reason: "The tenant has an agent of this name." });
        }
        rows.push(Row { tenant, user: None, value: agent.clone() });
        Ok(())
    }

    async fn update(&mut self, agent: &TenantAgent) -> Result<bool, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = &mut self.write().await?.agents;
        let Some(row) = rows.iter_mut().find(|row| in_tenant(row) && row.value.spec.name == agent.spec.name) else {
            return Ok(false);
        };
        row.value = TenantAgent { created_at: row.value.created_at, ..agent.clone() };
        Ok(true)
    }

    async fn delete(&mut self, name: &str) -> Result<bool, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = &mut self.write().await?.agents;
        let count = rows.len();
        rows.retain(|row| !(in_tenant(row) && row.value.spec.name == name));
        Ok(rows.len() < count)
    }

    async fn list(&mut self) -> Result<Vec<TenantAgent>, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = |s: &State| s.agents.iter().filter(|row| in_tenant(row)).map(|row| row.value.clone()).collect();
        let mut agents: Vec<TenantAgent> = self.read(rows);
        agents.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        Ok(agents)
    }
}

#[async_trait]
impl GoalRepo for InMemoryTx {
    async fn insert(&mut self, goal: &Goal) -> Result<(), StoreError> {
        let (tenant, user) = (self.tenant(), self.scope.user());
        if goal.status != GoalStatus::Planning {
            return Err(constraint_error("storing a goal", "a goal begins as planning"));
        }
        let goal = goal.clone();
        let value = StoredGoal { goal, steps: Vec::new(), events: Vec::new(), lease: Lease::default() };
        self.write().await?.goals.push(Row { tenant, user, value });
        Ok(())
    }

    async fn get(&mut self, id: GoalId) -> Result<Option<Goal>, StoreError> {
        let is_own = self.owner_filter();
        let find =
            |s: &State| s.goals.iter().find(|r| is_own(r) && r.value.goal.id == id).map(|r| r.value.goal.clone());
        Ok(self.read(find))
    }

    async fn lock(&mut self, id: GoalId) -> Result<Option<Goal>, StoreError> {
        Ok(self.goal(id).await?.map(|stored| stored.goal.clone()))
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<Goal>, StoreError> {
        let is_own = self.owner_filter();
        let rows = self.read(|s| s.goals.iter().filter(|r| is_own(r)).map(|r| r.value.goal.clone()).collect());
        Ok(page_of(rows, page, |row: &Goal| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn steps(&mut self, goals: &[GoalId]) -> Result<Vec<StepOfGoal>, StoreError> {
        let is_own = self.owner_filter();
        let of = |stored: &StoredGoal| {
            let goal = stored.goal.id;
            stored.steps.iter().map(|row| StepOfGoal { goal, step: row.step.clone() }).collect::<Vec<_>>()
        };
        let rows = |s: &State| {
            let wanted = s.goals.iter().filter(|row| is_own(row) && goals.contains(&row.value.goal.id));
            wanted.flat_map(|row| of(&row.value)).collect()
        };
        Ok(self.read(rows))
    }

    async fn open_count(&mut self) -> Result<u64, StoreError> {
        let is_own = self.owner_filter();
        let is_open = |row: &&Row<StoredGoal>| is_own(row) && !row.value.goal.status.has_ended();
        Ok(self.read(|s| s.goals.iter().filter(is_open).count()) as u64)
    }

    async fn put_plan(
        &mut self,
        goal: GoalId,
        steps: &[PlannedStep],
        _author: PlanAuthor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(stored) = self.goal(goal).await? else { return Ok(()) };
        if stored.steps.iter().any(|row| row.step.attempts > 0) {
            return Err(constraint_error("replacing the steps of a plan", "a step that was tried is not deleted"));
        }
        stored.goal.plan_version += 1;
        stored.goal.updated_at = now;
        let row =
            |step: &PlannedStep| StoredStep { step: Step::planned(step.clone()), due_at: now, lease: Lease::default() };
        stored.steps = steps.iter().map(row).collect();
        Ok(())
    }

    async fn approve_agents(&mut self, goal: GoalId, agents: &[ApprovedAgent]) -> Result<(), StoreError> {
        let Some(stored) = self.goal(goal).await? else { return Ok(()) };
        for StoredStep { step, .. } in &mut stored.steps {
            if let Some(approved) = agents.iter().find(|approved| approved.step == step.plan.id) {
                step.agent_digest = Some(approved.digest.clone());
            }
        }
        Ok(())
    }

    async fn transition(
        &mut self,
        goal: GoalId,
        transition: &GoalTransition,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(stored) = self.goal(goal).await? else { return Ok(false) };
        let goal = &mut stored.goal;
        if goal.status != transition.from {
            return Ok(false);
        }
        if !transition.from.may_become(transition.to) {
            return Err(constraint_error("changing the state of a goal", "the transition is not in the table"));
        }
        goal.status = transition.to;
        goal.error.clone_from(&transition.error);
        goal.result.clone_from(&transition.result);
        (goal.classification, goal.updated_at) = (transition.classification, now);
        Ok(true)
    }

    async fn add_usage(&mut self, goal: GoalId, usage: TokenUsage) -> Result<(), StoreError> {
        if let Some(stored) = self.goal(goal).await? {
            stored.goal.usage += usage;
        }
        Ok(())
    }

    async fn holds_planning(&mut self, goal: GoalId, token: i64) -> Result<bool, StoreError> {
        let stored = self.goal(goal).await?;
        Ok(stored.is_some_and(|row| row.lease.token == token && row.goal.status == GoalStatus::Planning))
    }

    async fn start_step(&mut self, claim: &StepLease, _now: Timestamp) -> Result<bool, StoreError> {
        let Some(StoredStep { step, .. }) = self.leased_step(claim).await? else { return Ok(false) };
        if !matches!(step.status, StepStatus::Pending | StepStatus::Running) {
            return Ok(false);
        }
        step.interruptions += u32::from(step.status == StepStatus::Running);
        step.status = StepStatus::Running;
        step.attempts += 1;
        step.error = None;
        Ok(true)
    }

    async fn end_step(&mut self, claim: &StepLease, end: &StepEnd, _now: Timestamp) -> Result<bool, StoreError> {
        let Some(StoredStep { step, lease, .. }) = self.leased_step(claim).await? else { return Ok(false) };
        if step.status.has_ended() || step.status == end.status {
            return Ok(false);
        }
        change_status(step, end.status)?;
        step.output.clone_from(&end.output);
        step.citations.clone_from(&end.citations);
        step.sources.clone_from(&end.sources);
        step.error.clone_from(&end.error);
        step.classification = end.classification;
        lease.until = None;
        Ok(true)
    }

    async fn retry_step_later(&mut self, claim: &StepLease, retry: &StepRetry) -> Result<bool, StoreError> {
        let Some(StoredStep { step, lease, due_at }) = self.leased_step(claim).await? else { return Ok(false) };
        if step.status != StepStatus::Running {
            return Ok(false);
        }
        step.status = StepStatus::Pending;
        step.is_retried = true;
        step.error = Some(retry.error.clone());
        (*due_at, lease.until) = (retry.due_at, None);
        Ok(true)
    }

    async fn postpone_step(&mut self, claim: &StepLease, due_at: Timestamp) -> Result<(), StoreError> {
        let stored = self.leased_step(claim).await?;
        if let Some(stored) = stored.filter(|stored| !stored.step.status.has_ended()) {
            (stored.due_at, stored.lease.until) = (due_at, None);
        }
        Ok(())
    }

    async fn lock_approvals(&mut self, claim: &StepLease) -> Result<Option<Vec<ApprovalId>>, StoreError> {
        let stored = self.leased_step(claim).await?.filter(|stored| stored.step.status == StepStatus::Running);
        Ok(stored.map(|stored| stored.step.approvals.clone()))
    }

    async fn add_approval(&mut self, claim: &StepLease, approval: ApprovalId) -> Result<bool, StoreError> {
        let stored = self.leased_step(claim).await?.filter(|stored| stored.step.status == StepStatus::Running);
        let Some(stored) = stored else { return Ok(false) };
        stored.step.approvals.push(approval);
        Ok(true)
    }

    async fn release_step(&mut self, claim: &StepLease, now: Timestamp) -> Result<(), StoreError> {
        if let Some(stored) = self.leased_step(claim).await? {
            stored.lease.until = Some(now);
        }
        Ok(())
    }

    async fn skip_step(
        &mut self,
        goal: GoalId,
        step: &str,
        error: &GoalError,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        let steps = self.goal(goal).await?.into_iter().flat_map(|stored| &mut stored.steps);
        let Some(stored) = steps.into_iter().find(|stored| stored.step.plan.id == step) else { return Ok(false) };
        if stored.step.status.has_ended() {
            return Ok(false);
        }
        stored.step.status = StepStatus::Skipped;
        stored.step.error = Some(error.clone());
        stored.lease = Lease { token: stored.lease.token + 1, until: None };
        Ok(true)
    }

    async fn reopen_step(&mut self, goal: GoalId, step: &str, now: Timestamp) -> Result<bool, StoreError> {
        let failed: Vec<_> = self.read(|s| {
            let failed = s.approvals.iter().filter(|row| row.value.status.has_failed());
            failed.map(|row| row.value.id).collect()
        });
        let steps = self.goal(goal).await?.into_iter().flat_map(|stored| &mut stored.steps);
        let Some(stored) = steps.into_iter().find(|stored| stored.step.plan.id == step) else { return Ok(false) };
        if !matches!(stored.step.status, StepStatus::Failed | StepStatus::Skipped) {
            return Ok(false);
        }
        stored.step.status = StepStatus::Pending;
        (stored.step.error, stored.step.output, stored.step.is_retried) = (None, None, false);
        stored.step.approvals.retain(|id| !failed.contains(id));
        (stored.due_at, stored.lease.until) = (now, None);
        Ok(true)
    }

    async fn append_event(
        &mut self,
        goal: GoalId,
        kind: GoalEventKind,
        data: &Value,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(stored) = self.goal(goal).await? {
            let seq = stored.events.len() as u64 + 1;
            stored.events.push(GoalEvent { seq, kind, data: data.clone() });
        }
        Ok(())
    }

    async fn events(&mut self, goal: GoalId, after: u64, limit: u32) -> Result<Vec<GoalEvent>, StoreError> {
        let is_own = self.owner_filter();
        let find = |s: &State| {
            let events = s.goals.iter().filter(|row| is_own(row) && row.value.goal.id == goal);
            let events = events.flat_map(|row| row.value.events.clone());
            events.filter(|event| event.seq > after).take(limit as usize).collect()
        };
        Ok(self.read(find))
    }
}

/// What can be claimed of a goal: its planning, or a step.
#[derive(Clone, Debug)]
enum Candidate {
    Plan,
    Execute(String),
    Settle(String),
}

impl State {
    fn leases(&self, tenant: TenantId, now: Timestamp) -> usize {
        let goals = self.goals.iter().filter(|row| row.tenant == tenant);
        let held = |stored: &StoredGoal| {
            let steps =
                stored.steps.iter().filter(|row| !row.step.status.has_ended() && !row.lease.is_free(now)).count();
            steps + usize::from(stored.goal.status == GoalStatus::Planning && !stored.lease.is_free(now))
        };
        goals.map(|row| held(&row.value)).sum()
    }

    fn candidate(&self, row: &Row<StoredGoal>, now: Timestamp) -> Option<Candidate> {
        let StoredGoal { goal, steps, lease, .. } = &row.value;
        if goal.status == GoalStatus::Planning {
            return lease.is_free(now).then_some(Candidate::Plan);
        }
        if goal.status != GoalStatus::Running {
            return None;
        }
        let has_succeeded =
            |id: &String| steps.iter().any(|s| s.step.plan.id == *id && s.step.status == StepStatus::Succeeded);
        let is_decided = |step: &Step| {
            let of_step = |row: &&Row<_>| step.approvals.contains(&row_approval(row).id);
            self.approvals.iter().filter(of_step).all(|row| row_approval(row).status.is_final())
        };
        steps.iter().filter(|stored| stored.due_at <= now && stored.lease.is_free(now)).find_map(|stored| {
            let id = stored.step.plan.id.clone();
            match stored.step.status {
                StepStatus::Pending => {
                    stored.step.plan.depends_on.iter().all(has_succeeded).then_some(Candidate::Execute(id))
                }
                StepStatus::Running => Some(Candidate::Execute(id)),
                StepStatus::WaitingApproval => is_decided(&stored.step).then_some(Candidate::Settle(id)),
                StepStatus::Succeeded | StepStatus::Failed | StepStatus::Skipped => None,
            }
        })
    }
}

fn row_approval(row: &Row<domain::approval::Approval>) -> &domain::approval::Approval {
    &row.value
}

#[async_trait]
impl GoalQueue for InMemoryStore {
    async fn claim(&self, max_per_tenant: u32, duration: Duration) -> Result<Option<GoalClaim>, StoreError> {
        let _guard = self.lock_for_writing().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        let max = |tenant: TenantId| {
            let settings = state.tenants.iter().find(|row| row.id == tenant && row.is_active);
            let own = settings.map(|row| row.settings.goals.max_parallel_steps.unwrap_or(max_per_tenant));
            own.unwrap_or(0).min(max_per_tenant) as usize
        };
        let mut found: Vec<(usize, usize, Candidate)> = Vec::new();
        for (index, row) in state.goals.iter().enumerate() {
            let leases = state.leases(row.tenant, now);
            if let Some(candidate) = state.candidate(row, now).filter(|_| leases < max(row.tenant)) {
                found.push((leases, index, candidate));
            }
        }
        found.sort_by_key(|(leases, index, _)| (*leases, *index));
        let Some((_, index, candidate)) = found.into_iter().next() else { return Ok(None) };
        let row = &mut state.goals[index];
        let Some(user) = row.user else { return Ok(None) };
        let goal = row.value.goal.id;
        let mut lease_step = |step: String| {
            let stored = row.value.steps.iter_mut().find(|stored| stored.step.plan.id == step);
            let token = stored.map_or(0, |stored| stored.lease.grant(now, duration));
            StepLease { goal, step, token }
        };
        let work = match candidate {
            Candidate::Execute(step) => GoalWork::Execute(lease_step(step)),
            Candidate::Settle(step) => GoalWork::Settle(lease_step(step)),
            Candidate::Plan => GoalWork::Plan { goal, token: row.value.lease.grant(now, duration) },
        };
        #[expect(clippy::disallowed_methods, reason = "the fake stands in for the queue")]
        let scope = TenantScope::mint(row.tenant, Actor::User(user), RequestId::from_uuid(goal.as_uuid()));
        Ok(Some(GoalClaim { scope: scope.in_session(row.value.goal.credential.session), work }))
    }

    async fn heartbeat(&self, claim: &GoalClaim, duration: Duration) -> Result<bool, StoreError> {
        let _guard = self.lock_for_writing().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        let tenant = claim.scope.tenant();
        if !state.tenants.iter().any(|row| row.id == tenant && row.is_active) {
            return Ok(false);
        }
        let goal = claim.work.goal();
        let Some(row) = state.goals.iter_mut().find(|row| row.tenant == tenant && row.value.goal.id == goal) else {
            return Ok(false);
        };
        let until = Some(now + TimeDelta::from_std(duration).unwrap_or_default());
        let StoredGoal { goal, steps, lease, .. } = &mut row.value;
        match &claim.work {
            GoalWork::Plan { token, .. } => {
                let is_held = lease.token == *token && goal.status == GoalStatus::Planning;
                lease.until = if is_held { until } else { lease.until };
                Ok(is_held)
            }
            GoalWork::Execute(held) | GoalWork::Settle(held) => {
                let step = steps.iter_mut().find(|stored| {
                    stored.step.plan.id == held.step
                        && stored.lease.token == held.token
                        && !stored.step.status.has_ended()
                });
                let Some(step) = step.filter(|_| goal.status == GoalStatus::Running) else { return Ok(false) };
                step.lease.until = until;
                Ok(true)
            }
        }
    }

    async fn wait(&self, timeout: Duration) {
        tokio::time::sleep(timeout.min(Duration::from_millis(20))).await;
    }
}
