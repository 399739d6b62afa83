//! The route that draws the history of a tag.

use super::tools::parse_tool_name;
use crate::caller::AuthenticatedRequest;
use crate::chart::Chart;
use crate::error::ApiError;
use crate::fields;
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::approval::ToolInvocation;
use domain::command::InvokeTool;
use domain::error::ErrorKind;
use domain::plant::{Aggregate, TagHistory};
use domain::text::ShortText;
use domain::tool::ToolName;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(chart))
}

/// The history to draw.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChartQuery {
    /// Name of the tag.
    #[param(min_length = 1, max_length = 128)]
    tag: String,
    /// Start (RFC 3339), inclusive.
    from: DateTime<Utc>,
    /// End (RFC 3339), exclusive; at most 366 days after the start.
    to: DateTime<Utc>,
    /// The samples themselves, or how those of each interval are aggregated.
    #[param(schema_with = fields::aggregate)]
    aggregate: Aggregate,
    /// Length of the intervals in seconds. By default, one that gives at most 200 points.
    #[param(minimum = 1, maximum = 31_622_400)]
    interval_s: Option<u32>,
}

/// Draws the history of a tag as an SVG image: axes, limits, and gaps where values are missing. You need the right to
/// call the tool `plant_history_read`, which returns the data.
#[utoipa::path(
    get, path = "/v1/readings/chart", tag = "plant", params(ChartQuery),
    responses((status = 200, description = "The image", body = String, content_type = "image/svg+xml"))
)]
async fn chart(call: AuthenticatedRequest, ApiQuery(query): ApiQuery<ChartQuery>) -> Result<Response, ApiError> {
    let ChartQuery { tag, from, to, aggregate, interval_s } = query;
    let tag: ShortText = fields::parse_text("/tag", &tag)?;
    if from >= to {
        return Err(ApiError::invalid_field("/to", "must be after `from`"));
    }
    let mut arguments = json!({ "tag": tag.as_str(), "from": from, "to": to, "aggregate": aggregate });
    if let Some(interval_s) = interval_s {
        arguments["interval_s"] = interval_s.into();
    }
    let name = parse_tool_name(ToolName::PlantHistoryRead.as_str())?;
    let invoked = call.execute(InvokeTool { name, arguments, reason: None }).await?;
    let ToolInvocation::Result { result, classification } = invoked else {
        return Err(ApiError::from_kind(ErrorKind::Internal));
    };
    let history: TagHistory = serde_json::from_value(result).map_err(|_| ApiError::from_kind(ErrorKind::Internal))?;
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (CACHE_CONTROL, "private, no-store"),
    ];
    let classification = [("x-classification", classification.as_str())];
    Ok((headers, classification, Chart { history, from, to }.to_svg()).into_response())
}
