//! Connects to MCP servers, with their own credentials and to allowed addresses only, and stores changed definitions.

use super::breaker::Breakers;
use super::error::McpError;
use super::observer::{CallObserver, CallOutcome};
use super::result;
use super::session::{self, Session};
use crate::egress::EgressPolicy;
use async_trait::async_trait;
use domain::ids::TenantId;
use domain::mcp::{McpServer, ToolDefinition};
use domain::ports::{SealError, SecretSealer, Store, StoreError};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::tool::McpToolResult;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use url::Url;

/// Time limit for the handshake and the list of tools together.
const LIST_LIMIT: Duration = Duration::from_secs(12);
/// Time limit for a call, after that.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Lists the tools of MCP servers, for administrators.
#[async_trait]
pub trait ToolInspector: Send + Sync {
    /// Checks what can be checked of an address without connecting to it.
    ///
    /// # Errors
    /// If it is no URL, or can never be connected to.
    fn check_url(&self, url: &str) -> Result<(), McpError>;

    /// The server's current tool definitions. Those that are too large are left out.
    ///
    /// # Errors
    /// If the server cannot be reached, or its token cannot be read.
    async fn definitions(&self, tenant: TenantId, server: &McpServer) -> Result<Vec<ToolDefinition>, McpError>;
}

/// The dependencies of [`McpConnector`].
#[derive(Clone)]
pub struct McpPorts {
    /// Opens transactions that are restricted to one tenant.
    pub store: Arc<dyn Store>,
    /// Decrypts the servers' tokens.
    pub sealer: Arc<dyn SecretSealer>,
    /// Observes each call.
    pub observer: Arc<dyn CallObserver>,
}

/// Connects to MCP servers.
pub struct McpConnector {
    ports: McpPorts,
    egress: EgressPolicy,
    breakers: Breakers,
}

/// One call of a tool, with the definition that was allowed.
#[derive(Clone, Copy)]
pub(super) struct AllowedCall<'a> {
    pub(super) scope: &'a TenantScope,
    pub(super) server: &'a McpServer,
    pub(super) definition: &'a ToolDefinition,
    pub(super) classification: Classification,
}

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum FailedCall {
    /// It was not sent, or refused before anything was done.
    NotMade(McpError),
    /// It was sent, and it is unknown whether it took effect.
    Unclear(McpError),
}

impl FailedCall {
    pub(super) fn into_error(self) -> McpError {
        match self {
            Self::NotMade(error) | Self::Unclear(error) => error,
        }
    }
}

impl McpConnector {
    /// A connector that connects to what `egress` allows.
    #[must_use]
    pub fn new(ports: McpPorts, egress: EgressPolicy) -> Self {
        Self { ports, egress, breakers: Breakers::default() }
    }

    /// Calls a tool if its current definition is the allowed one.
    pub(super) async fn call(
        &self,
        call: AllowedCall<'_>,
        arguments: Map<String, Value>,
    ) -> Result<McpToolResult, FailedCall> {
        let started = Instant::now();
        let result = self.call_unmeasured(call, arguments).await;
        let outcome = match &result {
            Ok(result) if result.is_error => CallOutcome::ToolError,
            Ok(_) => CallOutcome::Success,
            Err(FailedCall::NotMade(error) | FailedCall::Unclear(error)) => CallOutcome::Failed(error.audit_code()),
        };
        self.ports.observer.ended(outcome, started.elapsed());
        result
    }

