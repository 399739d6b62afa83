//! Routes of a tenant's users, for its admins.

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

/// A user to create before the first login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "external_id": "7c2f1d1e", "email": "k.meyer@plant.example", "name": "K. Meyer", "role": "user"
}))]
struct NewUser {
    /// The issuer's stable id of the user (Entra ID: `oid`).
    #[schema(min_length = 1, max_length = 128)]
    external_id: String,
    /// For display only; never used for authorization.
    #[schema(min_length = 1, max_length = 128)]
    email: String,
    /// For display only.
    #[serde(alias = "display_name")]
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    /// `viewer` by default.
    #[schema(schema_with = fields::role_or_null)]
    role: Option<Role>,
    /// Issuer of the user's tokens. By default the first one in the platform's configuration.
    #[schema(min_length = 1, max_length = 512)]
    issuer: Option<String>,
}

/// A change of a user. Fields that are missing or null are not changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "viewer", "grants": ["auditor"], "is_active": true}))]
struct UserChange {
    /// Setting the role also pins it, unless `role_pinned` is `false`.
    #[schema(schema_with = fields::role_or_null)]
    role: Option<Role>,
    /// `true`: no token can raise the role. `false`: the next token that was issued after the role was set decides.
    role_pinned: Option<bool>,
    /// Privileges in addition to the role: `auditor` and `approver`. Replaces all previous ones. `platform_admin` can
    /// only be given in the platform's configuration.
    #[schema(schema_with = fields::grants_or_null)]
    grants: Option<Vec<Grant>>,
    /// All requests of an inactive user are refused.
    is_active: Option<bool>,
}

/// A user of the tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
struct UserBody {
    id: Uuid,
    name: Option<String>,
    email: String,
    #[schema(schema_with = fields::role)]
    role: &'static str,
    /// Whether an admin pinned the role. A token can lower a pinned role but never raise it.
    role_pinned: bool,
    /// When the role was set: by an admin, by a token (the token's time of issue), or when the user was created.
    role_set_at: DateTime<Utc>,
    /// Privileges in addition to the role.
    #[schema(value_type = Vec<String>)]
    grants: Vec<&'static str>,
    is_active: bool,
    /// Issuer of the user's tokens.
    issuer: String,
    /// The issuer's stable id of the user.
    external_id: String,
    last_login: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// Page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UserQuery {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
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

/// Lists the tenant's users, newest first.
#[utoipa::path(
    get, path = "/v1/admin/users", tag = "admin", params(UserQuery),
    responses((status = 200, body = Listing<UserBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<UserQuery>,
) -> Result<Json<Listing<UserBody>>, ApiError> {
    let command = ListUsers { page: page::parse(query.limit, query.cursor.as_deref())? };
    let users = call.execute(command).await?;
    Ok(Json(Listing::from_page(users, Into::into)))
}

/// Creates a user before the first login.
#[utoipa::path(
    post, path = "/v1/admin/users", tag = "admin", request_body = NewUser,
    responses((status = 201, body = UserBody))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewUser>,
) -> Result<(StatusCode, Json<UserBody>), ApiError> {
    let issuer: Option<Title> = fields::parse_optional_text("/issuer", body.issuer.as_deref())?;
    let command = CreateUser {
        issuer: issuer.map(Title::into_string),
        external_id: fields::parse_text("/external_id", &body.external_id)?,
        email: fields::parse_text("/email", &body.email)?,
        display_name: fields::parse_optional_text("/name", body.name.as_deref())?,
        role: body.role.unwrap_or(Role::Viewer),
    };
    let user = call.execute(command).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// Checks that a tenant's admin may give these grants, and removes duplicates.
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

/// Returns a user of the tenant.
#[utoipa::path(
    get, path = "/v1/admin/users/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = UserBody))
)]
async fn get(call: AuthenticatedRequest, PathId(id): PathId<UserId>) -> Result<Json<UserBody>, ApiError> {
    let user = call.execute(GetUser { id }).await?;
    Ok(Json(user.into()))
}

/// Changes a user's role or grants, or activates or deactivates the user. Takes effect within five seconds.
///
/// Setting a role, even to its current value, pins it: tokens that were issued before no longer change it, and later
/// ones can lower but never raise it, until `role_pinned` is set to `false`.
#[utoipa::path(
    patch, path = "/v1/admin/users/{id}", tag = "admin", params(("id" = Uuid, Path)), request_body = UserChange,
    responses((status = 200, body = UserBody))
)]
async fn update(
    call: AuthenticatedRequest,
    PathId(id): PathId<UserId>,
    ApiJson(body): ApiJson<UserChange>,
) -> Result<Json<UserBody>, ApiError> {
    let UserChange { role, role_pinned, grants, is_active } = body;
    let command = UpdateUser { id, role, role_pinned, grants: check_grants(grants)?, is_active };
    let change = call.execute(command).await?;
    Ok(Json(change.after.into()))
}
