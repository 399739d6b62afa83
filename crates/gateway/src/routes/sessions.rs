//! Routes of the sessions: where a user is signed in.

use crate::body::{PathId, PathIdPair};
use crate::caller::ApiCall;
use crate::error::ApiError;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::command::{ListSessions, ListUserSessions, RevokeSession, RevokeUserSession};
use domain::ids::{SessionId, UserId};
use domain::page::Page;
use domain::session::Session;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(revoke))
        .routes(routes!(list_of_user))
        .routes(routes!(revoke_of_user))
}

/// A sign-in whose tokens are accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionBody {
    id: Uuid,
    /// The OAuth client that signed in, if its tokens name it.
    client: Option<String>,
    created_at: DateTime<Utc>,
    /// To a minute.
    last_seen_at: DateTime<Utc>,
    /// When the last token that was seen expires.
    expires_at: DateTime<Utc>,
    /// Whether this request belongs to it.
    current: bool,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SessionQuery {
    /// Items on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

fn to_listing(sessions: Page<Session>, current: Option<SessionId>) -> Json<Listing<SessionBody>> {
    Json(Listing::from_page(sessions, |session| SessionBody {
        id: session.id.as_uuid(),
        client: session.client,
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        current: Some(session.id) == current,
    }))
}

#[doc = " Lists where you are signed in, the newest first. \
    Tokens of one sign-in (`sid`) are one session; personal access tokens are listed at `/v1/tokens`."]
#[utoipa::path(
    get, path = "/v1/sessions", tag = "sessions", params(SessionQuery),
    responses((status = 200, body = Listing<SessionBody>))
)]
async fn list(call: ApiCall, ApiQuery(query): ApiQuery<SessionQuery>) -> Result<Json<Listing<SessionBody>>, ApiError> {
    let current = call.caller.scope().session();
    let command = ListSessions { page: page::parse(query.limit, query.cursor.as_deref())? };
    Ok(to_listing(call.execute(command).await?, current))
}

/// Ends one of your sessions: its tokens are refused within seconds, and its running answers end.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn revoke(call: ApiCall, PathId(id): PathId<SessionId>) -> Result<StatusCode, ApiError> {
    call.execute(RevokeSession { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists where a user is signed in, the newest first. For admins.
#[utoipa::path(
    get, path = "/v1/admin/users/{id}/sessions", tag = "admin", params(("id" = Uuid, Path), SessionQuery),
    responses((status = 200, body = Listing<SessionBody>))
)]
async fn list_of_user(
    call: ApiCall,
    PathId(user): PathId<UserId>,
    ApiQuery(query): ApiQuery<SessionQuery>,
) -> Result<Json<Listing<SessionBody>>, ApiError> {
    let current = call.caller.scope().session();
    let command = ListUserSessions { user, page: page::parse(query.limit, query.cursor.as_deref())? };
    Ok(to_listing(call.execute(command).await?, current))
}

/// Ends a session of a user. For admins.
#[utoipa::path(
    delete, path = "/v1/admin/users/{id}/sessions/{session}", tag = "admin",
    params(("id" = Uuid, Path), ("session" = Uuid, Path)), responses((status = 204))
)]
async fn revoke_of_user(
    call: ApiCall,
    PathIdPair(user, id): PathIdPair<UserId, SessionId>,
) -> Result<StatusCode, ApiError> {
    call.execute(RevokeUserSession { user, id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
