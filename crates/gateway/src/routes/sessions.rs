//! Routes of sign-in sessions.

use crate::body::{PathId, PathIdPair};
use crate::caller::AuthenticatedRequest;
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
        .routes(routes!(list_user_sessions))
        .routes(routes!(revoke_user_session))
}

/// A sign-in session that is neither revoked nor expired.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionBody {
    id: Uuid,
    /// The OAuth client that the user signed in with, if the tokens contain its id.
    client: Option<String>,
    created_at: DateTime<Utc>,
    /// Accurate to the minute.
    last_seen_at: DateTime<Utc>,
    /// Latest expiration time of the tokens that the platform has seen.
    expires_at: DateTime<Utc>,
    /// Whether this request was made in the session.
    current: bool,
}

/// Page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SessionQuery {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
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

/// Lists your sign-in sessions, newest first.
///
/// All tokens of one sign-in (`sid`) belong to the same session. Personal access tokens are listed at `/v1/tokens`.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "sessions", params(SessionQuery),
    responses((status = 200, body = Listing<SessionBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<SessionQuery>,
) -> Result<Json<Listing<SessionBody>>, ApiError> {
    let current = call.caller.scope().session();
    let command = ListSessions { page: page::parse(query.limit, query.cursor.as_deref())? };
    Ok(to_listing(call.execute(command).await?, current))
}

/// Revokes one of your sessions. Its tokens are refused within seconds, and its running answers are stopped.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn revoke(call: AuthenticatedRequest, PathId(id): PathId<SessionId>) -> Result<StatusCode, ApiError> {
    call.execute(RevokeSession { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists a user's sign-in sessions, newest first. For admins.
#[utoipa::path(
    get, path = "/v1/admin/users/{id}/sessions", tag = "admin", params(("id" = Uuid, Path), SessionQuery),
    responses((status = 200, body = Listing<SessionBody>))
)]
async fn list_user_sessions(
    call: AuthenticatedRequest,
    PathId(user): PathId<UserId>,
    ApiQuery(query): ApiQuery<SessionQuery>,
) -> Result<Json<Listing<SessionBody>>, ApiError> {
    let current = call.caller.scope().session();
    let command = ListUserSessions { user, page: page::parse(query.limit, query.cursor.as_deref())? };
    Ok(to_listing(call.execute(command).await?, current))
}

/// Revokes a user's session. For admins.
#[utoipa::path(
    delete, path = "/v1/admin/users/{id}/sessions/{session}", tag = "admin",
    params(("id" = Uuid, Path), ("session" = Uuid, Path)), responses((status = 204))
)]
async fn revoke_user_session(
    call: AuthenticatedRequest,
    PathIdPair(user, id): PathIdPair<UserId, SessionId>,
) -> Result<StatusCode, ApiError> {
    call.execute(RevokeUserSession { user, id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
