//! The route of the models' health.

use crate::caller::ApiCall;
use crate::error::ApiError;
use crate::state::AppState;
use crate::wire;
use axum::Json;
use domain::backend_health::BackendHealth;
use domain::command::ListBackends;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The servers that models run on.
#[derive(Serialize, ToSchema)]
struct ModelBackends {
    data: Vec<ModelBackendBody>,
}

/// A server that models run on.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelBackend)]
struct ModelBackendBody {
    /// Its name in the platform's configuration.
    name: String,
    /// Whether it is outside of the plant's own network.
    is_cloud: bool,
    /// `failing`: it is reachable, but requests to it have failed.
    #[schema(schema_with = wire::backend_status)]
    status: &'static str,
    /// The models that the platform asks it for.
    models: Vec<String>,
}

impl From<BackendHealth> for ModelBackendBody {
    fn from(BackendHealth { name, is_cloud, status, models }: BackendHealth) -> Self {
        Self { name, is_cloud, status: status.as_str(), models }
    }
}

/// Lists the servers that models run on, with their health as this process sees it.
#[utoipa::path(get, path = "/v1/admin/models", tag = "admin", responses((status = 200, body = ModelBackends)))]
async fn list(call: ApiCall) -> Result<Json<ModelBackends>, ApiError> {
    let backends = call.execute(ListBackends).await?;
    Ok(Json(ModelBackends { data: backends.into_iter().map(Into::into).collect() }))
}
