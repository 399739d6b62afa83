//! MCP servers of a tenant: adding them, inspecting their tools, and setting the rules on those.
//!
//! The server is queried between two transactions: the first records the intent, the second stores the result. No
//! transaction is held open during the network call.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::Change;
use domain::authorized::Authorized;
use domain::command::{CreateMcpServer, DeleteMcpServer, GetMcpServer, ListMcpServers, UpdateMcpServer};
use domain::ids::McpServerId;
use domain::mcp::{InspectedServer, McpServer, McpServerName, McpToken, McpToolName, ToolDecision, ToolDefinition};
use domain::page::Page;
use domain::ports::{Clock, IdGen, SealError, SecretSealer, Store, StoreError};
use domain::scope::TenantScope;
use domain::upload::FieldError;
use std::collections::BTreeSet;
use std::sync::Arc;
use tools::mcp::{McpError, ToolInspector};

const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the MCP server" };

/// Dependencies of [`McpServerService`].
#[derive(Clone)]
pub struct McpServerPorts {
    /// Transactions of a tenant.
    pub store: Arc<dyn Store>,
    /// Lists the tools the servers offer.
    pub inspector: Arc<dyn ToolInspector>,
    /// Encrypts the servers' tokens.
    pub sealer: Arc<dyn SecretSealer>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Source of new ids.
    pub ids: Arc<dyn IdGen>,
}

/// Use cases for MCP servers.
pub struct McpServerService {
    ports: McpServerPorts,
}

impl McpServerService {
    /// Creates the service.
    #[must_use]
    pub fn new(ports: McpServerPorts) -> Self {
        Self { ports }
    }

    fn check_url(&self, url: &str) -> Result<(), FieldError> {
        let invalid = |error: McpError| FieldError { pointer: "/url".to_owned(), detail: error.to_string() };
        self.ports.inspector.check_url(url).map_err(invalid)
    }

    fn seal(&self, scope: &TenantScope, id: McpServerId, token: &McpToken) -> Result<Vec<u8>, RuntimeError> {
        let purpose = McpServer::sealing_purpose(id);
        let sealed = self.ports.sealer.seal(scope.tenant(), &purpose, token.expose().as_bytes());
        sealed.map_err(|source: SealError| {
            StoreError::Failed { activity: "sealing the token of an MCP server", source: Box::new(source) }.into()
        })
    }

    /// Fetches the current tool definitions, or the reason they are unavailable.
    async fn inspect(&self, scope: &TenantScope, server: &McpServer) -> Inspection {
        match self.ports.inspector.definitions(scope.tenant(), server).await {
            Ok(definitions) => Inspection { definitions: Some(definitions), failure: None },
            Err(error) => Inspection { definitions: None, failure: Some(error.to_string()) },
        }
    }

    /// Stores the definitions that were fetched, unless the server's address was changed meanwhile.
    async fn record(
        &self,
        scope: &TenantScope,
        server: &McpServer,
        definitions: &[ToolDefinition],
    ) -> Result<McpServer, RuntimeError> {
        let mut tx = self.ports.store.begin(scope).await?;
        let mut current = tx.mcp_servers().lock(server.id).await?.ok_or(NOT_FOUND)?;
        if current.url == server.url && current.sync_tools(definitions) {
            tx.mcp_servers().save_tools(&current).await?;
            tx.commit().await?;
        }
        Ok(current)
    }
}

/// Result of an inspection.
struct Inspection {
    /// Definitions of its tools; `None` if it failed.
    definitions: Option<Vec<ToolDefinition>>,
    failure: Option<String>,
}

#[async_trait]
impl UseCase<ListMcpServers> for McpServerService {
    async fn execute(&self, command: Authorized<ListMcpServers>) -> Result<Page<McpServer>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let page = tx.mcp_servers().list(&command.command().page).await?;
        tx.defer_commit();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<GetMcpServer> for McpServerService {
    async fn execute(&self, command: Authorized<GetMcpServer>) -> Result<InspectedServer, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let server = tx.mcp_servers().get(command.command().id).await?.ok_or(NOT_FOUND)?;
        tx.commit().await?;
        let Inspection { definitions, failure } = self.inspect(command.scope(), &server).await;
        let server = match definitions {
            Some(definitions) => self.record(command.scope(), &server, &definitions).await?,
            None => server,
        };
        Ok(InspectedServer { server, failure })
    }
}

#[async_trait]
impl UseCase<CreateMcpServer> for McpServerService {
    async fn execute(&self, command: Authorized<CreateMcpServer>) -> Result<InspectedServer, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (permit, CreateMcpServer { name, url, token, tools }) = command.into_parts();
        self.check_url(&url)?;
        check_rules(&name, &tools)?;
        if tx.mcp_servers().by_name(name.as_str()).await?.is_some() {
            return Err(RuntimeError::Conflict { detail: "An MCP server with this name already exists." });
        }
        if tx.mcp_servers().count().await? >= McpServer::MAX_PER_TENANT as u64 {
            return Err(RuntimeError::TenantLimit { resources: "MCP servers", max: McpServer::MAX_PER_TENANT });
        }
        tx.commit().await?;
        let (scope, now) = (permit.scope(), self.ports.clock.now());
        let id = McpServerId::from_uuid(self.ports.ids.uuid());
        let sealed_token = token.map(|token| self.seal(scope, id, &token)).transpose()?;
        let (created_at, updated_at) = (now, now);
        let mut server = McpServer { id, name, url, sealed_token, tools: Vec::new(), created_at, updated_at };
        let Inspection { definitions, failure } = self.inspect(scope, &server).await;
        server.sync_tools(&definitions.unwrap_or_default());
        decide(&mut server, tools)?;
        let mut tx = self.ports.store.begin(scope).await?;
        tx.mcp_servers().insert(&server, scope.user()).await?;
        tx.commit().await?;
        Ok(InspectedServer { server, failure })
    }
}

