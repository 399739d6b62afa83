//! Routes that explain a refusal, and simulate a decision of the policy gate.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::state::AppState;
use axum::Json;
use chrono::{DateTime, Utc};
use domain::audit::AuditRecord;
use domain::command::{ReadDecision, SimulateDecision, Target};
use domain::decision::{Decision, RefusalCode, Rule, RuleResult, Verdict};
use domain::ids::AuditId;
use domain::role::{Grant, Operation, Resource};
use domain::user::Entitlements;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read_decision)).routes(routes!(simulate))
}

/// A decision to simulate: whether the user may perform the operation on the resource.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "user_id": "0197b2c0-7c1e-7000-8000-000000000001", "resource": "documents", "operation": "read",
    "resource_id": "0197b2c0-7c1e-7000-8000-000000000002"
}))]
struct Simulation {
    user_id: Uuid,
    #[schema(schema_with = fields::resource)]
    resource: Resource,
    #[schema(schema_with = fields::operation)]
    operation: Operation,
    /// Id of one conversation, document, memory, user or tenant. Must be missing for other resources.
    resource_id: Option<Uuid>,
}

/// A simulated decision, with its reasons.
#[derive(Serialize, ToSchema)]
#[schema(as = Simulated)]
struct SimulatedBody {
    allowed: bool,
    /// The rule that refuses; null if the operation is allowed.
    #[schema(schema_with = fields::rule_or_null)]
    rule: Option<&'static str>,
    /// Reason code of the refusal, as in the audit log.
    reason: Option<&'static str>,
    /// `code` of the problem document that the user would receive.
    code: Option<&'static str>,
    /// Results of the rules, in order, up to the one that decides.
    steps: Vec<StepBody>,
    /// Null if the user does not exist.
    standing: Option<EntitlementsBody>,
}

/// The result of one rule.
#[derive(Serialize, ToSchema)]
#[schema(as = DecisionStep)]
struct StepBody {
    #[schema(schema_with = fields::rule)]
    rule: &'static str,
    passed: bool,
    /// The reason for the result, as a sentence.
    detail: String,
}

/// A user's role, grants and clearance at the time of the decision.
#[derive(Serialize, ToSchema)]
#[schema(as = Standing)]
struct EntitlementsBody {
    #[schema(schema_with = fields::role)]
    role: &'static str,
    /// Privileges in addition to the role.
    #[schema(value_type = Vec<String>)]
    grants: Vec<&'static str>,
    /// The highest classification that the user may see.
    #[schema(schema_with = fields::classification)]
    clearance: &'static str,
}

/// A refusal, as recorded in the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = Decision)]
struct DecisionBody {
    decision_id: Uuid,
    decided_at: DateTime<Utc>,
    /// The user who was refused; null if the token did not identify a user.
    user_id: Option<Uuid>,
    /// Event type of the refusal.
    event_type: String,
    /// Event type that the operation would have had.
    attempted: Option<String>,
    resource: Option<String>,
    operation: Option<String>,
    resource_id: Option<Uuid>,
    /// The rule that refused; null if the use case refused.
    #[schema(schema_with = fields::rule_or_null)]
    rule: Option<&'static str>,
    /// Reason code of the refusal.
    reason: Option<String>,
    /// Results of the rules, in order, up to the one that decided. If the target was not found, they do not show
    /// whether it is missing or hidden from the user. A simulation does.
    steps: Vec<StepBody>,
    standing: Option<EntitlementsBody>,
    /// `x-request-id` of the refused request.
    request_id: Option<String>,
}

impl From<RuleResult> for StepBody {
    fn from(step: RuleResult) -> Self {
        Self { rule: step.rule.as_str(), passed: step.passed, detail: step.detail }
    }
}

impl From<Entitlements> for EntitlementsBody {
    fn from(entitlements: Entitlements) -> Self {
        Self {
            role: entitlements.role.as_str(),
            grants: entitlements.grants.into_iter().map(Grant::as_str).collect(),
            clearance: entitlements.clearance.as_str(),
        }
    }
}

impl From<Decision> for SimulatedBody {
    fn from(decision: Decision) -> Self {
        let code = match decision.verdict {
            Verdict::Allowed => None,
            Verdict::CallerRefused { code } => Some(code.as_str()),
            Verdict::OperationDenied { .. } => Some("policy_denied"),
            Verdict::NotFound => Some("not_found"),
        };
        Self {
            allowed: decision.verdict == Verdict::Allowed,
            rule: decision.refusing_rule().map(Rule::as_str),
            reason: decision.verdict.reason().map(RefusalCode::as_str),
            code,
            steps: decision.rule_results.into_iter().map(Into::into).collect(),
            standing: decision.entitlements.map(Into::into),
        }
    }
}

impl From<AuditRecord> for DecisionBody {
    fn from(row: AuditRecord) -> Self {
        let text = |name: &str| row.metadata[name].as_str().map(str::to_owned);
        let steps: Vec<RuleResult> = parse(&row.metadata["steps"]).unwrap_or_default();
        let entitlements: Option<Entitlements> = parse(&row.metadata["standing"]);
        Self {
            decision_id: row.id.as_uuid(),
            decided_at: row.created_at,
            user_id: row.user_id.map(|id| id.as_uuid()),
            attempted: text("attempted"),
            operation: text("operation"),
            rule: parse::<Rule>(&row.metadata["rule"]).map(Rule::as_str),
            reason: text("reason"),
            event_type: row.event_type,
            resource: row.resource_type,
            resource_id: row.resource_id,
            steps: steps.into_iter().map(Into::into).collect(),
            standing: entitlements.map(Into::into),
            request_id: row.request_id.map(|id| id.to_string()),
        }
    }
}

/// Parses a part of a row's metadata. Returns `None` if it is missing or invalid, as in rows written by other versions.
fn parse<T: for<'a> Deserialize<'a>>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

/// Explains why a request was refused. For admins and auditors.
///
/// The id is the `decision_id` in the problem document of the refusal.
#[utoipa::path(
    get, path = "/v1/admin/decisions/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = DecisionBody))
)]
async fn read_decision(
    call: AuthenticatedRequest,
    PathId(id): PathId<AuditId>,
) -> Result<Json<DecisionBody>, ApiError> {
    let row = call.execute(ReadDecision { id }).await?;
    Ok(Json(row.into()))
}

/// Simulates a decision, without executing the operation. For admins and auditors.
#[utoipa::path(
    post, path = "/v1/admin/decisions/simulate", tag = "admin", request_body = Simulation,
    responses((status = 200, body = SimulatedBody))
)]
async fn simulate(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<Simulation>,
) -> Result<Json<SimulatedBody>, ApiError> {
    let Simulation { user_id, resource, operation, resource_id } = body;
    if resource_id.is_some_and(|id| Target::from_resource(resource, id).is_none()) {
        return Err(ApiError::invalid_field(
            "/resource_id",
            format!("must be left out: decisions on {resource} do not depend on an id"),
        ));
    }
    let command = SimulateDecision { user: user_id.into(), resource, operation, resource_id };
    let decision = call.execute(command).await?;
    Ok(Json(decision.into()))
}
