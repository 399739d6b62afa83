//! Routes of approval policies, which determine who approves the writes of a tool.

use super::tools::parse_tool_name;
use crate::body::ApiJson;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::merge_patch::check_range;
use crate::state::AppState;
use axum::Json;
use axum::extract::Path;
use chrono::{DateTime, Utc};
use domain::approval::{ApprovalPolicy, ExpiryAction, PolicyTerms};
use domain::command::{GetApprovalPolicy, PutApprovalPolicy};
use domain::ids::{ChannelId, UserId};
use domain::role::Grant;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// A new approval policy. Fields that are missing have the platform's defaults.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"approvers": {"user_ids": [], "grant": "approver"}, "quorum": 2, "expires_after_s": 28800}))]
struct NewPolicy {
    /// By default, everybody with the grant `approver`.
    approvers: Option<NewApprovers>,
    /// Number of different users who must approve.
    #[schema(minimum = 1, maximum = 20, default = 1)]
    quorum: Option<u32>,
    /// Time that a request waits for decisions, in seconds.
    #[schema(minimum = 1, maximum = 7776000, default = 86400)]
    expires_after_s: Option<u32>,
    /// What happens if nobody decides in time.
    #[schema(schema_with = expiry_action_or_null)]
    on_expiry: Option<ExpiryAction>,
    /// Users who may approve as well once a request was escalated.
    escalate_to: Option<NewEscalation>,
    /// Channels that are notified of requests and of their outcomes.
    #[schema(max_items = 20)]
    channels: Option<Vec<Uuid>>,
    /// Maximum age of an approver's sign-in, in seconds.
    #[schema(minimum = 1, maximum = 86400, default = 300)]
    max_auth_age_s: Option<u32>,
}

/// Who may approve.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewApprovers {
    #[serde(default)]
    #[schema(max_items = 100)]
    user_ids: Vec<Uuid>,
    /// `approver`: everybody with this grant may approve. Null: only the users.
    #[schema(schema_with = approver_grant_or_null)]
    grant: Option<Grant>,
}

/// Who may approve as well once a request was escalated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewEscalation {
    #[serde(default)]
    #[schema(max_items = 100)]
    user_ids: Vec<Uuid>,
}

/// The approval policy on a tool.
#[derive(Serialize, ToSchema)]
#[schema(as = ApprovalPolicy)]
struct PolicyBody {
    tool: String,
    /// 0 for the platform's default; incremented with each change.
    version: i64,
    approvers: ApproversBody,
    quorum: u32,
    expires_after_s: u32,
    #[schema(schema_with = fields::expiry_action)]
    on_expiry: &'static str,
    escalate_to: EscalationBody,
    channels: Vec<Uuid>,
    max_auth_age_s: u32,
    /// Null for the platform's default.
    updated_at: Option<DateTime<Utc>>,
}

/// Who may approve.
#[derive(Serialize, ToSchema)]
#[schema(as = Approvers)]
struct ApproversBody {
    user_ids: Vec<Uuid>,
    #[schema(schema_with = approver_grant_or_null)]
    grant: Option<&'static str>,
}

/// Who may approve as well once a request was escalated.
#[derive(Serialize, ToSchema)]
#[schema(as = Escalation)]
struct EscalationBody {
    user_ids: Vec<Uuid>,
}

fn approver_grant_or_null() -> RefOr<Schema> {
    fields::enum_schema(std::iter::once(Grant::Approver.as_str()), true)
}

fn expiry_action_or_null() -> RefOr<Schema> {
    fields::enum_schema(ExpiryAction::ALL.iter().map(|action| action.as_str()), true)
}

