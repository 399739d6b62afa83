//! The route that lists the model servers and their health.

use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::state::AppState;
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

/// The servers that run the platform's models.
#[derive(Serialize, ToSchema)]
struct ModelBackends {
    data: Vec<ModelBackendBody>,
}

/// A server that runs models.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelBackend)]
struct ModelBackendBody {
    /// Name of the server in the platform's configuration.
    name: String,
    /// Whether the server is outside the plant's network.
    is_cloud: bool,
    /// `failing` means that the server is reachable, but requests to it have failed.
    #[schema(schema_with = fields::backend_status)]
    status: &'static str,
    /// The models that the platform uses on this server.
    models: Vec<String>,
}

impl From<BackendHealth> for ModelBackendBody {
    fn from(BackendHealth { name, is_cloud, status, models }: BackendHealth) -> Self {
        Self { name, is_cloud, status: status.as_str(), models }
    }
}

/// Lists the model servers and their health, as observed by the process that answers the request.
#[utoipa::path(get, path = "/v1/admin/models", tag = "admin", responses((status = 200, body = ModelBackends)))]
async fn list(call: AuthenticatedRequest) -> Result<Json<ModelBackends>, ApiError> {
    let backends = call.execute(ListBackends).await?;
    Ok(Json(ModelBackends { data: backends.into_iter().map(Into::into).collect() }))
}
