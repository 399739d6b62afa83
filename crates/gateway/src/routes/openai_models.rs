//! Routes that list the models of the OpenAI-compatible API.

use crate::caller::ApiCall;
use crate::error::ApiError;
use crate::openai;
use crate::openai::request::explain_not_found;
use crate::state::AppState;
use axum::Json;
use axum::extract::Path;
use domain::command::{GetModel, ListModels};
use domain::model_id::ModelId;
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
    id: &'static str,
    /// `model`
    object: &'static str,
    created: u64,
    /// `platform`
    owned_by: &'static str,
}

impl From<ModelId> for ModelBody {
    fn from(id: ModelId) -> Self {
        Self { id: id.as_str(), object: "model", created: CREATED, owned_by: "platform" }
    }
}

/// Lists the models that you can use in the OpenAI-compatible API.
#[utoipa::path(
    get, path = "/openai/v1/models", tag = "openai",
    responses((status = 200, description = "The models", body = ModelList))
)]
async fn list(call: ApiCall) -> Result<Json<ModelList>, ApiError> {
    let models = call.execute(ListModels).await?;
    Ok(Json(ModelList { object: "list", data: models.into_iter().map(ModelBody::from).collect() }))
}

/// Returns one of the models.
#[utoipa::path(
    get, path = "/openai/v1/models/{model}", tag = "openai", params(("model" = String, Path)),
    responses((status = 200, description = "The model", body = ModelBody))
)]
async fn read(call: ApiCall, Path(model): Path<String>) -> Result<Json<ModelBody>, ApiError> {
    let id = openai::parse_model_id(&model)?;
    let found = call.execute(GetModel { id }).await;
    let found = found.map_err(|error| explain_not_found(error, id.as_str()))?;
    Ok(Json(found.into()))
}
