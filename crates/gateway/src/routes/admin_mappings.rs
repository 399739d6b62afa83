//! Routes of tenant mappings, for platform admins. A mapping assigns a tenant to a value of the tokens' tenant claim.

use crate::body::{ApiJson, PathId, PathIdPair};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::command::{CreateMapping, DeleteMapping, ListMappings};
use domain::ids::{MappingId, TenantId};
use domain::mapping::TenantMapping;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

/// A new mapping.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"issuer": "https://sso.acme.example/realms/plant", "claim": "acme-north"}))]
struct NewMapping {
    /// One of the trusted issuers in the platform's configuration.
    #[schema(min_length = 1, max_length = 255)]
    issuer: String,
    /// Value of the tenant claim in the issuer's tokens.
    #[schema(min_length = 1, max_length = 255)]
    claim: String,
}

/// A claim value that maps to a tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantMapping)]
struct MappingBody {
    id: Uuid,
    tenant_id: Uuid,
    issuer: String,
    claim: String,
    created_at: DateTime<Utc>,
}

/// Page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MappingQuery {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<TenantMapping> for MappingBody {
    fn from(mapping: TenantMapping) -> Self {
        Self {
            id: mapping.id.as_uuid(),
            tenant_id: mapping.tenant.as_uuid(),
            issuer: mapping.issuer,
            claim: mapping.claim,
            created_at: mapping.created_at,
        }
    }
}

/// Lists the claim values that map to a tenant, newest first. Requires the grant `platform_admin`.
///
/// The list does not contain the mappings in the platform's configuration.
#[utoipa::path(
    get, path = "/v1/admin/tenants/{id}/mappings", tag = "admin", params(("id" = Uuid, Path), MappingQuery),
    responses((status = 200, body = Listing<MappingBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    PathId(tenant): PathId<TenantId>,
    ApiQuery(query): ApiQuery<MappingQuery>,
) -> Result<Json<Listing<MappingBody>>, ApiError> {
    let command = ListMappings { tenant, page: page::parse(query.limit, query.cursor.as_deref())? };
    let mappings = call.execute(command).await?;
    Ok(Json(Listing::from_page(mappings, Into::into)))
}

/// Maps a claim value to a tenant. Requires the grant `platform_admin`.
///
/// A claim value of an issuer maps to one tenant only.
#[utoipa::path(
    post, path = "/v1/admin/tenants/{id}/mappings", tag = "admin", params(("id" = Uuid, Path)),
    request_body = NewMapping, responses((status = 201, body = MappingBody))
)]
async fn create(
    call: AuthenticatedRequest,
    PathId(tenant): PathId<TenantId>,
    ApiJson(body): ApiJson<NewMapping>,
) -> Result<(StatusCode, Json<MappingBody>), ApiError> {
    let command = CreateMapping {
        tenant,
        issuer: fields::parse_text("/issuer", &body.issuer)?,
        claim: fields::parse_text("/claim", &body.claim)?,
    };
    let mapping = call.execute(command).await?;
    Ok((StatusCode::CREATED, Json(mapping.into())))
}

/// Deletes a mapping. Requires the grant `platform_admin`.
///
/// Tokens with this claim value are refused within seconds.
#[utoipa::path(
    delete, path = "/v1/admin/tenants/{id}/mappings/{mapping}", tag = "admin",
    params(("id" = Uuid, Path), ("mapping" = Uuid, Path)), responses((status = 204))
)]
async fn delete(
    call: AuthenticatedRequest,
    PathIdPair(tenant, id): PathIdPair<TenantId, MappingId>,
) -> Result<StatusCode, ApiError> {
    call.execute(DeleteMapping { tenant, id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
