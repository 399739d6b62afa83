//! Routes of teams and their members.

use crate::body::{ApiJson, PathId, PathIdPair};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use chrono::{DateTime, Utc};
use domain::command::{
    CreateTeam, DeleteTeam, GetTeam, ListTeamMembers, ListTeams, NameTeamOwner, PutTeamMember, RemoveTeamMember,
    RestoreTeam, UpdateTeam,
};
use domain::error::ErrorKind;
use domain::ids::{TeamId, UserId};
use domain::team::{TeamMember, TeamPatch, TeamRole, TeamSlug, TeamView};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(restore))
        .routes(routes!(members))
        .routes(routes!(put_member, remove_member))
}

/// A new team.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Turnaround 2027", "slug": "turnaround-2027"}))]
struct NewTeam {
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// Short name, unique in the tenant: lower-case letters, digits and hyphens.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9-]*$")]
    slug: String,
}

/// A change of a team. Fields that are missing or null are not changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Turnaround 2027, phase 2"}))]
struct TeamChange {
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9-]*$")]
    slug: Option<String>,
}

/// A team that you belong to.
#[derive(Serialize, ToSchema)]
#[schema(as = Team)]
struct TeamBody {
    id: Uuid,
    name: String,
    slug: String,
    /// The tenant that owns the team, and that is charged for it.
    tenant_id: Uuid,
    /// Your role in it. What you may do is the lower of this and your role in your tenant.
    #[schema(schema_with = fields::team_role)]
    team_role: &'static str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// When it was marked for deletion; null otherwise. Only its owners still see it then.
    deleted_at: Option<DateTime<Utc>>,
}

/// The role of a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"team_role": "member"}))]
struct MemberChange {
    #[schema(schema_with = fields::team_role)]
    team_role: TeamRole,
}

/// A member of a team.
#[derive(Serialize, ToSchema)]
#[schema(as = TeamMember)]
struct MemberBody {
    user_id: Uuid,
    /// Name or email address.
    name: String,
    #[schema(schema_with = fields::team_role)]
    team_role: &'static str,
    /// Whether the member belongs to another tenant.
    guest: bool,
    joined_at: DateTime<Utc>,
}

/// Page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TeamPage {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the previous page.
    pub(super) cursor: Option<String>,
}

impl From<TeamView> for TeamBody {
    fn from(TeamView { team, host, role }: TeamView) -> Self {
        Self {
            id: team.id.as_uuid(),
            name: team.name,
            slug: team.slug,
            tenant_id: host.as_uuid(),
            team_role: role.as_str(),
            created_at: team.created_at,
            updated_at: team.updated_at,
            deleted_at: team.deleted_at,
        }
    }
}

impl From<TeamMember> for MemberBody {
    fn from(member: TeamMember) -> Self {
        Self {
            user_id: member.user.as_uuid(),
            name: member.name,
            team_role: member.role.as_str(),
            guest: member.guest_of.is_some(),
            joined_at: member.joined_at,
        }
    }
}

fn parse_slug(slug: &str) -> Result<TeamSlug, ApiError> {
    let detail = "must be lower-case letters, digits and hyphens, at most 64, and no UUID";
    TeamSlug::parse(slug).ok_or_else(|| ApiError::invalid_field("/slug", detail))
}

/// Creates a team. You become its owner.
#[utoipa::path(
    post, path = "/v1/teams", tag = "teams", request_body = NewTeam,
    responses((status = 201, body = TeamBody, headers(("location" = String))))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewTeam>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<TeamBody>), ApiError> {
    let command = CreateTeam { name: fields::parse_text("/name", &body.name)?, slug: parse_slug(&body.slug)? };
    let view = call.execute(command).await?;
    let location = format!("/v1/teams/{}", view.team.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view.into())))
}

/// Lists the teams that you belong to, newest first, those of other tenants included.
#[utoipa::path(
    get, path = "/v1/teams", tag = "teams", params(TeamPage),
    responses((status = 200, body = Listing<TeamBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<TeamPage>,
) -> Result<Json<Listing<TeamBody>>, ApiError> {
    let teams = call.execute(ListTeams { page: page::parse(query.limit, query.cursor.as_deref())? }).await?;
    Ok(Json(Listing::from_page(teams, Into::into)))
}

/// Returns a team that you belong to.
#[utoipa::path(
    get, path = "/v1/teams/{id}", tag = "teams", params(("id" = Uuid, Path)),
    responses((status = 200, body = TeamBody))
)]
async fn get(call: AuthenticatedRequest, PathId(id): PathId<TeamId>) -> Result<Json<TeamBody>, ApiError> {
    Ok(Json(call.execute(GetTeam { id }).await?.into()))
}

