//! Routes of MCP servers: adding them, and deciding which of their tools may be called.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::merge_patch::{PatchField, deserialize_present};
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use chrono::{DateTime, Utc};
use domain::command::{CreateMcpServer, DeleteMcpServer, GetMcpServer, ListMcpServers, UpdateMcpServer};
use domain::ids::McpServerId;
use domain::mcp::{
    InspectedServer, McpServer, McpServerName, McpToken, McpTool, McpToolName, ToolDecision, ToolDefinition, ToolRule,
};
use domain::role::Classification;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The only kind of authentication at an MCP server.
const BEARER: &str = "bearer";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// A new MCP server.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "cmms", "url": "https://cmms.plant.example/mcp", "auth": {"type": "bearer", "token": "4711"},
    "tools": [{"name": "find_ticket", "allow": true, "write": false, "classification": "internal"}]
}))]
struct NewMcpServer {
    /// Prefix of its tools' names, as in `name__tool`. Cannot be changed.
    #[schema(min_length = 1, max_length = 32, pattern = "^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$")]
    name: String,
    /// Address of its streamable HTTP endpoint.
    #[schema(min_length = 1, max_length = 2048)]
    url: String,
    /// How the platform authenticates to the server.
    auth: Option<McpAuthBody>,
    #[serde(default)]
    #[schema(max_items = 100)]
    tools: Vec<ToolRuleBody>,
}

/// Changes of an MCP server. Fields that are missing are not changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = McpServerChange)]
struct McpServerPatch {
    /// The new address. Without a new `auth`, the token is dropped. No tool can be called until it is decided on again.
    #[schema(min_length = 1, max_length = 2048)]
    url: Option<String>,
    /// The new authentication; null for none.
    #[serde(default, deserialize_with = "deserialize_present")]
    #[schema(value_type = Option<McpAuthBody>)]
    auth: PatchField<McpAuthBody>,
    /// The decisions on all tools; a tool that is not named is not allowed. They apply to the definitions that were
    /// shown last or, with a new `url`, to those that the server returns now.
    #[schema(max_items = 100)]
    tools: Option<Vec<ToolRuleBody>>,
}

/// Authentication at an MCP server. Responses do not contain the token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = McpAuth)]
struct McpAuthBody {
    #[serde(rename = "type")]
    #[schema(pattern = "^bearer$")]
    kind: String,
    /// 1 to 4096 visible ASCII characters.
    #[schema(min_length = 1, max_length = 4096)]
    token: String,
}

/// A decision on a tool.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = McpToolRule)]
struct ToolRuleBody {
    /// Name that the server calls the tool by.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// Whether it may be called.
    allow: bool,
    /// Whether each call needs an approval, because the tool changes something.
    #[serde(default)]
    write: bool,
    /// Classification of everything that the tool returns; `internal` if missing.
    #[schema(schema_with = fields::classification)]
    classification: Option<Classification>,
    /// `definition.digest` as you read it. If the decision would cover another definition, the response is 409
    /// `definition_changed`, and nothing is decided.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    digest: Option<String>,
}

