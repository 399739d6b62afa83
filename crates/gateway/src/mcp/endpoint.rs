//! The endpoint: reads a message within the gateway's limits, and hands it to rmcp's server.

use super::message;
use super::metadata::ResourceDescription;
use super::server::ToolServer;
use crate::body;
use crate::settings::GatewaySettings;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use policy::gate::Gate;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::sync::Arc;

/// State shared by the handlers of the endpoint.
#[derive(Clone)]
pub(crate) struct McpEndpoint {
    service: StreamableHttpService<ToolServer, NeverSessionManager>,
    pub(super) description: Arc<ResourceDescription>,
}

impl McpEndpoint {
    /// An endpoint without sessions that answers each request with one JSON document.
    pub(crate) fn new(gate: &Arc<dyn Gate>, settings: &GatewaySettings) -> Self {
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_allowed_hosts(settings.mcp.hosts())
            .with_allowed_origins(settings.mcp.origins())
            .enforce_origin_validation()
            .with_max_request_body_bytes(usize::try_from(settings.max_json_bytes).unwrap_or(usize::MAX));
        let gate = Arc::clone(gate);
        let server = move || Ok(ToolServer::new(Arc::clone(&gate)));
        let service = StreamableHttpService::new(server, Arc::new(NeverSessionManager::default()), config);
        let description = ResourceDescription::new(settings.mcp.clone(), settings.behind_proxy);
        Self { service, description: Arc::new(description) }
    }
}

/// Answers one message.
pub(crate) async fn handle(
    State(endpoint): State<McpEndpoint>,
    State(settings): State<Arc<GatewaySettings>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = match body::read_to_limit(body, &parts.headers, settings.max_json_bytes).await {
        Ok(bytes) => bytes,
        Err(error) => return error.into_response(),
    };
    if let Err(refusal) = message::check(&parts.headers, &bytes) {
        return refusal.into_response();
    }
    let request = Request::from_parts(parts, Body::from(bytes));
    endpoint.service.handle(request).await.map(Body::new)
}
