//! Routes of a tenant's users, for its admins.

use crate::body::{ApiJson, PathId};
use crate::caller::ApiCall;
use crate::error::ApiError;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use crate::wire;
use axum::Json;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::command::{CreateUser, GetUser, ListUsers, UpdateUser};
use domain::ids::UserId;
use domain::role::{Grant, Role};
use domain::text::Title;
use domain::user::User;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update))
}

/// A user to be made before the first login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "external_id": "7c2f1d1e", "email": "k.meyer@plant.example", "name": "K. Meyer", "role": "user"
}))]
struct NewUser {
    /// The issuer's stable id of the user (Entra: `oid`).
    #[schema(min_length = 1, max_length = 128)]
    external_id: String,
    /// For display; it never authorizes.
    #[schema(min_length = 1, max_length = 128)]
    email: String,
    /// For display.
    #[serde(alias = "display_name")]
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    /// `viewer` unless said.
    #[schema(schema_with = wire::role_or_null)]
    role: Option<Role>,
    /// The token issuer that vouches for the user; the platform's first one unless said.
    #[schema(min_length = 1, max_length = 512)]
    issuer: Option<String>,
}

/// What to change of a user. A field that is missing or null stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "viewer", "grants": ["auditor"], "is_active": true}))]
struct UserChange {
    /// Pins the role, unless `role_pinned` says otherwise.
    #[schema(schema_with = wire::role_or_null)]
    role: Option<Role>,
    /// `true`: no token raises the role. `false`: the next token that is issued after the role was set decides again.
    role_pinned: Option<bool>,
    /// Powers beside the role, in place of all before: `auditor` and `approver`. `platform_admin` is given by the
    /// platform's configuration only.
    #[schema(schema_with = wire::grants_or_null)]
    grants: Option<Vec<Grant>>,
    /// A user who is switched off is refused at every request.
    is_active: Option<bool>,
}

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
struct UserBody {
    id: Uuid,
    name: Option<String>,
    email: String,
    #[schema(schema_with = wire::role)]
    role: &'static str,
    /// An admin set the role: a token may lower it and never raise it, until it is unpinned.
    role_pinned: bool,
    /// When the role was set: by an admin, by the token that gave it (its time of issue), or with the user.
    role_set_at: DateTime<Utc>,
    /// Powers beside the role.
    #[schema(value_type = Vec<String>)]
    grants: Vec<&'static str>,
    is_active: bool,
    /// Who vouches for the user.
    issuer: String,
    /// The issuer's id of the user.
    external_id: String,
    last_login: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UserQuery {
    /// Items on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id.as_uuid(),
            name: user.display_name,
            email: user.email,
            role: user.role.as_str(),
            role_pinned: user.role_pinned,
            role_set_at: user.role_set_at.unwrap_or(user.created_at),
            grants: user.grants.into_iter().map(Grant::as_str).collect(),
            is_active: user.is_active,
            issuer: user.issuer,
            external_id: user.external_id,
            last_login: user.last_login,
            created_at: user.created_at,
        }
    }
}

/// Lists the tenant's users, the newest first.
#[utoipa::path(
    get, path = "/v1/admin/users", tag = "admin", params(UserQuery),
    responses((status = 200, body = Listing<UserBody>))
)]
async fn list(call: ApiCall, ApiQuery(query): ApiQuery<UserQuery>) -> Result<Json<Listing<UserBody>>, ApiError> {
    let command = ListUsers { page: page::parse(query.limit, query.cursor.as_deref())? };
    let users = call.execute(command).await?;
    Ok(Json(Listing::from_page(users, Into::into)))
}

/// Makes a user before the first login.
#[utoipa::path(
    post, path = "/v1/admin/users", tag = "admin", request_body = NewUser,
    responses((status = 201, body = UserBody))
)]
async fn create(call: ApiCall, ApiJson(body): ApiJson<NewUser>) -> Result<(StatusCode, Json<UserBody>), ApiError> {
    let issuer: Option<Title> = wire::parse_optional_text("/issuer", body.issuer.as_deref())?;
    let command = CreateUser {
        issuer: issuer.map(Title::into_string),
        external_id: wire::parse_text("/external_id", &body.external_id)?,
        email: wire::parse_text("/email", &body.email)?,
        display_name: wire::parse_optional_text("/name", body.name.as_deref())?,
        role: body.role.unwrap_or(Role::Viewer),
    };
    let user = call.execute(command).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// Checks that an admin of a tenant may give the grants, and removes duplicates.
fn check_grants(grants: Option<Vec<Grant>>) -> Result<Option<Vec<Grant>>, ApiError> {
    let Some(mut grants) = grants else { return Ok(None) };
    if let Some(index) = grants.iter().position(|grant| *grant == Grant::PlatformAdmin) {
        let detail = "can only be given by the platform's configuration";
        return Err(ApiError::invalid_field(format!("/grants/{index}"), detail));
    }
    grants.sort_unstable();
    grants.dedup();
    Ok(Some(grants))
}

/// Reads a user of the tenant.
#[utoipa::path(
    get, path = "/v1/admin/users/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = UserBody))
)]
async fn get(call: ApiCall, PathId(id): PathId<UserId>) -> Result<Json<UserBody>, ApiError> {
    let user = call.execute(GetUser { id }).await?;
    Ok(Json(user.into()))
}

/// Changes a user's role or grants, or switches the user on or off. In force within five seconds.
///
/// A role that is set here, the present one too, is pinned: tokens that were issued before no longer count for it, and
/// later ones may lower it and never raise it, until `role_pinned` is `false`.
#[utoipa::path(
    patch, path = "/v1/admin/users/{id}", tag = "admin", params(("id" = Uuid, Path)), request_body = UserChange,
    responses((status = 200, body = UserBody))
)]
async fn update(
    call: ApiCall,
    PathId(id): PathId<UserId>,
    ApiJson(body): ApiJson<UserChange>,
) -> Result<Json<UserBody>, ApiError> {
    let UserChange { role, role_pinned, grants, is_active } = body;
    let command = UpdateUser { id, role, role_pinned, grants: check_grants(grants)?, is_active };
    let change = call.execute(command).await?;
    Ok(Json(change.after.into()))
}
