//! One tool of an MCP server behind the interfaces that built-in tools have.

use super::arguments;
use super::connector::{AllowedCall, FailedCall, McpConnector};
use super::error::McpError;
use super::result;
use super::text;
use crate::error::ToolError;
use crate::tool::{ErasedTool, PreparedCall, ToolContext};
use crate::write::{ApprovedCall, ErasedWriteTool, PreparedWrite, WriteContext, WriteDraft, WriteError};
use async_trait::async_trait;
use domain::approval::{Approval, PolicyTerms};
use domain::classified::Classified;
use domain::decision::RefusalCode;
use domain::mcp::{McpServer, McpTool, McpToolName, ToolDefinition};
use domain::ports::TenantTx;
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource};
use domain::scope::TenantScope;
use domain::tool::{McpToolResult, ToolId, ToolResult, ToolSpec, WriteEffect, WriteToolSpec};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Maximum length of a description, in characters.
const MAX_DESCRIPTION_CHARS: usize = 1_000;
/// Maximum length of the name of what a write changes, in characters.
const MAX_TARGET_CHARS: usize = 200;

/// Adapts an allowed tool to the interfaces of the registry.
pub(super) struct McpToolAdapter {
    pub(super) connector: Arc<McpConnector>,
    pub(super) server: Arc<McpServer>,
    pub(super) name: McpToolName,
    pub(super) tool: McpTool,
}

impl McpToolAdapter {
    /// The manifest entry; `None` if no definition was ever allowed.
    pub(super) fn spec(&self) -> Option<ToolSpec> {
        let definition = self.tool.pinned.as_ref()?;
        let operation = if self.tool.rule.write { Operation::Create } else { Operation::Read };
        Some(ToolSpec {
            name: ToolId::Mcp(self.name.clone()),
            description: self.description(definition).into(),
            required_permission: Permission::new(Resource::ForeignTools, operation),
            writes_to_plant: self.tool.rule.write,
            parameters: text::visible_json(&definition.input_schema),
        })
    }

    /// The manifest entry as a tool that writes; `None` if it reads, or no definition was ever allowed.
    pub(super) fn write_spec(&self) -> Option<WriteToolSpec> {
        let tool = self.spec().filter(|spec| spec.writes_to_plant)?;
        Some(WriteToolSpec {
            tool,
            version: self.tool.version,
            effect: WriteEffect::Records,
            default_policy: Some(PolicyTerms::platform_default()),
            result_classification: self.tool.rule.classification,
        })
    }

    /// The server's description, marked as untrusted.
    fn description(&self, definition: &ToolDefinition) -> String {
        let words = definition.description.as_deref().or(definition.title.as_deref()).unwrap_or_default();
        let words = text::visible(words, MAX_DESCRIPTION_CHARS);
        format!("A tool of the external server `{}`, which describes it as follows. {words}", self.server.name)
    }

    fn definition(&self) -> Result<&ToolDefinition, McpError> {
        self.tool.callable().ok_or(McpError::DefinitionChanged)
    }

    async fn call(&self, scope: &TenantScope, arguments: Map<String, Value>) -> Result<McpToolResult, FailedCall> {
        let definition = self.definition().map_err(FailedCall::NotMade)?;
        let classification = self.tool.rule.classification;
        let call = AllowedCall { scope, server: &self.server, definition, classification };
        self.connector.call(call, arguments).await
    }

    async fn read(
        &self,
        context: ToolContext,
        arguments: Map<String, Value>,
    ) -> Result<Classified<ToolResult>, ToolError> {
        if self.tool.rule.classification > context.clearance {
            return Err(ToolError::Denied { reason: RefusalCode::ContentAboveClearance });
        }
        if context.arguments_classification > self.tool.rule.classification.max(Classification::Internal) {
            return Err(McpError::ArgumentsAboveClassification.into());
        }
        let result = self.call(&context.tenant_scope, arguments).await.map_err(FailedCall::into_error)?;
        Ok(Classified::from_content(ToolResult::Mcp(result)))
    }
}

impl ErasedTool for McpToolAdapter {
    fn prepare(&self, arguments: Value) -> Result<PreparedCall<'_>, ToolError> {
        let definition = self.definition()?;
        let arguments = arguments::check(&definition.input_schema, arguments)?;
        let resource_id = Some(self.server.id.as_uuid());
        Ok(PreparedCall::new(resource_id, move |context| Box::pin(self.read(context, arguments))))
    }
}

#[async_trait]
impl ErasedWriteTool for McpToolAdapter {
    async fn prepare(
        &self,
        _tx: &mut dyn TenantTx,
        _draft: &WriteDraft,
        arguments: &Value,
    ) -> Result<PreparedWrite, ToolError> {
        let definition = self.definition()?;
        let arguments = arguments::check(&definition.input_schema, arguments.clone())?;
        let target = format!("{}/{}", self.server.name, self.name.tool());
        let description = definition.description.as_deref().unwrap_or_default();
        Ok(PreparedWrite {
            version: self.tool.version,
            target: text::visible(&target, MAX_TARGET_CHARS),
            preview: json!({
                "server": self.server.name, "url": self.server.url, "tool": self.name.tool(),
                "description": text::visible(description, MAX_DESCRIPTION_CHARS),
                "arguments": arguments,
            }),
            default_policy: PolicyTerms::platform_default(),
        })
    }

    /// An MCP server cannot be queried for the effect of an earlier attempt.
    async fn find(&self, _context: &WriteContext, _approval: &Approval) -> Result<Option<Value>, WriteError> {
        Err(WriteError::Unsearchable)
    }

    async fn execute(
        &self,
        context: &WriteContext,
        _call: ApprovedCall<'_>,
        arguments: &Value,
    ) -> Result<Value, WriteError> {
        let definition = self.definition().map_err(|_| WriteError::ToolChanged)?;
        let arguments = arguments::check(&definition.input_schema, arguments.clone())
            .map_err(|error| WriteError::InvalidArguments { detail: error.to_string() })?;
        match self.call(&context.tenant_scope, arguments).await {
            Ok(result) if result.is_error => {
                Err(WriteError::ServerRefused { detail: "the tool of the MCP server says that it failed".to_owned() })
            }
            Ok(result) => {
                let mut created = result::to_json(&result);
                created["server"] = json!(self.server.name);
                created["tool"] = json!(self.name.tool());
                Ok(created)
            }
            Err(FailedCall::NotMade(McpError::DefinitionChanged | McpError::Missing)) => Err(WriteError::ToolChanged),
            Err(FailedCall::NotMade(error)) => Err(WriteError::ServerRefused { detail: error.to_string() }),
            Err(FailedCall::Unclear(error)) => Err(WriteError::ServerUnclear { detail: error.to_string() }),
        }
    }
}
