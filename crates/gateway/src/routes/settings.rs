//! Routes of a tenant's versioned settings, and of its usage and quotas.

use crate::body::{ApiJson, PathId};
use crate::caller::ApiCall;
use crate::error::ApiError;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::settings_change::{OwnSettingsChange, SettingsView, TenantSettingsChange};
use crate::state::AppState;
use axum::Json;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName};
use chrono::{DateTime, Utc};
use domain::command::{
    ListSettingsVersions, ListTenantSettingsVersions, ReadQuotaUsage, ReadSettings, ReadTenantSettings, UpdateSettings,
    UpdateTenantSettings,
};
use domain::ids::TenantId;
use domain::tenant::{SettingsVersion, Tenant, TenantUsage};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(own, change_own))
        .routes(routes!(own_versions))
        .routes(routes!(of_tenant, change_of_tenant))
        .routes(routes!(versions_of_tenant))
        .routes(routes!(usage))
}

/// A tenant's settings. What is null or missing is as the platform has it.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantSettings)]
struct SettingsBody {
    tenant_id: Uuid,
    /// Counts the changes; the `ETag` has it too.
    version: i64,
    settings: SettingsView,
}

/// The settings as they once were.
#[derive(Serialize, ToSchema)]
#[schema(as = SettingsVersion)]
struct VersionBody {
    version: i64,
    settings: SettingsView,
    /// Who made it; null where it came with the tenant, or from the database.
    changed_by: Option<Uuid>,
    changed_at: DateTime<Utc>,
}

/// What a tenant uses of what it may.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantUsage)]
struct UsageOfTenant {
    documents: Amount,
    /// Of the documents' files.
    bytes: Amount,
    /// Of chat turns since the day began (UTC), read and written together.
    tokens_per_day: Amount,
    requests_per_day: Amount,
    /// When the counts of the day begin anew.
    day_ends: DateTime<Utc>,
}

/// An amount that may be limited.
#[derive(Serialize, ToSchema)]
struct Amount {
    /// Null where it is not counted here.
    used: Option<u64>,
    /// Null where it is not limited.
    allowed: Option<u64>,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionQuery {
    /// Items on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

type SettingsWithEtag = ([(HeaderName, String); 1], Json<SettingsBody>);

impl SettingsBody {
    fn response(tenant: Tenant) -> SettingsWithEtag {
        let version = tenant.settings_version;
        let body = Self { tenant_id: tenant.id.as_uuid(), version, settings: tenant.settings.into() };
        ([(ETAG, format!("\"{version}\""))], Json(body))
    }
}

impl From<SettingsVersion> for VersionBody {
    fn from(version: SettingsVersion) -> Self {
        Self {
            version: version.version,
            settings: version.settings.into(),
            changed_by: version.changed_by.map(|id| id.as_uuid()),
            changed_at: version.changed_at,
        }
    }
}

impl From<TenantUsage> for UsageOfTenant {
    fn from(usage: TenantUsage) -> Self {
        let TenantUsage { storage, spending, day_ends_at: day_ends, quotas } = usage;
        let amount = |used, allowed| Amount { used, allowed };
        Self {
            documents: amount(Some(storage.documents), quotas.documents),
            bytes: amount(Some(storage.bytes), quotas.bytes),
            tokens_per_day: amount(Some(spending.tokens), quotas.tokens_per_day),
            requests_per_day: amount(None, quotas.requests_per_day),
            day_ends,
        }
    }
}

/// Parses the version in `If-Match`, which is an `ETag` of these settings. `None` if the header is missing or `*`,
/// which matches any version.
fn expected_version(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    // Many clients remove the quotation marks.
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let version = digits.parse().ok();
    version.map(Some).ok_or_else(|| ApiError::invalid_field("/If-Match", "must be an ETag of these settings, or *"))
}

/// Reads your tenant's settings.
#[utoipa::path(
    get, path = "/v1/admin/settings", tag = "admin",
    responses((status = 200, body = SettingsBody, headers(("etag" = String))))
)]
async fn own(call: ApiCall) -> Result<SettingsWithEtag, ApiError> {
    Ok(SettingsBody::response(call.execute(ReadSettings).await?))
}

