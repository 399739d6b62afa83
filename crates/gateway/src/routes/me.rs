//! The route that returns the caller's account.

use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::settings::GatewaySettings;
use crate::state::AppState;
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

/// Your account on this platform.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountBody {
    id: Uuid,
    tenant: AccountTenant,
    name: Option<String>,
    email: String,
    #[schema(schema_with = fields::role)]
    role: &'static str,
    /// Whether an admin pinned the role. Your tokens can lower a pinned role but never raise it.
    role_pinned: bool,
    /// When the role was set: by an admin, by a token (the token's time of issue), or when the user was created.
    role_set_at: DateTime<Utc>,
    /// Privileges in addition to the role.
    #[schema(value_type = Vec<String>, example = json!(["auditor"]))]
    grants: Vec<&'static str>,
    /// Highest classification of content that you may see.
    #[schema(schema_with = fields::classification)]
    clearance: &'static str,
    /// Whether the tenant's plant systems may be read and written.
    #[schema(schema_with = fields::plant_mode)]
    plant_mode: &'static str,
    limits: Limits,
}

/// Your tenant.
#[derive(Serialize, ToSchema)]
struct AccountTenant {
    id: Uuid,
    slug: String,
    name: String,
}

/// Limits on your requests.
#[derive(Serialize, ToSchema)]
struct Limits {
    requests_per_minute: u32,
    requests_per_hour: u32,
    max_upload_bytes: u64,
}

/// Returns your account.
#[utoipa::path(get, path = "/v1/me", tag = "account", responses((status = 200, body = AccountBody)))]
async fn me(
    call: AuthenticatedRequest,
    State(settings): State<Arc<GatewaySettings>>,
) -> Result<Json<AccountBody>, ApiError> {
    let Account { user, entitlements, settings: tenant_settings, plant_mode } = call.execute(ReadAccount).await?;
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
        plant_mode: plant_mode.as_str(),
        limits: Limits {
            requests_per_minute: rate_limit.per_minute,
            requests_per_hour: rate_limit.per_hour,
            max_upload_bytes: settings.max_upload_bytes,
        },
    }))
}
