//! Routes of goals: creating, editing and approving their plans, stopping them, and trying steps again.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields::{self, CitationBody};
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::sse::UsageBody;
use crate::state::AppState;
use axum::Json;
use axum::extract::Path;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use chrono::{DateTime, Utc};
use domain::command::{ApprovePlan, CancelGoal, CreateGoal, EditPlan, GetGoal, ListGoals, RetryStep};
use domain::error::ErrorKind;
use domain::goal::{Goal, GoalError, GoalWithPlan, PlanApproval, PlannedStep, Step, is_step_id};
use domain::ids::GoalId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
        .routes(routes!(edit))
        .routes(routes!(approve))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}

/// A goal, with its plan.
#[derive(Serialize, ToSchema)]
#[schema(as = Goal)]
struct GoalBody {
    id: Uuid,
    /// What you want, in your own words.
    objective: String,
    /// Whether the plan waits for your approval.
    #[schema(schema_with = fields::plan_approval)]
    approval: &'static str,
    #[schema(schema_with = fields::goal_status)]
    status: &'static str,
    /// Null while there is none.
    plan: Option<PlanBody>,
    /// The outputs of the steps that no other step depends on, once all steps have succeeded.
    result: Option<String>,
    /// Why it failed.
    error: Option<GoalErrorBody>,
    /// Tokens of all its model calls.
    usage: UsageBody,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A plan: a graph of steps.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
struct PlanBody {
    /// Counts up with each change.
    version: u32,
    steps: Vec<StepBody>,
}

/// A step of a plan, with its state.
#[derive(Serialize, ToSchema)]
#[schema(as = Step)]
struct StepBody {
    id: String,
    title: String,
    /// Name of the agent that executes it.
    agent: String,
    /// What the agent is told to do.
    instruction: String,
    /// Ids of the steps whose outputs it gets.
    depends_on: Vec<String>,
    #[schema(schema_with = fields::step_status)]
    status: &'static str,
    /// Number of tries.
    attempts: u32,
    /// What it found out.
    output: Option<String>,
    /// Passages and readings that the output cites.
    citations: Vec<CitationBody>,
    /// Why it failed, was skipped, or is tried again.
    error: Option<GoalErrorBody>,
    /// Approvals that it asked for.
    approvals: Vec<Uuid>,
    /// The highest classification of what the output is based on.
    #[schema(schema_with = fields::classification)]
    classification: &'static str,
}

/// Why a goal or a step failed.
#[derive(Serialize, ToSchema)]
#[schema(as = GoalError)]
struct GoalErrorBody {
    code: String,
    detail: String,
}

/// A new goal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "objective": "Compare last month's trips of P-101 with the manual's limits.", "approval": "required"
}))]
struct NewGoal {
    /// What you want.
    #[schema(min_length = 1, max_length = 4000)]
    objective: String,
    /// Whether the plan waits for your approval. `required` by default; a plan that may write always waits.
    #[schema(schema_with = fields::plan_approval_or_null)]
    approval: Option<PlanApproval>,
}

/// A changed plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanChange {
    /// The version that you read.
    #[schema(minimum = 1)]
    version: u32,
    /// All steps of the new version.
    #[schema(min_items = 1, max_items = 20)]
    steps: Vec<PlannedStepBody>,
}

/// A step as it is planned.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlannedStep)]
struct PlannedStepBody {
    /// Unique within the plan.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_.-]+$")]
    id: String,
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    /// Name of one of your agents.
    #[schema(min_length = 1, max_length = 64)]
    agent: String,
    #[schema(min_length = 1, max_length = 4000)]
    instruction: String,
    #[serde(default)]
    #[schema(max_items = 20)]
    depends_on: Vec<String>,
}

/// Approval of a plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanDecision {
    /// The version that you read.
    #[schema(minimum = 1)]
    version: u32,
}

/// Page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GoalQuery {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<GoalWithPlan> for GoalBody {
    fn from(GoalWithPlan { goal, steps }: GoalWithPlan) -> Self {
        let Goal { id, objective, approval, status, plan_version, result, error, usage, .. } = goal;
        let plan = (plan_version > 0)
            .then(|| PlanBody { version: plan_version, steps: steps.into_iter().map(Into::into).collect() });
        Self {
            id: id.as_uuid(),
            objective,
            approval: approval.as_str(),
            status: status.as_str(),
            plan,
            result,
            error: error.map(Into::into),
            usage: usage.into(),
            created_at: goal.created_at,
            updated_at: goal.updated_at,
        }
    }
}

impl From<Step> for StepBody {
    fn from(step: Step) -> Self {
        let PlannedStep { id, title, agent, instruction, depends_on } = step.plan;
        Self {
            id,
            title,
            agent,
            instruction,
            depends_on,
            status: step.status.as_str(),
            attempts: step.attempts,
            output: step.output,
            citations: step.citations.into_iter().map(Into::into).collect(),
            error: step.error.map(Into::into),
            approvals: step.approvals.iter().map(domain::ids::ApprovalId::as_uuid).collect(),
            classification: step.classification.as_str(),
        }
    }
}

