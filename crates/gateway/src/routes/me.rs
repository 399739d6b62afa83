//! The caller's own account.

use crate::app::App;
use crate::caller::Call;
use crate::error::ApiError;
use crate::wire;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::role::Grant;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Who you are to this platform.
#[derive(Serialize, ToSchema)]
struct Account {
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
#[utoipa::path(get, path = "/v1/me", tag = "account", responses((status = 200, body = Account)))]
async fn me(call: Call, State(app): State<App>) -> Result<Json<Account>, ApiError> {
    let caller = call.gate.account(&call.caller).await?;
    let tier = caller.rate_tier();
    Ok(Json(Account {
        id: caller.user().id.as_uuid(),
        tenant: AccountTenant {
            id: caller.tenant().id.as_uuid(),
            slug: caller.tenant().slug.clone(),
            name: caller.tenant().name.clone(),
        },
        name: caller.user().display_name.clone(),
        email: caller.user().email.clone(),
        role: caller.entitlements().role.as_str(),
        role_pinned: caller.user().role_pinned,
        role_set_at: caller.user().role_set_at.unwrap_or(caller.user().created_at),
        grants: caller.entitlements().grants.iter().copied().map(Grant::as_str).collect(),
        clearance: caller.entitlements().clearance.as_str(),
        limits: Limits {
            requests_per_minute: tier.per_minute,
            requests_per_hour: tier.per_hour,
            max_upload_bytes: app.settings.max_upload_bytes,
        },
    }))
}
