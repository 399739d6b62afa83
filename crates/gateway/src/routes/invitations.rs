//! Routes of invitations of other tenants' users to teams.

use super::teams::TeamPage;
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
use domain::command::{AcceptInvitation, DeclineInvitation, InviteToTeam, ListInvitations};
use domain::ids::{InvitationId, TeamId};
use domain::team::InvitationView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(invite)).routes(routes!(list)).routes(routes!(accept)).routes(routes!(decline))
}

/// An invitation of a user of another tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tenant": "acme-services", "email": "ines@services.example"}))]
struct NewInvitation {
    /// Slug of the guest's tenant.
    #[schema(min_length = 1, max_length = 64)]
    tenant: String,
    /// Email address that finds the guest. It does not authorize anybody.
    #[schema(min_length = 1, max_length = 255)]
    email: String,
}

/// An invitation to a team.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
struct InvitationBody {
    id: Uuid,
    team: InvitedTeam,
    #[schema(schema_with = fields::invitation_status)]
    status: &'static str,
    created_at: DateTime<Utc>,
    /// When it expires unless it is answered.
    expires_at: DateTime<Utc>,
}

/// The team that an invitation is to.
#[derive(Serialize, ToSchema)]
struct InvitedTeam {
    id: Uuid,
    name: String,
}

impl From<InvitationView> for InvitationBody {
    fn from(invitation: InvitationView) -> Self {
        Self {
            id: invitation.id.as_uuid(),
            team: InvitedTeam { id: invitation.team.as_uuid(), name: invitation.team_name },
            status: invitation.status.as_str(),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

/// Invites a user of another tenant to a team. Requires an owner, and that the tenant of the team hosts guests.
///
/// The answer is the same whether or not there is such a tenant and user, and whether or not that tenant lets its users
/// join.
#[utoipa::path(
    post, path = "/v1/teams/{id}/invitations", tag = "teams", params(("id" = Uuid, Path)),
    request_body = NewInvitation, responses((status = 201, body = InvitationBody))
)]
async fn invite(
    call: AuthenticatedRequest,
    PathId(team): PathId<TeamId>,
    ApiJson(body): ApiJson<NewInvitation>,
) -> Result<(StatusCode, Json<InvitationBody>), ApiError> {
    if body.tenant.chars().count() > 64 {
        return Err(ApiError::invalid_field("/tenant", "must be at most 64 characters long"));
    }
    let tenant = fields::parse_text("/tenant", &body.tenant)?;
    let email = fields::parse_text("/email", &body.email)?;
    let invitation = call.execute(InviteToTeam { team, tenant, email }).await?;
    Ok((StatusCode::CREATED, Json(invitation.into())))
}

/// Lists the invitations to you, newest first.
#[utoipa::path(
    get, path = "/v1/invitations", tag = "teams", params(TeamPage),
    responses((status = 200, body = Listing<InvitationBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<TeamPage>,
) -> Result<Json<Listing<InvitationBody>>, ApiError> {
    let page = page::parse(query.limit, query.cursor.as_deref())?;
    Ok(Json(Listing::from_page(call.execute(ListInvitations { page }).await?, Into::into)))
}

/// Accepts an invitation. You become a member of the team.
#[utoipa::path(
    post, path = "/v1/invitations/{id}/accept", tag = "teams", params(("id" = Uuid, Path)),
    responses((status = 200, body = InvitationBody))
)]
async fn accept(
    call: AuthenticatedRequest,
    PathId(id): PathId<InvitationId>,
) -> Result<Json<InvitationBody>, ApiError> {
    Ok(Json(call.execute(AcceptInvitation { id }).await?.into()))
}

/// Declines an invitation.
#[utoipa::path(
    post, path = "/v1/invitations/{id}/decline", tag = "teams", params(("id" = Uuid, Path)),
    responses((status = 200, body = InvitationBody))
)]
async fn decline(
    call: AuthenticatedRequest,
    PathId(id): PathId<InvitationId>,
) -> Result<Json<InvitationBody>, ApiError> {
    Ok(Json(call.execute(DeclineInvitation { id }).await?.into()))
}