/// Changes your tenant's settings: a JSON merge patch (RFC 7396), in which null takes an override away. With `If-Match`
/// only that version is changed; otherwise the answer is 409 `stale_version`. In force within five seconds.
#[utoipa::path(
    patch, path = "/v1/admin/settings", tag = "admin", request_body = OwnSettingsChange,
    params(("If-Match" = Option<String>, Header, description = "The ETag that you have read")),
    responses((status = 200, body = SettingsBody, headers(("etag" = String))))
)]
async fn change_own(
    call: ApiCall,
    headers: HeaderMap,
    ApiJson(body): ApiJson<OwnSettingsChange>,
) -> Result<SettingsWithEtag, ApiError> {
    let command = UpdateSettings { change: body.parse(expected_version(&headers)?)? };
    Ok(SettingsBody::response(call.execute(command).await?.after))
}

/// Lists the states that your tenant's settings had, the newest first.
#[utoipa::path(
    get, path = "/v1/admin/settings/versions", tag = "admin", params(VersionQuery),
    responses((status = 200, body = Listing<VersionBody>))
)]
async fn own_versions(
    call: ApiCall,
    ApiQuery(query): ApiQuery<VersionQuery>,
) -> Result<Json<Listing<VersionBody>>, ApiError> {
    let command = ListSettingsVersions { page: page::parse(query.limit, query.cursor.as_deref())? };
    let versions = call.execute(command).await?;
    Ok(Json(Listing::from_page(versions, Into::into)))
}

/// Reads any tenant's settings. Needs the grant `platform_admin`.
#[utoipa::path(
    get, path = "/v1/admin/tenants/{id}/settings", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = SettingsBody, headers(("etag" = String))))
)]
async fn of_tenant(call: ApiCall, PathId(id): PathId<TenantId>) -> Result<SettingsWithEtag, ApiError> {
    Ok(SettingsBody::response(call.execute(ReadTenantSettings { id }).await?))
}

/// Changes any tenant's settings, its request limits and quotas among them. Needs the grant `platform_admin`.
#[utoipa::path(
    patch, path = "/v1/admin/tenants/{id}/settings", tag = "admin", request_body = TenantSettingsChange,
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "The ETag that you have read")),
    responses((status = 200, body = SettingsBody, headers(("etag" = String))))
)]
async fn change_of_tenant(
    call: ApiCall,
    PathId(id): PathId<TenantId>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<TenantSettingsChange>,
) -> Result<SettingsWithEtag, ApiError> {
    let command = UpdateTenantSettings { id, change: body.parse(expected_version(&headers)?)? };
    Ok(SettingsBody::response(call.execute(command).await?.after))
}

/// Lists the states that any tenant's settings had. Needs the grant `platform_admin`.
#[utoipa::path(
    get, path = "/v1/admin/tenants/{id}/settings/versions", tag = "admin",
    params(("id" = Uuid, Path), VersionQuery), responses((status = 200, body = Listing<VersionBody>))
)]
async fn versions_of_tenant(
    call: ApiCall,
    PathId(id): PathId<TenantId>,
    ApiQuery(query): ApiQuery<VersionQuery>,
) -> Result<Json<Listing<VersionBody>>, ApiError> {
    let command = ListTenantSettingsVersions { id, page: page::parse(query.limit, query.cursor.as_deref())? };
    let versions = call.execute(command).await?;
    Ok(Json(Listing::from_page(versions, Into::into)))
}

/// Reads what your tenant uses of what it may.
#[utoipa::path(
    get, path = "/v1/admin/usage", tag = "admin", responses((status = 200, body = UsageOfTenant))
)]
async fn usage(call: ApiCall) -> Result<Json<UsageOfTenant>, ApiError> {
    Ok(Json(call.execute(ReadQuotaUsage).await?.into()))
}
