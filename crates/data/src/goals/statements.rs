//! The statements on goals, their plans, steps and events, and the rows that they return.

use crate::rows::{TextEnum, non_negative};
use crate::statement::{Scalar, Statement, row, statements};
use domain::access_token::TokenScope;
use domain::conversation::{Citation, Sources};
use domain::goal::{
    Goal, GoalCredential, GoalError, GoalEvent, GoalEventKind, GoalStatus, PlanApproval, PlannedStep, Step, StepStatus,
};
use domain::ports::StepOfGoal;
use domain::role::Classification;
use domain::run::TokenUsage;
use domain::time::Timestamp;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

row! {
    pub(super) struct GoalRow, columns = goal_columns {
        id: Uuid,
        objective: String,
        approval: TextEnum<PlanApproval>,
        status: TextEnum<GoalStatus>,
        plan_version: i32,
        session_id: Option<Uuid>,
        access_token_id: Option<Uuid>,
        scopes: Vec<String>,
        result: Option<String>,
        classification: TextEnum<Classification>,
        error: Option<Json<GoalError>>,
        input_tokens: i64,
        output_tokens: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

row! {
    pub(super) struct StepRow, columns = step_columns {
        goal_id: Uuid,
        id: String,
        title: String,
        agent: String,
        instruction: String,
        depends_on: Vec<String>,
        status: TextEnum<StepStatus>,
        attempts: i16,
        interruptions: i16,
        retried: bool,
        output: Option<String>,
        citations: Json<Vec<Citation>>,
        sources: Json<Sources>,
        classification: TextEnum<Classification>,
        error: Option<Json<GoalError>>,
        approval_ids: Vec<Uuid>,
        agent_digest: Option<String>,
    }
}

row! {
    pub(super) struct EventRow, columns = event_columns {
        seq: i64,
        kind: TextEnum<GoalEventKind>,
        data: Value,
    }
}

statements! {
    pub(super) INSERT: () = Statement::insert(
        "goals",
        "storing a goal",
        "INSERT INTO goals (id, tenant_id, user_id, objective, approval, session_id, access_token_id, scopes,
         created_at,
                            updated_at)
         VALUES ($1, app_tenant(), app_user(), $2, $3, $4, $5, $6, $7, $7)",
    );
    pub(super) GET: GoalRow = Statement::select(
        "goals",
        "reading a goal",
        concat!("SELECT ", goal_columns!(), " FROM goals WHERE id = $1"),
    );
    pub(super) LOCK: GoalRow = Statement::select(
        "goals",
        "locking a goal",
        concat!("SELECT ", goal_columns!(), " FROM goals WHERE id = $1 FOR NO KEY UPDATE"),
    );
    pub(super) LIST: GoalRow = Statement::select(
        "goals",
        "listing goals",
        concat!(
            "SELECT ",
            goal_columns!(),
            " FROM goals
             WHERE (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    pub(super) OPEN_COUNT: Scalar<i64> = Statement::select(
        "goals",
        "counting open goals",
        "SELECT count(*) FROM goals WHERE status IN ('planning', 'awaiting_approval', 'running')",
    );
    pub(super) STEPS: StepRow = Statement::select(
        "goal_steps",
        "reading the steps of goals",
        concat!("SELECT ", step_columns!(), " FROM goal_steps WHERE goal_id = ANY($1) ORDER BY goal_id, position"),
    );
    pub(super) COUNT_VERSION: () = Statement::update(
        "goals",
        "counting a version of a plan",
        "UPDATE goals SET plan_version = plan_version + 1, updated_at = $2 WHERE id = $1",
    );
    pub(super) INSERT_PLAN: () = Statement::insert(
        "goal_plans",
        "storing a plan",
        "INSERT INTO goal_plans (tenant_id, goal_id, user_id, version, steps, author, created_at)
         SELECT tenant_id, id, user_id, plan_version, $2, $3, $4 FROM goals WHERE id = $1",
    );
    pub(super) DELETE_STEPS: () = Statement::delete(
        "goal_steps",
        "replacing the steps of a plan",
        "DELETE FROM goal_steps WHERE goal_id = $1",
    );
    pub(super) INSERT_STEP: () = Statement::insert(
        "goal_steps",
        "storing a step",
        "INSERT INTO goal_steps (tenant_id, goal_id, user_id, id, position, title, agent, instruction, depends_on,
         due_at)
         VALUES (app_tenant(), $1, app_user(), $2, $3, $4, $5, $6, $7, $8)",
    );
    pub(super) APPROVE_AGENTS: () = Statement::update(
        "goal_steps",
        "storing the agents that were approved",
        "UPDATE goal_steps SET agent_digest = approved.digest
         FROM unnest($2::text[], $3::text[]) AS approved (id, digest)
         WHERE goal_id = $1 AND goal_steps.id = approved.id",
    );
    pub(super) TRANSITION: () = Statement::update(
        "goals",
        "changing the state of a goal",
        "UPDATE goals SET status = $3, error = $4, result = $5, classification = $6, updated_at = $7
         WHERE id = $1 AND status = $2",
    );
    pub(super) ADD_USAGE: () = Statement::update(
        "goals",
        "adding the usage of a goal",
        "UPDATE goals SET input_tokens = input_tokens + $2, output_tokens = output_tokens + $3 WHERE id = $1",
    );
    pub(super) HOLDS_PLANNING: Scalar<i32> = Statement::select(
        "goals",
        "checking the lease of a planning",
        "SELECT 1 FROM goals WHERE id = $1 AND lease_token = $2 AND status = 'planning'",
    );
    /// A step that is running was interrupted: its worker's lease expired.
    pub(super) START_STEP: () = Statement::update(
        "goal_steps",
        "starting a step",
        "UPDATE goal_steps
         SET status = 'running', attempts = attempts + 1,
             interruptions = interruptions + CASE status WHEN 'running' THEN 1 ELSE 0 END,
             error = NULL, started_at = $4, finished_at = NULL
         WHERE goal_id = $1 AND id = $2 AND lease_token = $3 AND status IN ('pending', 'running')",
    );
    pub(super) END_STEP: () = Statement::update(
        "goal_steps",
        "ending a step",
        "UPDATE goal_steps
         SET status = $4, output = $5, citations = $6, sources = $7, classification = $8, error = $9,
             leased_until = NULL, finished_at = $10
         WHERE goal_id = $1 AND id = $2 AND lease_token = $3
           AND status IN ('pending', 'running', 'waiting_approval') AND status <> $4",
    );
    pub(super) RETRY_STEP_LATER: () = Statement::update(
        "goal_steps",
        "putting a step back",
        "UPDATE goal_steps
         SET status = 'pending', retried = true, due_at = $4, error = $5, leased_until = NULL
         WHERE goal_id = $1 AND id = $2 AND lease_token = $3 AND status = 'running'",
    );
    pub(super) POSTPONE_STEP: () = Statement::update(
        "goal_steps",
        "postponing a step",
        "UPDATE goal_steps SET due_at = $4, leased_until = NULL
         WHERE goal_id = $1 AND id = $2 AND lease_token = $3 AND status IN ('pending', 'running')",
    );
    pub(super) LOCK_APPROVALS: Scalar<Vec<Uuid>> = Statement::select(
        "goal_steps",
        "reading the approvals of a step",
        "SELECT approval_ids FROM goal_steps
         WHERE goal_id = $1 AND id = $2 AND lease_token = $3 AND status = 'running' FOR UPDATE",
    );
    pub(super) ADD_APPROVAL: () = Statement::update(
        "goal_steps",
        "noting an approval of a step",
        "UPDATE goal_steps SET approval_ids = approval_ids || $4::uuid
         WHERE goal_id = $1 AND id = $2 AND lease_token = $3 AND status = 'running'",
    );
    pub(super) RELEASE_STEP: () = Statement::update(
        "goal_steps",
        "releasing a step",
        "UPDATE goal_steps SET leased_until = $4 WHERE goal_id = $1 AND id = $2 AND lease_token = $3",
    );
    pub(super) SKIP_STEP: () = Statement::update(
        "goal_steps",
        "skipping a step",
        "UPDATE goal_steps
         SET status = 'skipped', error = $3, finished_at = $4, leased_until = NULL, lease_token = lease_token + 1
         WHERE goal_id = $1 AND id = $2 AND status IN ('pending', 'running', 'waiting_approval')",
    );
    pub(super) REOPEN_STEP: () = Statement::update(
        "goal_steps",
        "reopening a step",
        "UPDATE goal_steps
         SET status = 'pending', error = NULL, output = NULL, retried = false,
             approval_ids = ARRAY (SELECT a.id FROM approvals a
                                   WHERE a.id = ANY (goal_steps.approval_ids)
                                     AND a.status NOT IN ('failed', 'rejected', 'expired', 'cancelled')),
             due_at = $3, finished_at = NULL, leased_until = NULL
         WHERE goal_id = $1 AND id = $2 AND status IN ('failed', 'skipped')",
    );
    /// PostgreSQL sends the notification on commit.
    pub(super) APPEND_EVENT: () = Statement::insert(
        "goal_events",
        "storing an event of a goal",
        "WITH numbered AS (
             UPDATE goals SET event_seq = event_seq + 1 WHERE id = $1 RETURNING tenant_id, id, user_id, event_seq),
         stored AS (
             INSERT INTO goal_events (tenant_id, goal_id, user_id, seq, kind, data, created_at)
             SELECT tenant_id, id, user_id, event_seq, $2, $3, $4 FROM numbered)
         SELECT pg_notify('platform_jobs', '')",
    );
    pub(super) EVENTS: EventRow = Statement::select(
        "goal_events",
        "reading events of a goal",
        concat!(
            "SELECT ",
            event_columns!(),
            " FROM goal_events WHERE goal_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"
        ),
    );
}

impl From<GoalRow> for Goal {
    fn from(row: GoalRow) -> Self {
        let tokens = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            id: row.id.into(),
            objective: row.objective,
            approval: row.approval.0,
            status: row.status.0,
            plan_version: u32::try_from(row.plan_version).unwrap_or_default(),
            credential: GoalCredential {
                session: row.session_id.map(Into::into),
                access_token: row.access_token_id.map(Into::into),
                // A scope that no longer exists allows nothing.
                scopes: row.scopes.iter().filter_map(|scope| scope.parse::<TokenScope>().ok()).collect(),
            },
            result: row.result,
            classification: row.classification.0,
            error: row.error.map(|Json(error)| error),
            usage: TokenUsage { input_tokens: tokens(row.input_tokens), output_tokens: tokens(row.output_tokens) },
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl From<StepRow> for StepOfGoal {
    fn from(row: StepRow) -> Self {
        let count = |number: i16| u32::try_from(number).unwrap_or_default();
        let plan = PlannedStep {
            id: row.id,
            title: row.title,
            agent: row.agent,
            instruction: row.instruction,
            depends_on: row.depends_on,
        };
        let step = Step {
            plan,
            status: row.status.0,
            attempts: count(row.attempts),
            output: row.output,
            citations: row.citations.0,
            sources: row.sources.0,
            classification: row.classification.0,
            error: row.error.map(|Json(error)| error),
            approvals: row.approval_ids.into_iter().map(Into::into).collect(),
            is_retried: row.retried,
            interruptions: count(row.interruptions),
            agent_digest: row.agent_digest,
        };
        Self { goal: row.goal_id.into(), step }
    }
}

impl From<EventRow> for GoalEvent {
    fn from(row: EventRow) -> Self {
        Self { seq: non_negative(row.seq), kind: row.kind.0, data: row.data }
    }
}
