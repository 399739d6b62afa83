//! One connection to an MCP server: the handshake of whichever revision it speaks, its tools, and calls.

use super::error::McpError;
use domain::mcp::{McpServer, ToolDefinition};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig, ErrorCode,
    Implementation, JsonObject, PaginatedRequestParams, ProtocolVersion, Tool,
};
use rmcp::service::{ClientInitializeError, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient, ServiceError};
use serde_json::Value;
use std::time::Duration;

/// Maximum size of an answer, in bytes.
pub(super) const MAX_RESPONSE_BYTES: usize = 1 << 20;
/// Maximum size of the body of an HTTP error, in bytes. Its text is not used.
const MAX_ERROR_BYTES: usize = 8 << 10;
/// Maximum number of pages of a list of tools.
const MAX_PAGES: usize = 10;
/// Time limit for closing a connection, including the end of the session on servers with sessions.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The platform as a client, without any client capabilities.
struct PlatformClient;

impl ClientHandler for PlatformClient {
    fn get_info(&self) -> ClientConfig {
        let identity = Implementation::new("plant-agent-platform", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), identity)
    }
}

/// An open connection. Dropping it ends it.
pub(super) struct Session {
    service: RunningService<RoleClient, PlatformClient>,
}

impl Session {
    /// Connects: by the stateless revision 2026-07-28 if the server speaks it, otherwise by the handshake of 2025-11-25
    /// or an earlier revision.
    pub(super) async fn open(client: reqwest::Client, url: &str, token: Option<&str>) -> Result<Self, McpError> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(url)
            .max_sse_event_size(MAX_RESPONSE_BYTES)
            .max_json_response_size(MAX_RESPONSE_BYTES)
            .max_error_response_size(MAX_ERROR_BYTES)
            .reinit_on_expired_session(false);
        if let Some(token) = token {
            config = config.auth_header(token);
        }
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        };
        let opened = PlatformClient.serve_with_lifecycle(transport, lifecycle).await;
        Ok(Self { service: opened.map_err(|error| handshake_error(&error))? })
    }

    /// The server's tools: at most [`McpServer::MAX_TOOLS`] from its first [`MAX_PAGES`] pages, without those whose
    /// definition is too large or cannot be stored. Of several with the same name, the first of these counts.
    pub(super) async fn definitions(&self) -> Result<Vec<ToolDefinition>, McpError> {
        let mut definitions: Vec<ToolDefinition> = Vec::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = cursor.take().map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
            let listed = self.service.list_tools(page).await.map_err(|error| service_error(&error))?;
            for definition in listed.tools.iter().map(to_definition) {
                let is_new = definitions.iter().all(|earlier| earlier.name != definition.name);
                if is_new && definition.is_acceptable() && definitions.len() < McpServer::MAX_TOOLS {
                    definitions.push(definition);
                }
            }
            cursor = listed.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(definitions)
    }

    /// Calls a tool, without retrying.
    pub(super) async fn call(&self, tool: &str, arguments: JsonObject) -> Result<CallToolResult, McpError> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        match self.service.call_tool_once(params).await {
            Ok(CallToolResponse::Complete(result)) => Ok(result),
            Ok(_) => Err(McpError::NeedsInput),
            Err(error) => Err(service_error(&error)),
        }
    }

    /// Ends the connection.
    pub(super) async fn close(mut self) {
        if self.service.close_with_timeout(CLOSE_LIMIT).await.is_err() {
            tracing::debug!("a connection to an MCP server ended with an error");
        }
    }
}

fn to_definition(tool: &Tool) -> ToolDefinition {
    ToolDefinition {
        name: tool.name.to_string(),
        title: tool.title.clone(),
        description: tool.description.as_ref().map(ToString::to_string),
        input_schema: Value::Object(tool.input_schema.as_ref().clone()),
        output_schema: tool.output_schema.as_ref().map(|schema| Value::Object(schema.as_ref().clone())),
        annotations: tool.annotations.as_ref().and_then(|annotations| serde_json::to_value(annotations).ok()),
    }
}

/// Why connecting failed, without the server's text.
fn handshake_error(error: &ClientInitializeError) -> McpError {
    if error.auth_challenge().is_some() {
        return McpError::Unauthorized;
    }
    match error {
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => handshake_error(fallback),
        ClientInitializeError::JsonRpcError(error) => McpError::Rejected { code: error.code.0 },
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => McpError::UnknownRevision,
        _ => McpError::Unreachable,
    }
}

/// Why a request failed, without the server's text.
fn service_error(error: &ServiceError) -> McpError {
    if error.auth_challenge().is_some() {
        return McpError::Unauthorized;
    }
    match error {
        ServiceError::McpError(error) => McpError::Rejected { code: error.code.0 },
        ServiceError::Timeout { timeout } => McpError::TimedOut { limit: *timeout },
        _ => McpError::Interrupted { limit: MAX_RESPONSE_BYTES },
    }
}

/// Whether a protocol error means that the call was refused before it had any effect.
pub(super) fn is_refusal(code: i32) -> bool {
    let refusals = [
        ErrorCode::INVALID_PARAMS,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::METHOD_NOT_FOUND,
        ErrorCode::PARSE_ERROR,
        ErrorCode::HEADER_MISMATCH,
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
        ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY,
    ];
    refusals.iter().any(|refusal| refusal.0 == code)
}
