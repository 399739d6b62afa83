//! Routes of personal access tokens, for machine clients.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::idempotency::ContainsSecret;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use domain::access_token::{AccessToken, IssuedAccessToken, TokenScope};
use domain::command::{IssueAccessToken, ListAccessTokens, RevokeAccessToken};
use domain::ids::AccessTokenId;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(revoke))
}

/// A new personal access token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "historian export", "scopes": ["search:read", "documents:read"], "expires_in_days": 30
}))]
struct NewToken {
    /// Name, for display only.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// What the token may be used for. It never allows more than its user may do.
    #[schema(schema_with = scopes_schema)]
    scopes: Vec<String>,
    /// Days until the token expires: 90 by default. The platform and the tenant set a maximum.
    #[schema(minimum = 1, maximum = 3650)]
    expires_in_days: Option<u32>,
}

/// A personal access token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessToken)]
struct TokenBody {
    id: Uuid,
    /// The user on whose behalf the token acts.
    user_id: Uuid,
    name: String,
    #[schema(schema_with = scopes_schema)]
    scopes: Vec<TokenScope>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// Accurate to the minute.
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

/// A new personal access token, with its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedAccessToken)]
struct IssuedBody {
    #[serde(flatten)]
    token: TokenBody,
    /// The bearer token. It is shown only once.
    secret: String,
}

/// Filter and page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TokenQuery {
    /// Only tokens of this user. Only admins can list the tokens of other users.
    user_id: Option<Uuid>,
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<AccessToken> for TokenBody {
    fn from(token: AccessToken) -> Self {
        Self {
            id: token.id.as_uuid(),
            user_id: token.user_id.as_uuid(),
            name: token.name,
            scopes: token.scopes,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at: token.revoked_at,
        }
    }
}

/// Returns the schema of a list of token scopes.
fn scopes_schema() -> RefOr<Schema> {
    let words: Vec<_> = TokenScope::all().map(|scope| scope.to_string()).collect();
    let scope = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    ArrayBuilder::new().items(scope).min_items(Some(1)).max_items(Some(TokenScope::all().count())).build().into()
}

fn parse_scopes(scopes: &[String]) -> Result<Vec<TokenScope>, ApiError> {
    if scopes.is_empty() || scopes.len() > TokenScope::all().count() {
        return Err(ApiError::invalid_field(
            "/scopes",
            format!("must contain 1 to {} scopes", TokenScope::all().count()),
        ));
    }
    let mut parsed = Vec::with_capacity(scopes.len());
    for (index, scope) in scopes.iter().enumerate() {
        parsed.push(scope.parse().map_err(|error| ApiError::invalid_field(format!("/scopes/{index}"), error))?);
    }
    parsed.sort_unstable();
    parsed.dedup();
    Ok(parsed)
}

/// Lists personal access tokens, newest first: your own or, for admins, all of the tenant's.
///
/// The list includes revoked and expired tokens.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "tokens", params(TokenQuery),
    responses((status = 200, body = Listing<TokenBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<TokenQuery>,
) -> Result<Json<Listing<TokenBody>>, ApiError> {
    let page = page::parse(query.limit, query.cursor.as_deref())?;
    let command = ListAccessTokens { user: query.user_id.map(Into::into), page };
    let tokens = call.execute(command).await?;
    Ok(Json(Listing::from_page(tokens, Into::into)))
}

/// Creates a personal access token for yourself. Only this response contains its secret.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = IssuedBody))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewToken>,
) -> Result<(StatusCode, Extension<ContainsSecret>, Json<IssuedBody>), ApiError> {
    let command = IssueAccessToken {
        name: fields::parse_text("/name", &body.name)?,
        scopes: parse_scopes(&body.scopes)?,
        days: body.expires_in_days,
    };
    let IssuedAccessToken { token, secret } = call.execute(command).await?;
    Ok((StatusCode::CREATED, Extension(ContainsSecret), Json(IssuedBody { token: token.into(), secret })))
}

/// Revokes a personal access token: one of your own or, for admins, any of the tenant's.
///
/// The token is refused within seconds.
#[utoipa::path(
    delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn revoke(call: AuthenticatedRequest, PathId(id): PathId<AccessTokenId>) -> Result<StatusCode, ApiError> {
    call.execute(RevokeAccessToken { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