/// An MCP server, with its tools.
#[derive(Serialize, ToSchema)]
#[schema(as = McpServer)]
struct McpServerBody {
    id: Uuid,
    name: String,
    url: String,
    /// How the platform authenticates to the server; null if it does not.
    auth: Option<ShownAuthBody>,
    tools: Vec<McpToolBody>,
    /// Whether the server responded when its tools were fetched for this response; null if they were not fetched.
    reachable: Option<bool>,
    /// Why the tools could not be fetched.
    detail: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Kind of the authentication at an MCP server.
#[derive(Serialize, ToSchema)]
#[schema(as = McpAuthKind)]
struct ShownAuthBody {
    #[serde(rename = "type")]
    #[schema(pattern = "^bearer$")]
    kind: &'static str,
}

/// A tool of an MCP server.
#[derive(Serialize, ToSchema)]
#[schema(as = McpTool)]
struct McpToolBody {
    /// Name that the server calls the tool by.
    name: String,
    /// Name by which callers and models call it; null if it cannot be allowed, because the name would be too long or
    /// contain a character that the APIs of models do not accept.
    callable_as: Option<String>,
    allow: bool,
    write: bool,
    #[schema(schema_with = fields::classification)]
    classification: &'static str,
    /// `changed` tools run again after the next change of `tools`.
    #[schema(schema_with = fields::mcp_tool_state)]
    state: &'static str,
    /// The last definition of the tool; null if the server had no such tool. Its texts come from the server.
    definition: Option<ToolDefinitionBody>,
    /// The definition that was allowed, if it has changed since.
    allowed_definition: Option<ToolDefinitionBody>,
}

/// An MCP server's definition of a tool.
#[derive(Serialize, ToSchema)]
#[schema(as = McpToolDefinition)]
struct ToolDefinitionBody {
    title: Option<String>,
    description: Option<String>,
    /// JSON Schema of the arguments.
    #[schema(value_type = Object)]
    input_schema: Value,
    /// JSON Schema of the structured result.
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Value>,
    /// The server's hints. No decision depends on them.
    #[schema(value_type = Option<Object>)]
    annotations: Option<Value>,
    /// `sha256:` and the digest of the definition in canonical JSON, by which it is compared.
    digest: String,
}

/// Page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct McpServerQuery {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<ToolDefinition> for ToolDefinitionBody {
    fn from(definition: ToolDefinition) -> Self {
        let digest = definition.digest().unwrap_or_default();
        let ToolDefinition { name: _, title, description, input_schema, output_schema, annotations } = definition;
        Self { title, description, input_schema, output_schema, annotations, digest }
    }
}

impl McpToolBody {
    fn new(server: &McpServerName, tool: McpTool) -> Self {
        let state = tool.state();
        let McpTool { rule, pinned, observed, has_changed, .. } = tool;
        Self {
            callable_as: McpToolName::new(server, &rule.name).map(|name| name.as_str().to_owned()),
            name: rule.name,
            allow: rule.allow,
            write: rule.write,
            classification: rule.classification.as_str(),
            state: state.as_str(),
            definition: observed.map(Into::into),
            allowed_definition: pinned.filter(|_| has_changed).map(Into::into),
        }
    }
}

impl From<McpServer> for McpServerBody {
    fn from(server: McpServer) -> Self {
        let McpServer { id, name, url, sealed_token, tools, created_at, updated_at } = server;
        Self {
            id: id.as_uuid(),
            url,
            auth: sealed_token.map(|_| ShownAuthBody { kind: BEARER }),
            tools: tools.into_iter().map(|tool| McpToolBody::new(&name, tool)).collect(),
            name: name.to_string(),
            reachable: None,
            detail: None,
            created_at,
            updated_at,
        }
    }
}

impl From<InspectedServer> for McpServerBody {
    fn from(inspected: InspectedServer) -> Self {
        let InspectedServer { server, failure } = inspected;
        Self { reachable: Some(failure.is_none()), detail: failure, ..server.into() }
    }
}

impl McpAuthBody {
    fn parse(self) -> Result<McpToken, ApiError> {
        if self.kind != BEARER {
            return Err(ApiError::invalid_field("/auth/type", "must be bearer"));
        }
        let token = McpToken::parse(&self.token);
        token.ok_or_else(|| ApiError::invalid_field("/auth/token", "must be 1 to 4096 visible ASCII characters"))
    }
}

fn parse_url(url: &str) -> Result<String, ApiError> {
    if url.is_empty() || url.chars().count() > McpServer::MAX_URL_LEN || url.contains('\0') {
        return Err(ApiError::invalid_field("/url", "must be a URL of at most 2048 characters"));
    }
    Ok(url.to_owned())
}