impl From<GoalError> for GoalErrorBody {
    fn from(GoalError { code, detail }: GoalError) -> Self {
        Self { code, detail }
    }
}

impl From<PlannedStepBody> for PlannedStep {
    fn from(step: PlannedStepBody) -> Self {
        let PlannedStepBody { id, title, agent, instruction, depends_on } = step;
        Self { id, title, agent, instruction, depends_on }
    }
}

/// Lists your goals, newest first.
#[utoipa::path(
    get, path = "/v1/goals", tag = "goals", params(GoalQuery), responses((status = 200, body = Listing<GoalBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<GoalQuery>,
) -> Result<Json<Listing<GoalBody>>, ApiError> {
    let command = ListGoals { page: page::parse(query.limit, query.cursor.as_deref())? };
    Ok(Json(Listing::from_page(call.execute(command).await?, Into::into)))
}

/// Creates a goal. A worker then makes a plan, which waits for your approval unless you ask otherwise.
#[utoipa::path(
    post, path = "/v1/goals", tag = "goals", request_body = NewGoal,
    responses((status = 201, body = GoalBody, headers(("location" = String))))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewGoal>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<GoalBody>), ApiError> {
    let command = CreateGoal {
        objective: fields::parse_text("/objective", &body.objective)?,
        approval: body.approval.unwrap_or(PlanApproval::Required),
    };
    let created = call.execute(command).await?;
    let location = format!("/v1/goals/{}", created.goal.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(created.into())))
}

/// Returns a goal, with its plan and the state of each step.
#[utoipa::path(
    get, path = "/v1/goals/{id}", tag = "goals", params(("id" = Uuid, Path)),
    responses((status = 200, body = GoalBody))
)]
async fn get(call: AuthenticatedRequest, PathId(id): PathId<GoalId>) -> Result<Json<GoalBody>, ApiError> {
    Ok(Json(call.execute(GetGoal { id }).await?.into()))
}

/// Replaces the plan of a goal that awaits approval. Earlier versions are kept.
#[utoipa::path(
    patch, path = "/v1/goals/{id}/plan", tag = "goals", params(("id" = Uuid, Path)), request_body = PlanChange,
    responses((status = 200, body = GoalBody))
)]
async fn edit(
    call: AuthenticatedRequest,
    PathId(id): PathId<GoalId>,
    ApiJson(body): ApiJson<PlanChange>,
) -> Result<Json<GoalBody>, ApiError> {
    let PlanChange { version, steps } = body;
    let command = EditPlan { id, version, steps: steps.into_iter().map(Into::into).collect() };
    Ok(Json(call.execute(command).await?.into()))
}

/// Approves a plan and starts its execution. 409 `stale_version` if it was changed since you read it.
#[utoipa::path(
    post, path = "/v1/goals/{id}/approve", tag = "goals", params(("id" = Uuid, Path)), request_body = PlanDecision,
    responses((status = 200, body = GoalBody))
)]
async fn approve(
    call: AuthenticatedRequest,
    PathId(id): PathId<GoalId>,
    ApiJson(body): ApiJson<PlanDecision>,
) -> Result<Json<GoalBody>, ApiError> {
    Ok(Json(call.execute(ApprovePlan { id, version: body.version }).await?.into()))
}

/// Stops a goal. Steps in progress end, and requests for approval are withdrawn.
#[utoipa::path(
    post, path = "/v1/goals/{id}/cancel", tag = "goals", params(("id" = Uuid, Path)),
    responses((status = 200, body = GoalBody))
)]
async fn cancel(call: AuthenticatedRequest, PathId(id): PathId<GoalId>) -> Result<Json<GoalBody>, ApiError> {
    Ok(Json(call.execute(CancelGoal { id }).await?.into()))
}

/// Tries a step that failed again, without a new plan. Steps that succeeded stay as they are. 409 `attempts_exhausted`
/// after three tries.
#[utoipa::path(
    post, path = "/v1/goals/{id}/steps/{step}/retry", tag = "goals",
    params(("id" = Uuid, Path), ("step" = String, Path)), responses((status = 200, body = GoalBody))
)]
async fn retry(
    call: AuthenticatedRequest,
    Path((id, step)): Path<(String, String)>,
) -> Result<Json<GoalBody>, ApiError> {
    if !is_step_id(&step) {
        return Err(ApiError::from_kind(ErrorKind::NotFound));
    }
    // As with other ids, text that is no UUID is the id of nothing.
    let id = Uuid::parse_str(&id).unwrap_or(Uuid::max()).into();
    Ok(Json(call.execute(RetryStep { id, step }).await?.into()))
}
