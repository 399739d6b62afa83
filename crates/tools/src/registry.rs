//! The tool registry. A tool that is not registered cannot be called.

use crate::builtin::{DocumentList, DocumentRead, MemoryRead, RagSearch};
use crate::retrieval::HybridSearch;
use crate::tool::{ErasedTool, Tool};
use domain::ports::Store;
use domain::rights::Rights;
use domain::tool::{ToolName, ToolSpec};
use serde_json::Value;
use std::sync::Arc;

/// Argument names that no tool may declare, because identity and rights must come from the permit.
const RESERVED_ARGUMENTS: [&str; 7] = ["tenant", "tenant_id", "user", "user_id", "role", "clearance", "scope"];

/// Why a tool cannot be registered; a programming error found at startup.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistryError {
    /// Tools must be read-only in this version.
    #[error("tool {name} writes, but tools must be read-only")]
    NotReadOnly {
        /// Name of the tool.
        name: ToolName,
    },
    /// A tool with this name is already registered.
    #[error("tool {name} is registered twice")]
    DuplicateName {
        /// Name of the tool.
        name: ToolName,
    },
    /// The schema must describe an object and set `additionalProperties` to false.
    #[error("the parameters of tool {name} are not a closed object schema")]
    OpenSchema {
        /// Name of the tool.
        name: ToolName,
    },
    /// The schema declares a reserved argument, such as the tenant or the user.
    #[error("tool {name} has the argument `{argument}`, which must come from the permit")]
    ReservedArgument {
        /// Name of the tool.
        name: ToolName,
        /// Name of the argument.
        argument: &'static str,
    },
}

/// The registered tools.
#[derive(Default)]
pub struct Registry {
    tools: Vec<RegisteredTool>,
}

/// A tool with its manifest entry.
pub(crate) struct RegisteredTool {
    pub(crate) spec: ToolSpec,
    pub(crate) tool: Box<dyn ErasedTool>,
}

impl Registry {
    /// The built-in tools.
    ///
    /// # Errors
    /// When a built-in tool violates a rule of [`Registry::register`], which is a bug.
    pub fn builtin(store: &Arc<dyn Store>, search: HybridSearch) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        let memory_read = MemoryRead::new(Arc::clone(store), search.embedders());
        registry.register(RagSearch::new(search))?;
        registry.register(DocumentRead::new(Arc::clone(store)))?;
        registry.register(DocumentList::new(Arc::clone(store)))?;
        registry.register(memory_read)?;
        Ok(registry)
    }

    /// Adds a tool and checks its manifest entry.
    ///
    /// # Errors
    /// When the tool writes, its name is taken, its schema allows unknown properties or declares a reserved argument.
    pub fn register(&mut self, tool: impl Tool) -> Result<(), RegistryError> {
        let spec = tool.spec();
        let name = spec.name;
        if spec.writes_to_plant {
            return Err(RegistryError::NotReadOnly { name });
        }
        if self.find(name.as_str()).is_some() {
            return Err(RegistryError::DuplicateName { name });
        }
        check_schema(name, &spec.parameters)?;
        let tool = Box::new(tool);
        self.tools.push(RegisteredTool { spec, tool });
        Ok(())
    }

    /// The manifest entries of the tools that these rights allow.
    #[must_use]
    pub fn manifest(&self, rights: &Rights) -> Vec<ToolSpec> {
        let specs = self.tools.iter().map(|registered| &registered.spec);
        specs.filter(|spec| rights.allows(spec.required_permission)).cloned().collect()
    }

    /// Finds a tool by name.
    pub(crate) fn find(&self, name: &str) -> Option<&RegisteredTool> {
        self.tools.iter().find(|registered| registered.spec.name.as_str() == name)
    }
}

fn check_schema(name: ToolName, schema: &Value) -> Result<(), RegistryError> {
    let closed = schema["type"] == "object" && schema["additionalProperties"] == Value::Bool(false);
    let Some(properties) = schema["properties"].as_object().filter(|_| closed) else {
        return Err(RegistryError::OpenSchema { name });
    };
    match RESERVED_ARGUMENTS.into_iter().find(|argument| properties.contains_key(*argument)) {
        Some(argument) => Err(RegistryError::ReservedArgument { name, argument }),
        None => Ok(()),
    }
}
