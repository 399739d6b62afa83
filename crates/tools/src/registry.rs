//! The tool registry. A tool that is not registered cannot be called.

use crate::builtin::{
    Calculator, DocumentList, DocumentRead, MemoryRead, PlantHistoryRead, PlantSystemRead, PlantSystemWrite,
    PlantTagSearch, RagSearch,
};
use crate::mcp::McpTools;
use crate::registered_tool::{FoundTool, RegisteredTool, RegisteredWriteTool};
use crate::retrieval::HybridSearch;
use crate::tool::Tool;
use crate::write::{MaintenanceSystems, WriteTool};
use domain::authorized::Permit;
use domain::mcp::McpToolName;
use domain::ports::{PlantReader, Store, StoreError, TenantTx};
use domain::rights::Rights;
use domain::tool::{ToolId, ToolSpec, WriteEffect};
use serde_json::Value;
use std::sync::Arc;

/// Argument names that no tool may declare, because identity and rights must come from the permit.
const RESERVED_ARGUMENTS: [&str; 7] = ["tenant", "tenant_id", "user", "user_id", "role", "clearance", "scope"];

/// Why a tool cannot be registered; a programming error found at startup.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistryError {
    /// A tool that writes was registered as one that reads.
    #[error("tool {name} writes; register it as a write tool, whose calls need approval")]
    NotReadOnly {
        /// Name of the tool.
        name: ToolId,
    },
    /// A tool that only reads was registered as one that writes.
    #[error("tool {name} does not write; register it as a tool that reads")]
    NotAWriteTool {
        /// Name of the tool.
        name: ToolId,
    },
    /// A tool that writes has no default policy on who approves its calls.
    #[error("tool {name} writes, and has no default approval policy")]
    NoApprovalPolicy {
        /// Name of the tool.
        name: ToolId,
    },
    /// Set points and alarms are never changed through the platform, whatever the approval.
    #[error("tool {name} controls the plant, which no tool may do")]
    ControlsPlant {
        /// Name of the tool.
        name: ToolId,
    },
    /// A tool with this name is already registered.
    #[error("tool {name} is registered twice")]
    DuplicateName {
        /// Name of the tool.
        name: ToolId,
    },
    /// The schema must describe an object and set `additionalProperties` to false.
    #[error("the parameters of tool {name} are not a closed object schema")]
    OpenSchema {
        /// Name of the tool.
        name: ToolId,
    },
    /// The schema declares a reserved argument, such as the tenant or the user.
    #[error("tool {name} has the argument `{argument}`, which must come from the permit")]
    ReservedArgument {
        /// Name of the tool.
        name: ToolId,
        /// Name of the argument.
        argument: &'static str,
    },
}

/// The registered tools, and those of the tenants' MCP servers.
#[derive(Default)]
pub struct Registry {
    tools: Vec<RegisteredTool>,
    write_tools: Vec<RegisteredWriteTool>,
    mcp_tools: Option<McpTools>,
}

impl Registry {
    /// The built-in tools, which write to the platform's own list of work orders only.
    ///
    /// # Errors
    /// When a built-in tool violates a rule of [`Registry::register`], which is a bug.
    pub fn builtin(store: &Arc<dyn Store>, search: HybridSearch) -> Result<Self, RegistryError> {
        Self::with_maintenance(store, search, MaintenanceSystems::builtin(Arc::clone(store)))
    }

