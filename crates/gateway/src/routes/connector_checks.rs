//! Routes that check whether a plant system can be read, list the tags that it offers, and trust its certificate.

use super::connector_tags::OfferedTagsBody;
use super::connectors::ConnectorBody;
use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::merge_patch::check_range;
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use domain::command::{BrowseConnector, CheckConnector, TrustCertificate};
use domain::ids::ConnectorId;
use domain::plant::{CertificateThumbprint, ConnectorCheck};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Number of hexadecimal digits of a SHA-256.
const THUMBPRINT_DIGITS: usize = 64;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(check)).routes(routes!(trust)).routes(routes!(browse))
}

/// A certificate to trust.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"thumbprint": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"}))]
struct TrustedCertificate {
    /// SHA-256 of the certificate, as in the check's result: 64 hexadecimal digits.
    #[schema(min_length = 64, max_length = 95)]
    thumbprint: String,
}

/// Result of a check.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectorCheck)]
struct CheckBody {
    /// Whether values can be read.
    ok: bool,
    /// The result, or the problem and its remedy.
    detail: String,
    /// SHA-256 of the certificate that the server presents, if it is not trusted yet.
    untrusted_thumbprint: Option<String>,
}

/// Limit of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BrowseQuery {
    /// Maximum number of tags.
    #[param(minimum = 1, maximum = 5000, default = 500)]
    limit: Option<u32>,
}

impl TrustedCertificate {
    fn parse(&self) -> Result<CertificateThumbprint, ApiError> {
        let digits = self.thumbprint.replace([':', ' '], "").to_lowercase();
        if digits.len() != THUMBPRINT_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let detail = "must be the SHA-256 of the certificate: 64 hexadecimal digits";
            return Err(ApiError::invalid_field("/thumbprint", detail));
        }
        Ok(CertificateThumbprint(digits))
    }
}

impl From<ConnectorCheck> for CheckBody {
    fn from(check: ConnectorCheck) -> Self {
        let untrusted_thumbprint = check.untrusted_certificate.map(|thumbprint| thumbprint.0);
        Self { ok: check.ok, detail: check.detail, untrusted_thumbprint }
    }
}

/// Connects to the plant system and reads one value. Describes any problem.
#[utoipa::path(
    post, path = "/v1/admin/connectors/{id}/check", tag = "plant", params(("id" = Uuid, Path)),
    responses((status = 200, body = CheckBody))
)]
async fn check(call: AuthenticatedRequest, PathId(id): PathId<ConnectorId>) -> Result<Json<CheckBody>, ApiError> {
    Ok(Json(call.execute(CheckConnector { id }).await?.into()))
}

/// Trusts the certificate of the plant system with this SHA-256. Compare it with the server's own certificate first.
#[utoipa::path(
    post, path = "/v1/admin/connectors/{id}/trust", tag = "plant", params(("id" = Uuid, Path)),
    request_body = TrustedCertificate, responses((status = 200, body = ConnectorBody))
)]
async fn trust(
    call: AuthenticatedRequest,
    PathId(id): PathId<ConnectorId>,
    ApiJson(body): ApiJson<TrustedCertificate>,
) -> Result<Json<ConnectorBody>, ApiError> {
    let changed = call.execute(TrustCertificate { id, thumbprint: body.parse()? }).await?;
    Ok(Json(changed.after.into()))
}

/// Lists the tags that the plant system offers, as a basis for a catalogue.
#[utoipa::path(
    get, path = "/v1/admin/connectors/{id}/browse", tag = "plant", params(("id" = Uuid, Path), BrowseQuery),
    responses((status = 200, body = OfferedTagsBody))
)]
async fn browse(
    call: AuthenticatedRequest,
    PathId(id): PathId<ConnectorId>,
    ApiQuery(query): ApiQuery<BrowseQuery>,
) -> Result<Json<OfferedTagsBody>, ApiError> {
    let limit = query.limit.unwrap_or(500);
    check_range(&limit, 1, 5_000, "/limit")?;
    Ok(Json(call.execute(BrowseConnector { id, limit }).await?.into()))
}