/// Changes a team's name or slug. Requires its owner.
#[utoipa::path(
    patch, path = "/v1/teams/{id}", tag = "teams", params(("id" = Uuid, Path)), request_body = TeamChange,
    responses((status = 200, body = TeamBody))
)]
async fn update(
    call: AuthenticatedRequest,
    PathId(id): PathId<TeamId>,
    ApiJson(body): ApiJson<TeamChange>,
) -> Result<Json<TeamBody>, ApiError> {
    let patch = TeamPatch {
        name: fields::parse_optional_text("/name", body.name.as_deref())?,
        slug: body.slug.as_deref().map(parse_slug).transpose()?,
    };
    Ok(Json(call.execute(UpdateTeam { id, patch }).await?.after.into()))
}

/// Marks a team for deletion. Requires its owner. Nobody reaches its content any more; until that is deleted, an owner
/// or an admin can restore the team.
#[utoipa::path(
    delete, path = "/v1/teams/{id}", tag = "teams", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn delete(call: AuthenticatedRequest, PathId(id): PathId<TeamId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteTeam { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restores a team that is marked for deletion. Requires its owner, or an admin of the tenant that owns it.
#[utoipa::path(
    post, path = "/v1/teams/{id}/restore", tag = "teams", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn restore(call: AuthenticatedRequest, PathId(id): PathId<TeamId>) -> Result<StatusCode, ApiError> {
    call.execute(RestoreTeam { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the members of a team, those who joined first coming first. There is one page.
#[utoipa::path(
    get, path = "/v1/teams/{id}/members", tag = "teams", params(("id" = Uuid, Path)),
    responses((status = 200, body = Listing<MemberBody>))
)]
async fn members(
    call: AuthenticatedRequest,
    PathId(team): PathId<TeamId>,
) -> Result<Json<Listing<MemberBody>>, ApiError> {
    let members = call.execute(ListTeamMembers { team }).await?;
    let data = members.into_iter().map(Into::into).collect();
    Ok(Json(Listing { data, next_cursor: None, has_more: false }))
}

/// Makes a user of the team's tenant a member, or changes a member's role. Requires an owner.
///
/// Of a team without an active owner, an admin of its tenant names a new one.
#[utoipa::path(
    put, path = "/v1/teams/{id}/members/{user}", tag = "teams", params(("id" = Uuid, Path), ("user" = Uuid, Path)),
    request_body = MemberChange, responses((status = 200, body = MemberBody))
)]
async fn put_member(
    call: AuthenticatedRequest,
    PathIdPair(team, user): PathIdPair<TeamId, UserId>,
    ApiJson(body): ApiJson<MemberChange>,
) -> Result<Json<MemberBody>, ApiError> {
    let role = body.team_role;
    match call.execute(PutTeamMember { team, user, role }).await {
        Err(error) if role == TeamRole::Owner && is_refusal(&error) => {
            // No owner, or no such user: as the admin of a team that nobody owns any more.
            match call.execute(NameTeamOwner { team, user }).await {
                Ok(member) => Ok(Json(member.into())),
                Err(refused) if is_refusal(&refused) => Err(error),
                Err(refused) => Err(refused),
            }
        }
        result => Ok(Json(result?.into())),
    }
}

fn is_refusal(error: &ApiError) -> bool {
    matches!(error.kind, ErrorKind::NotFound | ErrorKind::Forbidden)
}

/// Ends a membership: your own, or as an owner anyone's. The last owner stays.
#[utoipa::path(
    delete, path = "/v1/teams/{id}/members/{user}", tag = "teams",
    params(("id" = Uuid, Path), ("user" = Uuid, Path)), responses((status = 204))
)]
async fn remove_member(
    call: AuthenticatedRequest,
    PathIdPair(team, user): PathIdPair<TeamId, UserId>,
) -> Result<StatusCode, ApiError> {
    call.execute(RemoveTeamMember { team, user }).await?;
    Ok(StatusCode::NO_CONTENT)
}
