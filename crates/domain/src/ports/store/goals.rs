//! Repositories of agents and goals, and the queue of goals' work across tenants.

use crate::agent::TenantAgent;
use crate::conversation::{Citation, Sources};
use crate::goal::{Goal, GoalError, GoalEvent, GoalEventKind, GoalStatus, PlanAuthor, PlannedStep, Step, StepStatus};
use crate::ids::{ApprovalId, GoalId};
use crate::page::{Page, PageRequest};
use crate::role::Classification;
use crate::scope::TenantScope;
use crate::store_error::StoreError;
use crate::time::Timestamp;
use crate::token_usage::TokenUsage;
use async_trait::async_trait;
use serde_json::Value;
use std::time::Duration;

/// Agents that administrators added to the tenant.
#[async_trait]
pub trait AgentRepo: Send {
    /// Inserts an agent.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken.
    async fn insert(&mut self, agent: &TenantAgent) -> Result<(), StoreError>;
    /// Replaces the agent of this name; `false` if there is none.
    async fn update(&mut self, agent: &TenantAgent) -> Result<bool, StoreError>;
    /// Deletes an agent; `false` if there is none.
    async fn delete(&mut self, name: &str) -> Result<bool, StoreError>;
    /// All agents, by name.
    async fn list(&mut self) -> Result<Vec<TenantAgent>, StoreError>;
}

/// A change of a goal's state.
#[derive(Clone, PartialEq, Debug)]
pub struct GoalTransition {
    /// State before. Nothing is changed if the goal has another.
    pub from: GoalStatus,
    /// Must be allowed from `from`, or the database refuses it.
    pub to: GoalStatus,
    /// Why it failed; replaces an earlier error.
    pub error: Option<GoalError>,
    /// What it led to.
    pub result: Option<String>,
    /// Classification of the result.
    pub classification: Classification,
}

impl GoalTransition {
    /// A transition without error and result.
    #[must_use]
    pub fn new(from: GoalStatus, to: GoalStatus) -> Self {
        Self { from, to, error: None, result: None, classification: Classification::Public }
    }
}

/// The end of a try of a step, or of its wait for an approval.
#[derive(Clone, PartialEq, Debug)]
pub struct StepEnd {
    /// The new state.
    pub status: StepStatus,
    /// What it found out.
    pub output: Option<String>,
    /// What the output cites.
    pub citations: Vec<Citation>,
    /// Documents that the output is based on.
    pub sources: Sources,
    /// The highest classification of what it is based on.
    pub classification: Classification,
    /// Why it failed.
    pub error: Option<GoalError>,
}

/// Another try of a step, later.
#[derive(Clone, PartialEq, Debug)]
pub struct StepRetry {
    /// When it may start.
    pub due_at: Timestamp,
    /// Why the last try failed.
    pub error: GoalError,
}

/// A step of one of several goals.
#[derive(Clone, PartialEq, Debug)]
pub struct StepOfGoal {
    /// Id of the goal.
    pub goal: GoalId,
    /// A step of this goal.
    pub step: Step,
}

/// The agent of a step as its user approved it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovedAgent {
    /// Id of the step.
    pub step: String,
    /// [`AgentSpec::digest`](crate::agent::AgentSpec::digest) of its agent.
    pub digest: String,
}

/// Goals of the scope's user.
#[async_trait]
pub trait GoalRepo: Send {
    /// Inserts a goal without a plan.
    async fn insert(&mut self, goal: &Goal) -> Result<(), StoreError>;
    /// Reads one row; `None` if it does not exist.
    async fn get(&mut self, id: GoalId) -> Result<Option<Goal>, StoreError>;
    /// Like [`Self::get`], and locks the row until this transaction ends. Whoever changes a goal or its steps holds the
    /// lock.
    async fn lock(&mut self, id: GoalId) -> Result<Option<Goal>, StoreError>;
    /// Lists goals, newest first.
    async fn list(&mut self, page: &PageRequest) -> Result<Page<Goal>, StoreError>;
    /// The steps of these goals, in the order of their plans.
    async fn steps(&mut self, goals: &[GoalId]) -> Result<Vec<StepOfGoal>, StoreError>;
    /// Number of goals that have not ended.
    async fn open_count(&mut self) -> Result<u64, StoreError>;

