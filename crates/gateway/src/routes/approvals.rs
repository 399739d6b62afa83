//! Routes of approvals: requests for writes, and the decisions of people on them.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::{self, Listing};
use crate::problem::ProblemDocument;
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use chrono::{DateTime, Utc};
use domain::approval::{
    Approval, ApprovalDecision, ApprovalFilter, ApprovalRole, ApprovalStatus, ApproverVerdict, ExecutionError,
};
use domain::command::{CancelApproval, DecideApproval, GetApproval, ListApprovals};
use domain::ids::ApprovalId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(decide)).routes(routes!(cancel))
}

/// A request for approval of one write.
#[derive(Serialize, ToSchema)]
#[schema(as = Approval)]
struct ApprovalBody {
    id: Uuid,
    /// Name of the tool.
    tool: String,
    /// Version of the tool's behaviour.
    tool_version: u32,
    /// What the write changes, in the plant's own notation.
    target: String,
    /// The exact arguments of the call.
    #[schema(value_type = Object)]
    arguments: Value,
    /// Description of what the write will do.
    #[schema(value_type = Object)]
    preview: Value,
    /// `sha256:` and the hex SHA-256 of tool, tool_version, target, arguments, requested_by and policy_version as
    /// canonical JSON (RFC 8785). A decision names the digest of what was read.
    digest: String,
    /// The requester's reason for the write.
    reason: Option<String>,
    /// The user who requested it, and who cannot approve it.
    requested_by: Uuid,
    #[schema(schema_with = fields::approval_status)]
    status: &'static str,
    /// Number of users who must approve.
    required: u32,
    /// Version of the policy under which it was requested.
    policy_version: i64,
    decisions: Vec<DecisionBody>,
    expires_at: DateTime<Utc>,
    /// The record that the execution created.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    error: Option<ExecutionErrorBody>,
    created_at: DateTime<Utc>,
}

/// One approver's decision.
#[derive(Serialize, ToSchema)]
#[schema(as = ApprovalDecision)]
struct DecisionBody {
    by: Uuid,
    #[schema(schema_with = fields::approver_verdict)]
    decision: &'static str,
    comment: Option<String>,
    at: DateTime<Utc>,
}

/// Why an approved write was not executed.
#[derive(Serialize, ToSchema)]
#[schema(as = ExecutionError)]
struct ExecutionErrorBody {
    code: String,
    detail: String,
}

/// A decision on a request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"decision": "approve", "digest": "sha256:…", "comment": "Spare part is in store 4."}))]
struct NewDecision {
    #[schema(schema_with = fields::approver_verdict)]
    decision: ApproverVerdict,
    /// Digest of the request as you read it.
    #[schema(min_length = 1, max_length = 128)]
    digest: String,
    #[schema(min_length = 1, max_length = 2000)]
    comment: Option<String>,
}

/// Filter and page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ApprovalQuery {
    /// Only requests with this status.
    #[param(schema_with = fields::approval_status)]
    status: Option<ApprovalStatus>,
    /// Only requests that you made or may decide on.
    #[param(schema_with = fields::approval_role)]
    role: Option<ApprovalRole>,
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<Approval> for ApprovalBody {
    fn from(approval: Approval) -> Self {
        Self {
            id: approval.id.as_uuid(),
            tool: approval.tool,
            tool_version: approval.tool_version,
            target: approval.target,
            arguments: approval.arguments,
            preview: approval.preview,
            digest: approval.digest,
            reason: approval.reason,
            requested_by: approval.requested_by.as_uuid(),
            status: approval.status.as_str(),
            required: approval.terms.quorum,
            policy_version: approval.policy_version,
            decisions: approval.decisions.into_iter().map(Into::into).collect(),
            expires_at: approval.expires_at,
            result: approval.result,
            error: approval.error.map(|ExecutionError { code, detail }| ExecutionErrorBody { code, detail }),
            created_at: approval.created_at,
        }
    }
}

impl From<ApprovalDecision> for DecisionBody {
    fn from(decision: ApprovalDecision) -> Self {
        let ApprovalDecision { by, verdict, comment, at } = decision;
        Self { by: by.as_uuid(), decision: verdict.as_str(), comment, at }
    }
}

/// Lists the requests that you made, may decide on, or administer, newest first.
#[utoipa::path(
    get, path = "/v1/approvals", tag = "tools", params(ApprovalQuery),
    responses((status = 200, body = Listing<ApprovalBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<ApprovalQuery>,
) -> Result<Json<Listing<ApprovalBody>>, ApiError> {
    let filter = ApprovalFilter { status: query.status, role: query.role };
    let command = ListApprovals { filter, page: page::parse(query.limit, query.cursor.as_deref())? };
    let approvals = call.execute(command).await?;
    Ok(Json(Listing::from_page(approvals, Into::into)))
}

/// Returns a request, with its decisions and its outcome.
#[utoipa::path(
    get, path = "/v1/approvals/{id}", tag = "tools", params(("id" = Uuid, Path)),
    responses((status = 200, body = ApprovalBody))
)]
async fn get(call: AuthenticatedRequest, PathId(id): PathId<ApprovalId>) -> Result<Json<ApprovalBody>, ApiError> {
    Ok(Json(call.execute(GetApproval { id }).await?.into()))
}

/// Decides on a request, as one of its approvers. Requires a recent sign-in, after the request was made.
///
/// If the sign-in is too old, the response is 401 `step_up_required`: sign in again and repeat the request with the new
/// token. The requester, programs and those whom the policy does not name are refused.
#[utoipa::path(
    post, path = "/v1/approvals/{id}/decision", tag = "tools", params(("id" = Uuid, Path)), request_body = NewDecision,
    responses(
        (status = 200, body = ApprovalBody),
        (status = 410, description = "The request has expired", body = ProblemDocument,
            content_type = "application/problem+json")
    )
)]
async fn decide(
    call: AuthenticatedRequest,
    PathId(id): PathId<ApprovalId>,
    ApiJson(body): ApiJson<NewDecision>,
) -> Result<Json<ApprovalBody>, ApiError> {
    let command = DecideApproval {
        id,
        verdict: body.decision,
        digest: body.digest,
        comment: fields::parse_optional_text("/comment", body.comment.as_deref())?,
    };
    Ok(Json(call.execute(command).await?.into()))
}

/// Withdraws a request that you made and that is still pending.
#[utoipa::path(
    post, path = "/v1/approvals/{id}/cancel", tag = "tools", params(("id" = Uuid, Path)),
    responses((status = 200, body = ApprovalBody))
)]
async fn cancel(call: AuthenticatedRequest, PathId(id): PathId<ApprovalId>) -> Result<Json<ApprovalBody>, ApiError> {
    Ok(Json(call.execute(CancelApproval { id }).await?.into()))
}