#[async_trait]
impl UseCase<UpdateMcpServer> for McpServerService {
    async fn execute(&self, command: Authorized<UpdateMcpServer>) -> Result<Change<InspectedServer>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (permit, UpdateMcpServer { id, url, token, mut tools }) = command.into_parts();
        let before = tx.mcp_servers().get(id).await?.ok_or(NOT_FOUND)?;
        url.as_deref().map(|url| self.check_url(url)).transpose()?;
        tools.as_ref().map(|rules| check_rules(&before.name, rules)).transpose()?;
        tx.commit().await?;
        let (scope, now) = (permit.scope(), self.ports.clock.now());
        let mut after = McpServer { updated_at: now, ..before.clone() };
        if let Some(url) = url.filter(|url| *url != before.url) {
            after.url = url;
            // Token and rules were given for the old address.
            after.sealed_token = None;
            after.disable_tools();
        }
        if let Some(token) = token {
            after.sealed_token = token.map(|token| self.seal(scope, id, &token)).transpose()?;
        }
        // Rules apply to the definitions the administrator was shown, so a server cannot swap one in unnoticed. At a
        // new address, none was shown.
        if let Some(rules) = tools.take_if(|_| after.url == before.url) {
            decide(&mut after, rules)?;
        }
        let Inspection { definitions, failure } = self.inspect(scope, &after).await;
        if let Some(definitions) = definitions {
            after.sync_tools(&definitions);
        }
        if let Some(rules) = tools {
            decide(&mut after, rules)?;
        }
        let mut tx = self.ports.store.begin(scope).await?;
        let current = tx.mcp_servers().lock(id).await?.ok_or(NOT_FOUND)?;
        if current.updated_at != before.updated_at || current.tools != before.tools {
            return Err(RuntimeError::Conflict { detail: "The MCP server was changed at the same time; try again." });
        }
        tx.mcp_servers().update(&after, scope.user()).await?;
        tx.commit().await?;
        let inspected = |server| InspectedServer { server, failure: None };
        Ok(Change { before: inspected(before), after: InspectedServer { server: after, failure } })
    }
}

#[async_trait]
impl UseCase<DeleteMcpServer> for McpServerService {
    async fn execute(&self, command: Authorized<DeleteMcpServer>) -> Result<McpServer, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let id = command.command().id;
        let server = tx.mcp_servers().lock(id).await?.ok_or(NOT_FOUND)?;
        tx.mcp_servers().delete(id).await?;
        tx.defer_commit();
        Ok(server)
    }
}

/// Replaces the rules of all tools, if each decision that names a definition names the one it would cover.
fn decide(server: &mut McpServer, decisions: Vec<ToolDecision>) -> Result<(), RuntimeError> {
    if let Some(tool) = server.find_outdated_decision(&decisions) {
        return Err(RuntimeError::DefinitionChanged { tool: tool.to_owned() });
    }
    server.replace_rules(decisions.into_iter().map(|decision| decision.rule).collect());
    Ok(())
}

/// Checks that each tool is named once, and that models can call those that are allowed.
fn check_rules(server: &McpServerName, decisions: &[ToolDecision]) -> Result<(), FieldError> {
    let mut names = BTreeSet::new();
    for (index, ToolDecision { rule, .. }) in decisions.iter().enumerate() {
        let invalid = |detail: String| Err(FieldError { pointer: format!("/tools/{index}/name"), detail });
        if !names.insert(&rule.name) {
            return invalid("duplicate tool name".to_owned());
        }
        if rule.allow && McpToolName::new(server, &rule.name).is_none() {
            return invalid(format!(
                "cannot be allowed: {server}__{} must have at most {} characters from A-Z a-z 0-9 _ -",
                rule.name,
                McpToolName::MAX_LEN
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::mcp::ToolRule;
    use domain::role::Classification;

    #[test]
    fn each_tool_is_named_once_and_can_be_called_by_models() {
        let server = McpServerName::parse("cmms").expect("a name");
        let rule = |name: &str, allow| {
            let (name, classification) = (name.to_owned(), Classification::Internal);
            ToolDecision { rule: ToolRule { name, allow, write: false, classification }, digest: None }
        };
        assert_eq!(check_rules(&server, &[rule("a", true), rule("a.b", false)]), Ok(()));
        for (rules, pointer) in [
            ([rule("a", true), rule("a", false)], "/tools/1/name"),
            ([rule("a.b", true), rule("c", false)], "/tools/0/name"),
            ([rule("a", true), rule(&"x".repeat(60), true)], "/tools/1/name"),
        ] {
            assert_eq!(check_rules(&server, &rules).expect_err("not allowed").pointer, pointer);
        }
    }
}
