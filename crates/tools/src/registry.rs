//! Which tools there are. One line per tool; a tool that is not here cannot be called.

use crate::builtin::{DocumentList, DocumentRead, MemoryRead, RagSearch};
use crate::retrieval::HybridSearch;
use crate::tool::{AnyTool, Tool};
use domain::ports::Store;
use domain::rights::Rights;
use domain::tool::{ToolName, ToolSpec};
use serde_json::Value;
use std::sync::Arc;

/// Arguments that no tool may have: who calls comes from the permit.
const RESERVED: [&str; 7] = ["tenant", "tenant_id", "user", "user_id", "role", "clearance", "scope"];

/// Why a tool cannot be registered: a mistake of whoever wired it up, found when the process starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistryError {
    /// No tool of this version writes to a plant system, whatever the role.
    #[error("tool {name} writes, which no tool may in this version")]
    Writes {
        /// The tool.
        name: ToolName,
    },
    /// There is one of that name.
    #[error("tool {name} is registered twice")]
    Twice {
        /// The tool.
        name: ToolName,
    },
    /// The schema must describe an object and set `additionalProperties` to false.
    #[error("the parameters of tool {name} are not a closed object schema")]
    OpenSchema {
        /// The tool.
        name: ToolName,
    },
    /// Tenant, user and their rights are never arguments.
    #[error("tool {name} takes {argument} as an argument, which comes from the permit")]
    ReservedArgument {
        /// The tool.
        name: ToolName,
        /// The argument.
        argument: &'static str,
    },
}

/// The tools that can be called.
#[derive(Default)]
pub struct Registry {
    tools: Vec<Registered>,
}

/// A tool with its manifest entry, which is checked once.
pub(crate) struct Registered {
    pub(crate) spec: ToolSpec,
    pub(crate) tool: Box<dyn AnyTool>,
}

impl Registry {
    /// The tools of this version.
    ///
    /// # Errors
    /// Where one of them breaks a rule of the registry.
    pub fn builtin(store: &Arc<dyn Store>, search: HybridSearch) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        registry.register(RagSearch::new(search))?;
        registry.register(DocumentRead::new(Arc::clone(store)))?;
        registry.register(DocumentList::new(Arc::clone(store)))?;
        registry.register(MemoryRead::new(Arc::clone(store)))?;
        Ok(registry)
    }

    /// Adds a tool.
    ///
    /// # Errors
    /// Where it writes, its name is taken, its schema is open, or an argument names what the permit says.
    pub fn register(&mut self, tool: impl Tool) -> Result<(), RegistryError> {
        let spec = tool.spec();
        let name = spec.name;
        if spec.writes {
            return Err(RegistryError::Writes { name });
        }
        if self.find(name.as_str()).is_some() {
            return Err(RegistryError::Twice { name });
        }
        check_schema(name, &spec.parameters)?;
        let tool = Box::new(tool);
        self.tools.push(Registered { spec, tool });
        Ok(())
    }

    /// The manifest entries of the tools that may be called with these rights.
    #[must_use]
    pub fn manifest(&self, rights: &Rights) -> Vec<ToolSpec> {
        let specs = self.tools.iter().map(|registered| &registered.spec);
        specs.filter(|spec| rights.allow(spec.requires)).cloned().collect()
    }

    /// The tool of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Registered> {
        self.tools.iter().find(|registered| registered.spec.name.as_str() == name)
    }
}

fn check_schema(name: ToolName, schema: &Value) -> Result<(), RegistryError> {
    let closed = schema["type"] == "object" && schema["additionalProperties"] == Value::Bool(false);
    let Some(properties) = schema["properties"].as_object().filter(|_| closed) else {
        return Err(RegistryError::OpenSchema { name });
    };
    match RESERVED.into_iter().find(|argument| properties.contains_key(*argument)) {
        Some(argument) => Err(RegistryError::ReservedArgument { name, argument }),
        None => Ok(()),
    }
}
