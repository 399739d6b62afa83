//! Routes of a tenant's versioned settings, and of its quotas and their usage.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
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
        .routes(routes!(get_own, update_own))
        .routes(routes!(list_own_versions))
        .routes(routes!(get_for_tenant, update_for_tenant))
        .routes(routes!(list_versions_for_tenant))
        .routes(routes!(quota_usage))
}

/// A tenant's settings. For settings that are null or missing, the platform's default applies.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantSettings)]
struct SettingsBody {
    tenant_id: Uuid,
    /// Version of the settings: 1 at first, plus one for each change. Also sent as `ETag`.
    version: i64,
    settings: SettingsView,
}

/// One version of a tenant's settings.
#[derive(Serialize, ToSchema)]
#[schema(as = SettingsVersion)]
struct VersionBody {
    version: i64,
    settings: SettingsView,
    /// User who made the change; null if it was made directly in the database, or when the tenant was created.
    changed_by: Option<Uuid>,
    changed_at: DateTime<Utc>,
}

/// A tenant's quotas, and how much of them it uses.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantUsage)]
struct TenantUsageBody {
    documents: Amount,
    /// Total size of the documents' files.
    bytes: Amount,
    /// Input and output tokens of chat turns since the start of the day (UTC).
    tokens_per_day: Amount,
    requests_per_day: Amount,
    /// When the daily counters are reset.
    day_ends: DateTime<Utc>,
}

/// A quota, and how much of it is used.
#[derive(Serialize, ToSchema)]
struct Amount {
    /// Null if this response does not report the usage.
    used: Option<u64>,
    /// Null if there is no limit.
    allowed: Option<u64>,
}

/// Page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionQuery {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
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

impl From<TenantUsage> for TenantUsageBody {
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

/// Parses the version in `If-Match`, which is an `ETag` of the resource. Returns `None`, which matches any version, if
/// the header is missing or `*`.
pub(super) fn expected_version(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    // Many clients remove the quotation marks.
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let version = digits.parse().ok();
    version.map(Some).ok_or_else(|| ApiError::invalid_field("/If-Match", "must be an ETag of this resource, or *"))
}

/// Returns your tenant's settings.
#[utoipa::path(
    get, path = "/v1/admin/settings", tag = "admin",
    responses((status = 200, body = SettingsBody, headers(("etag" = String))))
)]
async fn get_own(call: AuthenticatedRequest) -> Result<SettingsWithEtag, ApiError> {
    Ok(SettingsBody::response(call.execute(ReadSettings).await?))
}

/// Changes your tenant's settings with a JSON merge patch (RFC 7396). Takes effect within five seconds.
///
/// A value of null removes a setting, so that the platform's default applies. If the settings no longer have the
/// version in `If-Match`, the response is 409 `stale_version`.
#[utoipa::path(
    patch, path = "/v1/admin/settings", tag = "admin", request_body = OwnSettingsChange,
    params(("If-Match" = Option<String>, Header, description = "`ETag` of your last read")),
    responses((status = 200, body = SettingsBody, headers(("etag" = String))))
)]
async fn update_own(
    call: AuthenticatedRequest,
    headers: HeaderMap,
    ApiJson(body): ApiJson<OwnSettingsChange>,
) -> Result<SettingsWithEtag, ApiError> {
    let command = UpdateSettings { change: body.parse(expected_version(&headers)?)? };
    Ok(SettingsBody::response(call.execute(command).await?.after))
}

/// Lists all versions of your tenant's settings, newest first.
#[utoipa::path(
    get, path = "/v1/admin/settings/versions", tag = "admin", params(VersionQuery),
    responses((status = 200, body = Listing<VersionBody>))
)]
async fn list_own_versions(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<VersionQuery>,
) -> Result<Json<Listing<VersionBody>>, ApiError> {
    let command = ListSettingsVersions { page: page::parse(query.limit, query.cursor.as_deref())? };
    let versions = call.execute(command).await?;
    Ok(Json(Listing::from_page(versions, Into::into)))
}

/// Returns any tenant's settings. Requires the grant `platform_admin`.
#[utoipa::path(
    get, path = "/v1/admin/tenants/{id}/settings", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = SettingsBody, headers(("etag" = String))))
)]
async fn get_for_tenant(
    call: AuthenticatedRequest,
    PathId(id): PathId<TenantId>,
) -> Result<SettingsWithEtag, ApiError> {
    Ok(SettingsBody::response(call.execute(ReadTenantSettings { id }).await?))
}

/// Changes any tenant's settings, including request limits and quotas. Requires the grant `platform_admin`.
#[utoipa::path(
    patch, path = "/v1/admin/tenants/{id}/settings", tag = "admin", request_body = TenantSettingsChange,
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "`ETag` of your last read")),
    responses((status = 200, body = SettingsBody, headers(("etag" = String))))
)]
async fn update_for_tenant(
    call: AuthenticatedRequest,
    PathId(id): PathId<TenantId>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<TenantSettingsChange>,
) -> Result<SettingsWithEtag, ApiError> {
    let command = UpdateTenantSettings { id, change: body.parse(expected_version(&headers)?)? };
    Ok(SettingsBody::response(call.execute(command).await?.after))
}

/// Lists all versions of any tenant's settings, newest first. Requires the grant `platform_admin`.
#[utoipa::path(
    get, path = "/v1/admin/tenants/{id}/settings/versions", tag = "admin",
    params(("id" = Uuid, Path), VersionQuery), responses((status = 200, body = Listing<VersionBody>))
)]
async fn list_versions_for_tenant(
    call: AuthenticatedRequest,
    PathId(id): PathId<TenantId>,
    ApiQuery(query): ApiQuery<VersionQuery>,
) -> Result<Json<Listing<VersionBody>>, ApiError> {
    let command = ListTenantSettingsVersions { id, page: page::parse(query.limit, query.cursor.as_deref())? };
    let versions = call.execute(command).await?;
    Ok(Json(Listing::from_page(versions, Into::into)))
}

/// Returns your tenant's quotas, and how much of them it uses.
#[utoipa::path(
    get, path = "/v1/admin/usage", tag = "admin", responses((status = 200, body = TenantUsageBody))
)]
async fn quota_usage(call: AuthenticatedRequest) -> Result<Json<TenantUsageBody>, ApiError> {
    Ok(Json(call.execute(ReadQuotaUsage).await?.into()))
}
