//! Routes of the plant mode: whether a tenant's plant systems may be read and written.

use crate::body::ApiJson;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::state::AppState;
use axum::Json;
use chrono::{DateTime, Utc};
use domain::command::{GetPlantMode, SetPlantMode};
use domain::plant::{PlantMode, PlantModeState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// Request to change the plant mode. `reason` is shown with the mode.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mode": "read_only", "reason": "Outage of unit 200."}))]
struct NewPlantMode {
    #[schema(schema_with = fields::plant_mode)]
    mode: PlantMode,
    #[schema(min_length = 1, max_length = 2000)]
    reason: String,
}

/// The tenant's plant mode.
#[derive(Serialize, ToSchema)]
#[schema(as = PlantMode)]
struct PlantModeBody {
    #[schema(schema_with = fields::plant_mode)]
    mode: &'static str,
    /// Empty if the mode was never set.
    reason: String,
    /// Null if the mode was never set.
    changed_at: Option<DateTime<Utc>>,
}

impl From<PlantModeState> for PlantModeBody {
    fn from(state: PlantModeState) -> Self {
        let PlantModeState { mode, reason, changed_at } = state;
        Self { mode: mode.as_str(), reason, changed_at }
    }
}

/// Returns the plant mode.
#[utoipa::path(get, path = "/v1/admin/plant-mode", tag = "plant", responses((status = 200, body = PlantModeBody)))]
async fn get(call: AuthenticatedRequest) -> Result<Json<PlantModeBody>, ApiError> {
    Ok(Json(call.execute(GetPlantMode).await?.into()))
}

/// Sets the plant mode. It applies at once to new requests and writes; reads and writes in progress that it forbids are
/// stopped within a second.
#[utoipa::path(
    put, path = "/v1/admin/plant-mode", tag = "plant", request_body = NewPlantMode,
    responses((status = 200, body = PlantModeBody))
)]
async fn put(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewPlantMode>,
) -> Result<Json<PlantModeBody>, ApiError> {
    let command = SetPlantMode { mode: body.mode, reason: fields::parse_text("/reason", &body.reason)? };
    Ok(Json(call.execute(command).await?.after.into()))
}
