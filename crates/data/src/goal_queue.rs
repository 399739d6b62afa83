//! The queue of goals' work, claimed across all tenants with the worker's role, which gets ids and no content.

use crate::pool::Database;
use crate::statement::{DbRole, Scalar, Statement, row, statements};
use async_trait::async_trait;
use domain::ids::{GoalId, RequestId, TenantId, UserId};
use domain::ports::{GoalClaim, GoalQueue, GoalWork, JobQueue, StepLease, StoreError};
use domain::scope::{Actor, TenantScope};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

row! {
    struct ClaimRow, columns = claim_columns {
        tenant_id: Uuid,
        user_id: Uuid,
        session_id: Option<Uuid>,
        goal_id: Uuid,
        step_id: Option<String>,
        kind: String,
        lease_token: i64,
    }
}

statements! {
    CLAIM: ClaimRow = Statement::call(
        "claim_goal_work",
        "claiming work on a goal",
        concat!("SELECT ", claim_columns!(), " FROM claim_goal_work($1, make_interval(secs => $2))"),
    )
    .run_by(DbRole::Worker);
    HEARTBEAT: Scalar<bool> = Statement::call(
        "heartbeat_goal_work",
        "extending a lease of a goal",
        "SELECT heartbeat_goal_work($1, $2, $3, $4, make_interval(secs => $5))",
    )
    .run_by(DbRole::Worker);
}

/// The [`GoalQueue`] implementation for PostgreSQL. Connects as the worker's role.
#[derive(Clone)]
pub struct PgGoalQueue {
    database: Database,
    jobs: Arc<dyn JobQueue>,
}

impl PgGoalQueue {
    /// Creates a queue from a connection pool of the worker's role. `jobs` listens for the notifications that wake
    /// workers.
    #[must_use]
    pub fn new(database: Database, jobs: Arc<dyn JobQueue>) -> Self {
        Self { database, jobs }
    }
}

#[async_trait]
impl GoalQueue for PgGoalQueue {
    async fn claim(&self, max_per_tenant: u32, lease: Duration) -> Result<Option<GoalClaim>, StoreError> {
        let mut connection = self.database.acquire("claiming work on a goal").await?;
        let max = i32::try_from(max_per_tenant).unwrap_or(i32::MAX);
        let query = CLAIM.query().bind(max).bind(lease.as_secs_f64());
        let row: Option<ClaimRow> = query.fetch_optional(&mut connection).await?;
        Ok(row.map(ClaimRow::into_claim))
    }

    async fn heartbeat(&self, claim: &GoalClaim, lease: Duration) -> Result<bool, StoreError> {
        let (step, token) = match &claim.work {
            GoalWork::Plan { token, .. } => (None, *token),
            GoalWork::Execute(lease) | GoalWork::Settle(lease) => (Some(lease.step.as_str()), lease.token),
        };
        let mut connection = self.database.acquire("extending a lease of a goal").await?;
        let query = HEARTBEAT
            .query()
            .bind(claim.scope.tenant().as_uuid())
            .bind(claim.work.goal().as_uuid())
            .bind(step)
            .bind(token)
            .bind(lease.as_secs_f64());
        query.scalar(&mut connection).await
    }

    async fn wait(&self, timeout: Duration) {
        self.jobs.wait_for_job(timeout).await;
    }
}

impl ClaimRow {
    fn into_claim(self) -> GoalClaim {
        let (tenant, user) = (TenantId::from_uuid(self.tenant_id), UserId::from_uuid(self.user_id));
        #[expect(
            clippy::disallowed_methods,
            reason = "claimed work names its tenant and user; only this place may mint from it"
        )]
        let scope = TenantScope::mint(tenant, Actor::User(user), RequestId::from_uuid(self.goal_id));
        let scope = scope.in_session(self.session_id.map(Into::into));
        let (goal, token) = (GoalId::from_uuid(self.goal_id), self.lease_token);
        let work = match self.step_id {
            None => GoalWork::Plan { goal, token },
            Some(step) if self.kind == "settle" => GoalWork::Settle(StepLease { goal, step, token }),
            Some(step) => GoalWork::Execute(StepLease { goal, step, token }),
        };
        GoalClaim { scope, work }
    }
}