    /// Stores a new version of the plan, which replaces all steps.
    async fn put_plan(
        &mut self,
        goal: GoalId,
        steps: &[PlannedStep],
        author: PlanAuthor,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Stores the agents that the user approved: [`Step::agent_digest`](crate::goal::Step::agent_digest).
    async fn approve_agents(&mut self, goal: GoalId, agents: &[ApprovedAgent]) -> Result<(), StoreError>;
    /// Changes the state; `false` if the goal does not exist or has another state than `from`.
    ///
    /// # Errors
    /// If the table of transitions does not have the transition, or the database is not available.
    async fn transition(
        &mut self,
        goal: GoalId,
        transition: &GoalTransition,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Adds the tokens of model calls.
    async fn add_usage(&mut self, goal: GoalId, usage: TokenUsage) -> Result<(), StoreError>;
    /// Whether this lease of the goal's planning is the last one that was granted.
    async fn holds_planning(&mut self, goal: GoalId, token: i64) -> Result<bool, StoreError>;

    /// Starts a try of a step under a lease; `false` if the lease was lost.
    async fn start_step(&mut self, claim: &StepLease, now: Timestamp) -> Result<bool, StoreError>;
    /// Ends a try, or the wait for an approval; `false` if the lease was lost or the step has another state.
    async fn end_step(&mut self, claim: &StepLease, end: &StepEnd, now: Timestamp) -> Result<bool, StoreError>;
    /// Puts a running step back for another try by the platform; `false` if the lease was lost.
    async fn retry_step_later(&mut self, claim: &StepLease, retry: &StepRetry) -> Result<bool, StoreError>;
    /// Gives a lease back before the try starts, so that it starts later.
    async fn postpone_step(&mut self, claim: &StepLease, due_at: Timestamp) -> Result<(), StoreError>;
    /// Locks a running step, and returns the approvals that it has asked for; `None` if the lease was lost.
    async fn lock_approvals(&mut self, claim: &StepLease) -> Result<Option<Vec<ApprovalId>>, StoreError>;
    /// Notes that a running step waits for an approval; `false` if the lease was lost.
    async fn add_approval(&mut self, claim: &StepLease, approval: ApprovalId) -> Result<bool, StoreError>;
    /// Gives a lease back without ending the try, so that another worker takes the step over at once.
    async fn release_step(&mut self, claim: &StepLease, now: Timestamp) -> Result<(), StoreError>;
    /// Skips a step that has not ended, and ends its lease; `false` if it has ended.
    async fn skip_step(
        &mut self,
        goal: GoalId,
        step: &str,
        error: &GoalError,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Makes a failed or skipped step pending again; keeps its approvals but for those that came to nothing; `false`
    /// if it has another state.
    async fn reopen_step(&mut self, goal: GoalId, step: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// Appends an event and wakes the workers.
    async fn append_event(
        &mut self,
        goal: GoalId,
        kind: GoalEventKind,
        data: &Value,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Up to `limit` events with a number above `after`, in order.
    async fn events(&mut self, goal: GoalId, after: u64, limit: u32) -> Result<Vec<GoalEvent>, StoreError>;
}

/// The exclusive right to work on a step until it expires. The token changes with each claim (fencing).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepLease {
    /// Id of the goal.
    pub goal: GoalId,
    /// Id of the step.
    pub step: String,
    /// Fencing token: the number of claims of this step.
    pub token: i64,
}

/// Work on a goal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GoalWork {
    /// Make the plan.
    Plan {
        /// Id of the goal.
        goal: GoalId,
        /// Fencing token: the number of claims of the planning.
        token: i64,
    },
    /// Execute a step.
    Execute(StepLease),
    /// End a step whose approvals have been decided and executed.
    Settle(StepLease),
}

/// Work that this process has leased.
#[derive(Clone, PartialEq, Debug)]
pub struct GoalClaim {
    /// Scope of the goal's user, in the session in which the goal was created.
    pub scope: TenantScope,
    /// What is to be done.
    pub work: GoalWork,
}

impl GoalWork {
    /// Id of the goal that the work is for.
    #[must_use]
    pub const fn goal(&self) -> GoalId {
        match self {
            Self::Plan { goal, .. } => *goal,
            Self::Execute(lease) | Self::Settle(lease) => lease.goal,
        }
    }
}

/// The work of all tenants' goals, accessed with a database role that sees ids but no content.
///
/// Fair scheduling: the tenant with the fewest leases is served first. A tenant never has more leases than the limit,
/// or than its own setting if that is lower.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait GoalQueue: Send + Sync {
    /// Claims work, if there is any: takes over what has an expired lease. `max_per_tenant` is the maximum number of
    /// leases of one tenant.
    ///
    /// # Errors
    /// If the database is not available.
    async fn claim(&self, max_per_tenant: u32, lease: Duration) -> Result<Option<GoalClaim>, StoreError>;

    /// Extends a lease; `false` if it was lost, the goal was cancelled or its tenant deactivated.
    ///
    /// # Errors
    /// If the database is not available.
    async fn heartbeat(&self, claim: &GoalClaim, lease: Duration) -> Result<bool, StoreError>;

    /// Waits until there may be work: for a notification, or at most `timeout`.
    async fn wait(&self, timeout: Duration);
}
