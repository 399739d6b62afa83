//! The route of the caller's own account.

use crate::caller::ApiCall;
use crate::error::ApiError;
use crate::settings::GatewaySettings;
use crate::state::AppState;
use crate::wire;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::command::ReadAccount;
use domain::role::Grant;
use domain::tenant::RateLimit;
use domain::user::Account;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Who you are to this platform.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountBody {
    id: Uuid,
    tenant: AccountTenant,
    name: Option<String>,
    email: String,
    #[schema(schema_with = wire::role)]
    role: &'static str,
    /// An admin set the role; your tokens do not raise it.
    role_pinned: bool,
    /// When the role was set.
    role_set_at: DateTime<Utc>,
    /// Powers beside the role.
    #[schema(value_type = Vec<String>, example = json!(["auditor"]))]
    grants: Vec<&'static str>,
    /// The highest classification of documents that you may see.
    #[schema(schema_with = wire::classification)]
    clearance: &'static str,
    limits: Limits,
}

/// Your tenant.
#[derive(Serialize, ToSchema)]
struct AccountTenant {
    id: Uuid,
    slug: String,
    name: String,
}

/// What you may ask for.
#[derive(Serialize, ToSchema)]
struct Limits {
    requests_per_minute: u32,
    requests_per_hour: u32,
    max_upload_bytes: u64,
}

/// Reads your own account.
#[utoipa::path(get, path = "/v1/me", tag = "account", responses((status = 200, body = AccountBody)))]
async fn me(call: ApiCall, State(settings): State<Arc<GatewaySettings>>) -> Result<Json<AccountBody>, ApiError> {
    let Account { user, entitlements, settings: tenant_settings } = call.execute(ReadAccount).await?;
    let rate_limit =
        tenant_settings.rate_limits.for_role(entitlements.role).unwrap_or(RateLimit::default_for(entitlements.role));
    let tenant = call.caller.tenant();
    Ok(Json(AccountBody {
        id: user.id.as_uuid(),
        tenant: AccountTenant { id: tenant.id.as_uuid(), slug: tenant.slug.clone(), name: tenant.name.clone() },
        name: user.display_name,
        email: user.email,
        role: entitlements.role.as_str(),
        role_pinned: user.role_pinned,
        role_set_at: user.role_set_at.unwrap_or(user.created_at),
        grants: entitlements.grants.iter().copied().map(Grant::as_str).collect(),
        clearance: entitlements.clearance.as_str(),
        limits: Limits {
            requests_per_minute: rate_limit.per_minute,
            requests_per_hour: rate_limit.per_hour,
            max_upload_bytes: settings.max_upload_bytes,
        },
    }))
}
