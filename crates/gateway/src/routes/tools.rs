//! Routes of tools: which ones the caller may call, and calls of them.

use crate::body::ApiJson;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::Listing;
use crate::state::AppState;
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::approval::ToolInvocation;
use domain::command::{InvokeTool, ListTools};
use domain::error::ErrorKind;
use domain::text::ShortText;
use domain::tool::ListedTool;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Value of `status` in the result of a tool that reads.
const SUCCESS: &str = "success";
/// Value of `status` in the response to a call that waits for approval.
const PENDING_APPROVAL: &str = "pending_approval";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(invoke))
}

/// A tool that you may call.
#[derive(Serialize, ToSchema)]
#[schema(as = Tool)]
struct ToolBody {
    /// A tool of an MCP server is named `server__tool`.
    name: String,
    description: String,
    /// JSON Schema of the arguments.
    #[schema(value_type = Object)]
    input_schema: Value,
    /// Whether it writes to a plant system.
    write: bool,
    /// Whether each call waits for approval.
    requires_approval: bool,
}

/// A call of a tool.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "arguments": {
        "action": "create_work_order", "target": "P-101A",
        "data": {"title": "Replace the seal", "description": "It leaks since the night shift.", "priority": 2}
    },
    "reason": "Found on the morning round."
}))]
struct ToolInvocationRequest {
    /// Arguments of the call; see the tool's `input_schema`.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
    /// Why you want it, for the approvers of a write.
    #[schema(min_length = 1, max_length = 2000)]
    reason: Option<String>,
}

/// The result of a tool that reads.
#[derive(Serialize, ToSchema)]
#[schema(as = ToolInvocationResult)]
struct ResultBody {
    #[schema(pattern = "^success$")]
    status: &'static str,
    /// What the tool returned. Its texts are content of documents or memories.
    #[schema(value_type = Object)]
    result: Value,
    /// Highest classification of the result.
    #[schema(schema_with = fields::classification)]
    classification: &'static str,
}

/// A call of a tool that writes. It was not executed, but waits for approval.
#[derive(Serialize, ToSchema)]
#[schema(as = PendingToolInvocation)]
struct PendingBody {
    #[schema(pattern = "^pending_approval$")]
    status: &'static str,
    approval_id: Uuid,
    expires_at: DateTime<Utc>,
}

impl From<ListedTool> for ToolBody {
    fn from(tool: ListedTool) -> Self {
        let ListedTool { spec, requires_approval } = tool;
        Self {
            name: spec.name.to_string(),
            description: spec.description.into_owned(),
            input_schema: spec.parameters,
            write: spec.writes_to_plant,
            requires_approval,
        }
    }
}

/// Parses the name of a tool in a path. A name that no tool can have is treated as that of an unknown tool.
pub(super) fn parse_tool_name(name: &str) -> Result<ShortText, ApiError> {
    ShortText::parse(name).map_err(|_| ApiError::from_kind(ErrorKind::NotFound))
}

/// Lists the tools that you may call.
#[utoipa::path(get, path = "/v1/tools", tag = "tools", responses((status = 200, body = Listing<ToolBody>)))]
async fn list(call: AuthenticatedRequest) -> Result<Json<Listing<ToolBody>>, ApiError> {
    let tools = call.execute(ListTools).await?;
    let data = tools.into_iter().map(Into::into).collect();
    Ok(Json(Listing { data, next_cursor: None, has_more: false }))
}

/// Calls a tool. A tool that writes is not executed: the response is 202, and people decide on the approval at
/// `Location`.
#[utoipa::path(
    post, path = "/v1/tools/{name}/invoke", tag = "tools", params(("name" = String, Path)),
    request_body = ToolInvocationRequest,
    responses(
        (status = 200, body = ResultBody), (status = 202, body = PendingBody, headers(("location" = String)))
    )
)]
async fn invoke(
    call: AuthenticatedRequest,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<ToolInvocationRequest>,
) -> Result<Response, ApiError> {
    let command = InvokeTool {
        name: parse_tool_name(&name)?,
        arguments: Value::Object(body.arguments),
        reason: fields::parse_optional_text("/reason", body.reason.as_deref())?,
    };
    Ok(match call.execute(command).await? {
        ToolInvocation::Result { result, classification } => {
            let classification = classification.as_str();
            Json(ResultBody { status: SUCCESS, result, classification }).into_response()
        }
        ToolInvocation::Pending(approval) => {
            let location = format!("/v1/approvals/{}", approval.id);
            let body = PendingBody {
                status: PENDING_APPROVAL,
                approval_id: approval.id.as_uuid(),
                expires_at: approval.expires_at,
            };
            (StatusCode::ACCEPTED, [(LOCATION, location)], Json(body)).into_response()
        }
    })
}
