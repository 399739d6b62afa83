//! Routes that list the models of the OpenAI-compatible API.

use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::openai;
use crate::openai::request::explain_not_found;
use crate::state::AppState;
use axum::Json;
use axum::extract::Path;
use domain::command::{GetModel, ListModels, ListTeams};
use domain::error::ErrorKind;
use domain::ids::{TeamId, TenantId};
use domain::model_id::ModelId;
use domain::page::PageRequest;
use domain::team::{TeamRole, TeamView};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read))
}

/// Value of the field `created`, in seconds since 1970. Arbitrary: clients require the field but do not use it.
const CREATED: u64 = 1_767_225_600;

/// A list of models.
#[derive(Serialize, ToSchema)]
struct ModelList {
    /// `list`
    object: &'static str,
    data: Vec<ModelBody>,
}

/// A model that requests can name.
#[derive(Serialize, ToSchema)]
#[schema(as = Model)]
struct ModelBody {
    id: String,
    /// `model`
    object: &'static str,
    created: u64,
    /// `platform`
    owned_by: &'static str,
}

impl From<ModelId> for ModelBody {
    fn from(id: ModelId) -> Self {
        Self::new(id.as_str().to_owned())
    }
}

impl ModelBody {
    fn new(id: String) -> Self {
        Self { id, object: "model", created: CREATED, owned_by: "platform" }
    }
}

/// A team with an assistant for the caller, and its name in model ids.
struct TeamModel {
    name: String,
    team: TeamId,
}

/// The teams with an assistant for the caller: those where the caller is a member or an owner. None if the caller's
/// token may not list teams.
async fn teams(call: &AuthenticatedRequest) -> Result<Vec<TeamModel>, ApiError> {
    let page = PageRequest::new(PageRequest::MAX_LIMIT, None).unwrap_or_default();
    let listed = match call.execute(ListTeams { page }).await {
        Ok(listed) => listed.items,
        Err(error) if error.kind == ErrorKind::Forbidden => Vec::new(),
        Err(error) => return Err(error),
    };
    let own_tenant = call.caller.tenant().id;
    let is_usable = |view: &TeamView| view.role >= TeamRole::Member && view.team.deleted_at.is_none();
    let teams: Vec<_> = listed.into_iter().filter(is_usable).collect();
    let mut named: Vec<_> =
        teams.iter().map(|view| TeamModel { name: model_name(view, &teams, own_tenant), team: view.team.id }).collect();
    named.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(named)
}

/// The slug of a team of the caller's own tenant, or one that no other team of the caller has. Otherwise the slug with
/// the tenant that owns the team, so that nobody is asked by mistake: slugs are unique within a tenant only.
fn model_name(view: &TeamView, all: &[TeamView], own_tenant: TenantId) -> String {
    let slug = &view.team.slug;
    let is_unique = all.iter().filter(|other| other.team.slug == *slug).count() == 1;
    if view.host == own_tenant || is_unique { slug.clone() } else { format!("{slug}.{}", view.host) }
}

/// Finds the team of the model id `assistant@…` by the name in it.
///
/// # Errors
/// OpenAI's error for an unknown model.
pub(super) async fn find_team(call: &AuthenticatedRequest, slug: &str) -> Result<TeamId, ApiError> {
    let found = teams(call).await?.into_iter().find(|model| model.name == slug);
    let unknown = || openai::model_not_found("GET /openai/v1/models lists the available models".to_owned());
    found.map(|model| model.team).ok_or_else(unknown)
}

/// Lists the models that you can use in the OpenAI-compatible API.
#[utoipa::path(
    get, path = "/openai/v1/models", tag = "openai",
    responses((status = 200, description = "The models", body = ModelList))
)]
async fn list(call: AuthenticatedRequest) -> Result<Json<ModelList>, ApiError> {
    let models = call.execute(ListModels).await?;
    let of_teams = teams(&call).await?.into_iter().map(|model| format!("{}{}", openai::TEAM_PREFIX, model.name));
    let data = models.into_iter().map(ModelBody::from).chain(of_teams.map(ModelBody::new)).collect();
    Ok(Json(ModelList { object: "list", data }))
}

/// Returns one of the models.
#[utoipa::path(
    get, path = "/openai/v1/models/{model}", tag = "openai", params(("model" = String, Path)),
    responses((status = 200, description = "The model", body = ModelBody))
)]
async fn read(call: AuthenticatedRequest, Path(model): Path<String>) -> Result<Json<ModelBody>, ApiError> {
    if let Some(slug) = openai::team_slug(&model) {
        find_team(&call, slug).await?;
        return Ok(Json(ModelBody::new(model)));
    }
    let id = openai::parse_model_id(&model)?;
    let found = call.execute(GetModel { id }).await;
    let found = found.map_err(|error| explain_not_found(error, id.as_str()))?;
    Ok(Json(found.into()))
}