impl NewPolicy {
    fn parse(self) -> Result<PolicyTerms, ApiError> {
        let default = PolicyTerms::platform_default();
        let (approvers, allows_any_approver) = match self.approvers {
            None => (default.approvers, default.allows_any_approver),
            Some(approvers) => {
                let has_grant = match approvers.grant {
                    None => false,
                    Some(Grant::Approver) => true,
                    Some(_) => return Err(ApiError::invalid_field("/approvers/grant", "must be approver or null")),
                };
                (parse_users("/approvers/user_ids", approvers.user_ids)?, has_grant)
            }
        };
        let escalate_to = self.escalate_to.map(|escalation| escalation.user_ids).unwrap_or_default();
        Ok(PolicyTerms {
            approvers,
            allows_any_approver,
            quorum: number("/quorum", self.quorum, default.quorum, PolicyTerms::MAX_QUORUM)?,
            expires_after_s: number(
                "/expires_after_s",
                self.expires_after_s,
                default.expires_after_s,
                PolicyTerms::MAX_EXPIRY_S,
            )?,
            on_expiry: self.on_expiry.unwrap_or(default.on_expiry),
            escalate_to: parse_users("/escalate_to/user_ids", escalate_to)?,
            channels: parse_channels(self.channels.unwrap_or_default())?,
            max_auth_age_s: number(
                "/max_auth_age_s",
                self.max_auth_age_s,
                default.max_auth_age_s,
                PolicyTerms::MAX_AUTH_AGE_S,
            )?,
        })
    }
}

/// Checks that a number is from 1 to `max`.
fn number(pointer: &str, value: Option<u32>, default: u32, max: u32) -> Result<u32, ApiError> {
    let value = value.unwrap_or(default);
    check_range(&value, 1, max, pointer)?;
    Ok(value)
}

/// Checks the length of a list of users, and drops duplicates.
fn parse_users(pointer: &str, ids: Vec<Uuid>) -> Result<Vec<UserId>, ApiError> {
    if ids.len() > PolicyTerms::MAX_USERS {
        let detail = format!("must be at most {} users", PolicyTerms::MAX_USERS);
        return Err(ApiError::invalid_field(pointer, detail));
    }
    let mut users: Vec<UserId> = Vec::new();
    for id in ids.into_iter().map(UserId::from) {
        if !users.contains(&id) {
            users.push(id);
        }
    }
    Ok(users)
}

/// Checks the length of the list, and drops duplicates.
fn parse_channels(ids: Vec<Uuid>) -> Result<Vec<ChannelId>, ApiError> {
    if ids.len() > PolicyTerms::MAX_CHANNELS {
        let detail = format!("must be at most {} channels", PolicyTerms::MAX_CHANNELS);
        return Err(ApiError::invalid_field("/channels", detail));
    }
    let mut channels: Vec<ChannelId> = Vec::new();
    for id in ids.into_iter().map(ChannelId::from) {
        if !channels.contains(&id) {
            channels.push(id);
        }
    }
    Ok(channels)
}

impl From<ApprovalPolicy> for PolicyBody {
    fn from(policy: ApprovalPolicy) -> Self {
        let ApprovalPolicy { tool, version, terms, updated_at } = policy;
        let uuids = |users: Vec<UserId>| users.iter().map(UserId::as_uuid).collect();
        Self {
            tool,
            version,
            approvers: ApproversBody {
                user_ids: uuids(terms.approvers),
                grant: terms.allows_any_approver.then_some(Grant::Approver.as_str()),
            },
            quorum: terms.quorum,
            expires_after_s: terms.expires_after_s,
            on_expiry: terms.on_expiry.as_str(),
            escalate_to: EscalationBody { user_ids: uuids(terms.escalate_to) },
            channels: terms.channels.iter().map(ChannelId::as_uuid).collect(),
            max_auth_age_s: terms.max_auth_age_s,
            updated_at,
        }
    }
}

/// Returns the approval policy on a tool that writes.
#[utoipa::path(
    get, path = "/v1/admin/approval-policies/{tool}", tag = "admin", params(("tool" = String, Path)),
    responses((status = 200, body = PolicyBody))
)]
async fn get(call: AuthenticatedRequest, Path(tool): Path<String>) -> Result<Json<PolicyBody>, ApiError> {
    let policy = call.execute(GetApprovalPolicy { tool: parse_tool_name(&tool)? }).await?;
    Ok(Json(policy.into()))
}

/// Sets the approval policy on a tool that writes. Pending requests of the old policy are cancelled.
#[utoipa::path(
    put, path = "/v1/admin/approval-policies/{tool}", tag = "admin", params(("tool" = String, Path)),
    request_body = NewPolicy, responses((status = 200, body = PolicyBody))
)]
async fn put(
    call: AuthenticatedRequest,
    Path(tool): Path<String>,
    ApiJson(body): ApiJson<NewPolicy>,
) -> Result<Json<PolicyBody>, ApiError> {
    let command = PutApprovalPolicy { tool: parse_tool_name(&tool)?, terms: body.parse()? };
    Ok(Json(call.execute(command).await?.after.into()))
}
