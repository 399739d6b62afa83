//! Routes of tenants, for platform admins.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::command::{CreateTenant, ListTenants, UpdateTenant};
use domain::ids::TenantId;
use domain::tenant::Tenant;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Maximum length of a slug, in bytes.
const MAX_SLUG_BYTES: usize = 64;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(update))
}

/// A new tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Plant Nord", "slug": "plant-nord"}))]
struct NewTenant {
    #[schema(min_length = 1, max_length = 512)]
    name: String,
    /// Short name for URLs and tokens.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,63}$")]
    slug: String,
}

/// A change of a tenant. Fields that are missing or null are not changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"is_active": false}))]
struct TenantChange {
    #[schema(min_length = 1, max_length = 512)]
    name: Option<String>,
    /// All requests of an inactive tenant are refused.
    is_active: Option<bool>,
}

/// A tenant, without its settings.
#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
struct TenantBody {
    id: Uuid,
    slug: String,
    name: String,
    is_active: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TenantQuery {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<Tenant> for TenantBody {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.as_uuid(),
            slug: tenant.slug,
            name: tenant.name,
            is_active: tenant.is_active,
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
        }
    }
}

fn parse_slug(slug: String) -> Result<String, ApiError> {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=MAX_SLUG_BYTES).contains(&slug.len()) && !slug.starts_with('-') && slug.bytes().all(is_allowed) {
        return Ok(slug);
    }
    let detail = "must be 1 to 64 characters of a–z, 0–9 and -, and start with a letter or digit";
    Err(ApiError::invalid_field("/slug", detail))
}

/// Lists the tenants, newest first. Requires the grant `platform_admin`.
#[utoipa::path(
    get, path = "/v1/admin/tenants", tag = "admin", params(TenantQuery),
    responses((status = 200, body = Listing<TenantBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<TenantQuery>,
) -> Result<Json<Listing<TenantBody>>, ApiError> {
    let command = ListTenants { page: page::parse(query.limit, query.cursor.as_deref())? };
    let tenants = call.execute(command).await?;
    Ok(Json(Listing::from_page(tenants, Into::into)))
}

/// Creates a tenant. Requires the grant `platform_admin`.
#[utoipa::path(
    post, path = "/v1/admin/tenants", tag = "admin", request_body = NewTenant,
    responses((status = 201, body = TenantBody))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewTenant>,
) -> Result<(StatusCode, Json<TenantBody>), ApiError> {
    let command = CreateTenant { name: fields::parse_text("/name", &body.name)?, slug: parse_slug(body.slug)? };
    let tenant = call.execute(command).await?;
    Ok((StatusCode::CREATED, Json(tenant.into())))
}

/// Renames, activates or deactivates a tenant. Requires the grant `platform_admin`.
#[utoipa::path(
    patch, path = "/v1/admin/tenants/{id}", tag = "admin", params(("id" = Uuid, Path)), request_body = TenantChange,
    responses((status = 200, body = TenantBody))
)]
async fn update(
    call: AuthenticatedRequest,
    PathId(id): PathId<TenantId>,
    ApiJson(body): ApiJson<TenantChange>,
) -> Result<Json<TenantBody>, ApiError> {
    let command = UpdateTenant {
        id,
        name: fields::parse_optional_text("/name", body.name.as_deref())?,
        is_active: body.is_active,
    };
    let change = call.execute(command).await?;
    Ok(Json(change.after.into()))
}
