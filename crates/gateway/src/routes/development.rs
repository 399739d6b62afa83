//! Sign-in without an identity provider, for the console in development mode. In production, these routes respond with
//! 404.

use crate::body::PathId;
use crate::console::{ConsoleState, DevelopmentSignIn, DevelopmentSignInError, DevelopmentToken, DevelopmentUser};
use crate::error::ApiError;
use crate::problem::ProblemDocument;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use domain::error::ErrorKind;
use domain::ids::UserId;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(users)).routes(routes!(token))
}

/// The users that can sign in without a password.
#[derive(Serialize, ToSchema)]
struct DevelopmentUsers {
    data: Vec<DevelopmentUserBody>,
}

/// A user of the demo tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = DevelopmentUser)]
struct DevelopmentUserBody {
    id: Uuid,
    name: String,
    #[schema(schema_with = crate::fields::role)]
    role: &'static str,
}

/// A token that the development sign-in has issued.
#[derive(Serialize, ToSchema)]
#[schema(as = DevelopmentToken)]
struct DevelopmentTokenBody {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until it expires.
    expires_in: u64,
}

/// Lists the active users of the demo tenant. Development mode only.
#[utoipa::path(
    get, path = "/v1/development/users", tag = "development",
    responses(
        (status = 200, body = DevelopmentUsers),
        (status = 404, description = "The server is not in development mode", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from this IP address", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 503, description = "A required component is unavailable", body = ProblemDocument,
            content_type = "application/problem+json"),
    )
)]
async fn users(State(console): State<ConsoleState>) -> Result<Json<DevelopmentUsers>, ApiError> {
    let users = sign_in(&console)?.users().await.map_err(to_unavailable)?;
    let body = |DevelopmentUser { id, name, role }| DevelopmentUserBody { id, name, role };
    Ok(Json(DevelopmentUsers { data: users.into_iter().map(body).collect() }))
}

/// Issues a token for a user of the demo tenant. Development mode only.
#[utoipa::path(
    post, path = "/v1/development/users/{id}/token", tag = "development", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = DevelopmentTokenBody),
        (status = 404, description = "No active user of the demo tenant, or the server is not in development mode",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from this IP address", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 503, description = "A required component is unavailable", body = ProblemDocument,
            content_type = "application/problem+json"),
    )
)]
async fn token(
    State(console): State<ConsoleState>,
    PathId(user): PathId<UserId>,
) -> Result<Json<DevelopmentTokenBody>, ApiError> {
    let token = sign_in(&console)?.token(user.as_uuid()).await.map_err(to_unavailable)?;
    let DevelopmentToken { access_token, expires_in } =
        token.ok_or_else(|| ApiError::from_kind(ErrorKind::NotFound))?;
    Ok(Json(DevelopmentTokenBody { access_token, token_type: "Bearer", expires_in: expires_in.as_secs() }))
}

fn sign_in(console: &ConsoleState) -> Result<&Arc<dyn DevelopmentSignIn>, ApiError> {
    console.development().ok_or_else(|| ApiError::from_kind(ErrorKind::NotFound))
}

fn to_unavailable(error: DevelopmentSignInError) -> ApiError {
    ApiError { cause: Some(error.to_string().into()), ..ApiError::from_kind(ErrorKind::Unavailable) }
}