fn parse_rules(rules: Vec<ToolRuleBody>) -> Result<Vec<ToolDecision>, ApiError> {
    if rules.len() > McpServer::MAX_TOOLS {
        return Err(ApiError::invalid_field("/tools", format!("must be at most {} tools", McpServer::MAX_TOOLS)));
    }
    let parse = |(index, rule): (usize, ToolRuleBody)| {
        let ToolRuleBody { name, allow, write, classification, digest } = rule;
        let len = name.chars().count();
        if len == 0 || len > ToolRule::MAX_NAME_LEN || name.contains('\0') {
            let detail = format!("must have 1 to {} characters, and no U+0000", ToolRule::MAX_NAME_LEN);
            return Err(ApiError::invalid_field(format!("/tools/{index}/name"), detail));
        }
        if digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
            let detail = "must be sha256: and 64 hexadecimal digits, as definition.digest has them";
            return Err(ApiError::invalid_field(format!("/tools/{index}/digest"), detail));
        }
        let classification = classification.unwrap_or(Classification::Internal);
        Ok(ToolDecision { rule: ToolRule { name, allow, write, classification }, digest })
    };
    rules.into_iter().enumerate().map(parse).collect()
}

fn is_digest(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

/// Lists the MCP servers with their tools as last fetched, newest first. Requires the role `admin`.
#[utoipa::path(
    get, path = "/v1/admin/mcp-servers", tag = "admin", params(McpServerQuery),
    responses((status = 200, body = Listing<McpServerBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<McpServerQuery>,
) -> Result<Json<Listing<McpServerBody>>, ApiError> {
    let command = ListMcpServers { page: page::parse(query.limit, query.cursor.as_deref())? };
    let servers = call.execute(command).await?;
    Ok(Json(Listing::from_page(servers, Into::into)))
}

/// Adds an MCP server, and fetches its tools. Requires the role `admin`.
///
/// Tools are allowed as the server defines them now. A server that does not respond is also added; its tools are
/// `missing` until it has responded and they were decided on again.
#[utoipa::path(
    post, path = "/v1/admin/mcp-servers", tag = "admin", request_body = NewMcpServer,
    responses((status = 201, body = McpServerBody, headers(("location" = String))))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewMcpServer>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<McpServerBody>), ApiError> {
    let command = CreateMcpServer {
        name: McpServerName::parse(&body.name).map_err(|error| ApiError::invalid_field("/name", error))?,
        url: parse_url(&body.url)?,
        token: body.auth.map(McpAuthBody::parse).transpose()?,
        tools: parse_rules(body.tools)?,
    };
    let created = call.execute(command).await?;
    let location = format!("/v1/admin/mcp-servers/{}", created.server.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(created.into())))
}

/// Returns an MCP server, and fetches its tools. Requires the role `admin`.
#[utoipa::path(
    get, path = "/v1/admin/mcp-servers/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = McpServerBody))
)]
async fn get(call: AuthenticatedRequest, PathId(id): PathId<McpServerId>) -> Result<Json<McpServerBody>, ApiError> {
    Ok(Json(call.execute(GetMcpServer { id }).await?.into()))
}

/// Changes an MCP server, or decides on its tools. Requires the role `admin`.
#[utoipa::path(
    patch, path = "/v1/admin/mcp-servers/{id}", tag = "admin", params(("id" = Uuid, Path)),
    request_body = McpServerPatch, responses((status = 200, body = McpServerBody))
)]
async fn update(
    call: AuthenticatedRequest,
    PathId(id): PathId<McpServerId>,
    ApiJson(body): ApiJson<McpServerPatch>,
) -> Result<Json<McpServerBody>, ApiError> {
    let command = UpdateMcpServer {
        id,
        url: body.url.as_deref().map(parse_url).transpose()?,
        token: body.auth.map(|auth| auth.map(McpAuthBody::parse).transpose()).transpose()?,
        tools: body.tools.map(parse_rules).transpose()?,
    };
    Ok(Json(call.execute(command).await?.after.into()))
}

/// Deletes an MCP server. Its tools are removed immediately. Requires the role `admin`.
#[utoipa::path(
    delete, path = "/v1/admin/mcp-servers/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 204))
)]
async fn delete(call: AuthenticatedRequest, PathId(id): PathId<McpServerId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteMcpServer { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