    async fn call_unmeasured(
        &self,
        call: AllowedCall<'_>,
        arguments: Map<String, Value>,
    ) -> Result<McpToolResult, FailedCall> {
        let AllowedCall { scope, server, definition, classification } = call;
        let listing = self.list_tools(scope.tenant(), server).await.map_err(FailedCall::NotMade)?;
        let observed = listing.definitions.iter().find(|observed| observed.name == definition.name);
        if observed.is_none_or(|observed| !definition.is_same_as(observed)) {
            self.save_tools(scope, server, &listing.definitions).await;
            let error = if observed.is_some() { McpError::DefinitionChanged } else { McpError::Missing };
            return Err(FailedCall::NotMade(error));
        }
        let sent = timeout(CALL_LIMIT, listing.session.call(&definition.name, arguments)).await;
        let answered = sent.unwrap_or(Err(McpError::TimedOut { limit: CALL_LIMIT }));
        match &answered {
            Ok(_) => self.breakers.record_success(server.id),
            Err(error) if error.is_outage() => self.breakers.record_outage(server.id),
            Err(_) => {}
        }
        match answered {
            Ok(answer) => {
                listing.session.close().await;
                Ok(result::bounded(&answer, classification))
            }
            Err(McpError::Rejected { code }) if session::is_refusal(code) => {
                Err(FailedCall::NotMade(McpError::Rejected { code }))
            }
            Err(error @ (McpError::Unauthorized | McpError::NeedsInput)) => Err(FailedCall::NotMade(error)),
            Err(error) => Err(FailedCall::Unclear(error)),
        }
    }

    /// Connects, and lists the tools.
    async fn list_tools(&self, tenant: TenantId, server: &McpServer) -> Result<ToolListing, McpError> {
        if let Some(retry_after) = self.breakers.remaining_pause(server.id) {
            return Err(McpError::LeftAlone { retry_after });
        }
        let listed = timeout(LIST_LIMIT, self.list_tools_once(tenant, server)).await;
        let listed = listed.unwrap_or(Err(McpError::TimedOut { limit: LIST_LIMIT }));
        // A list says nothing of the calls: a server that lists its tools and hangs in each call is out of order.
        if listed.as_ref().is_err_and(McpError::is_outage) {
            self.breakers.record_outage(server.id);
        }
        listed
    }

    async fn list_tools_once(&self, tenant: TenantId, server: &McpServer) -> Result<ToolListing, McpError> {
        let url = Url::parse(&server.url).map_err(|_| McpError::InvalidUrl)?;
        let client = self.egress.checked_client(&url).await?;
        let purpose = McpServer::sealing_purpose(server.id);
        let sealed = server.sealed_token.as_deref();
        let opened = sealed.map(|sealed| self.ports.sealer.open(tenant, &purpose, sealed)).transpose()?;
        let token = match &opened {
            Some(token) => Some(std::str::from_utf8(token.expose_secret()).map_err(|_| SealError::CannotOpen)?),
            None => None,
        };
        let session = Session::open(client, &server.url, token).await?;
        let definitions = session.definitions().await?;
        Ok(ToolListing { session, definitions })
    }

    /// Stores the current definitions, which disables a changed tool. A failure is logged; the call is refused anyway.
    async fn save_tools(&self, scope: &TenantScope, server: &McpServer, definitions: &[ToolDefinition]) {
        tracing::warn!(server = %server.name, "the definition of an allowed tool has changed; the tool is disabled");
        let record = async {
            let mut tx = self.ports.store.begin(scope).await?;
            let Some(mut current) = tx.mcp_servers().lock(server.id).await? else { return Ok(()) };
            if current.url == server.url && current.sync_tools(definitions) {
                tx.mcp_servers().save_tools(&current).await?;
                tx.commit().await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = record.await {
            tracing::error!(%error, "a changed definition of a tool could not be recorded");
        }
    }
}

/// A connection, and the server's tools.
struct ToolListing {
    session: Session,
    definitions: Vec<ToolDefinition>,
}

#[async_trait]
impl ToolInspector for McpConnector {
    fn check_url(&self, url: &str) -> Result<(), McpError> {
        let url = Url::parse(url).map_err(|_| McpError::InvalidUrl)?;
        Ok(self.egress.check_url(&url)?)
    }

    async fn definitions(&self, tenant: TenantId, server: &McpServer) -> Result<Vec<ToolDefinition>, McpError> {
        let ToolListing { session, definitions } = self.list_tools(tenant, server).await?;
        session.close().await;
        Ok(definitions)
    }
}