    /// The built-in tools, which write to the given maintenance systems.
    ///
    /// # Errors
    /// When a built-in tool violates a rule of [`Registry::register`], which is a bug.
    pub fn with_maintenance(
        store: &Arc<dyn Store>,
        search: HybridSearch,
        maintenance: MaintenanceSystems,
    ) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        let memory_read = MemoryRead::new(Arc::clone(store), search.embedders());
        registry.register(RagSearch::new(search))?;
        registry.register(DocumentRead::new(Arc::clone(store)))?;
        registry.register(DocumentList::new(Arc::clone(store)))?;
        registry.register(memory_read)?;
        registry.register(Calculator)?;
        registry.register_write(PlantSystemWrite::new(maintenance))?;
        Ok(registry)
    }

    /// Adds the tools that read plant systems through `reader`.
    ///
    /// # Errors
    /// As for [`Registry::register`].
    pub fn register_plant_reads(&mut self, reader: &Arc<dyn PlantReader>) -> Result<(), RegistryError> {
        self.register(PlantTagSearch::new(Arc::clone(reader)))?;
        self.register(PlantSystemRead::new(Arc::clone(reader)))?;
        self.register(PlantHistoryRead::new(Arc::clone(reader)))
    }

    /// Adds a tool and checks its manifest entry.
    ///
    /// # Errors
    /// When the tool writes, its name is taken, its schema allows unknown properties or declares a reserved argument.
    pub fn register(&mut self, tool: impl Tool) -> Result<(), RegistryError> {
        let spec = tool.spec();
        let name = spec.name.clone();
        if spec.writes_to_plant {
            return Err(RegistryError::NotReadOnly { name });
        }
        if self.is_taken(&name) {
            return Err(RegistryError::DuplicateName { name });
        }
        check_schema(&name, &spec.parameters)?;
        let tool = Box::new(tool);
        self.tools.push(RegisteredTool { spec, tool });
        Ok(())
    }

    /// Adds a tool that writes, and checks its manifest entry. Its calls need an approval each.
    ///
    /// # Errors
    /// When the tool controls the plant, has no default policy, does not write, its name is taken, or its schema is not
    /// allowed.
    pub fn register_write(&mut self, tool: impl WriteTool) -> Result<(), RegistryError> {
        let spec = tool.spec();
        let name = spec.tool.name.clone();
        if spec.effect == WriteEffect::Control {
            return Err(RegistryError::ControlsPlant { name });
        }
        if !spec.tool.writes_to_plant {
            return Err(RegistryError::NotAWriteTool { name });
        }
        if spec.default_policy.as_ref().is_none_or(|terms| terms.contradiction().is_some()) {
            return Err(RegistryError::NoApprovalPolicy { name });
        }
        if self.is_taken(&name) {
            return Err(RegistryError::DuplicateName { name });
        }
        check_schema(&name, &spec.tool.parameters)?;
        self.write_tools.push(RegisteredWriteTool { spec, tool: Box::new(tool) });
        Ok(())
    }

    /// Adds the tools of the tenants' MCP servers.
    #[must_use]
    pub fn with_mcp_tools(self, mcp_tools: McpTools) -> Self {
        Self { mcp_tools: Some(mcp_tools), ..self }
    }

    /// The manifest entries of the registered tools that these rights allow.
    #[must_use]
    pub fn manifest(&self, rights: &Rights) -> Vec<ToolSpec> {
        let specs = self.tools.iter().map(|registered| &registered.spec);
        let specs = specs.chain(self.write_tools.iter().map(|registered| &registered.spec.tool));
        specs.filter(|spec| rights.allows(spec.required_permission)).cloned().collect()
    }

    /// The manifest entries of all tools of the tenant that these rights allow.
    pub(crate) async fn tenant_manifest(
        &self,
        tx: &mut dyn TenantTx,
        rights: &Rights,
    ) -> Result<Vec<ToolSpec>, StoreError> {
        let mut specs = self.manifest(rights);
        if let Some(mcp_tools) = &self.mcp_tools {
            specs.extend(mcp_tools.manifest(tx, rights).await?);
        }
        Ok(specs)
    }

    /// Finds a tool that reads among all tools of the permit's tenant that its rights may know of. A transaction is
    /// begun for MCP tools only.
    pub(crate) async fn find_for_tenant(
        &self,
        store: &dyn Store,
        permit: &Permit,
        name: &str,
    ) -> Result<Option<FoundTool<'_, RegisteredTool>>, StoreError> {
        if let Some(registered) = self.find(name) {
            return Ok(Some(FoundTool::Registered(registered)));
        }
        let (Some(mcp_tools), Some(name)) = (&self.mcp_tools, McpToolName::parse(name)) else { return Ok(None) };
        let mut tx = store.begin(permit.scope()).await?;
        Ok(mcp_tools.find(&mut *tx, &name, permit.rights().clearance()).await?.map(FoundTool::Mcp))
    }

    /// Finds a tool that writes among all tools of the transaction's tenant.
    pub(crate) async fn find_write_for_tenant(
        &self,
        tx: &mut dyn TenantTx,
        name: &str,
    ) -> Result<Option<FoundTool<'_, RegisteredWriteTool>>, StoreError> {
        if let Some(registered) = self.find_write(name) {
            return Ok(Some(FoundTool::Registered(registered)));
        }
        let (Some(mcp_tools), Some(name)) = (&self.mcp_tools, McpToolName::parse(name)) else { return Ok(None) };
        Ok(mcp_tools.find_write(tx, &name).await?.map(FoundTool::Mcp))
    }

    /// Finds a tool that writes by name.
    pub(crate) fn find_write(&self, name: &str) -> Option<&RegisteredWriteTool> {
        self.write_tools.iter().find(|registered| registered.spec.tool.name.as_str() == name)
    }

    fn is_taken(&self, name: &ToolId) -> bool {
        self.find(name.as_str()).is_some() || self.find_write(name.as_str()).is_some()
    }

    /// Finds a tool that reads by name.
    pub(crate) fn find(&self, name: &str) -> Option<&RegisteredTool> {
        self.tools.iter().find(|registered| registered.spec.name.as_str() == name)
    }
}

fn check_schema(name: &ToolId, schema: &Value) -> Result<(), RegistryError> {
    let closed = schema["type"] == "object" && schema["additionalProperties"] == Value::Bool(false);
    let Some(properties) = schema["properties"].as_object().filter(|_| closed) else {
        return Err(RegistryError::OpenSchema { name: name.clone() });
    };
    match RESERVED_ARGUMENTS.into_iter().find(|argument| properties.contains_key(*argument)) {
        Some(argument) => Err(RegistryError::ReservedArgument { name: name.clone(), argument }),
        None => Ok(()),
    }
}
