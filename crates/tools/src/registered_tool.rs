//! Tools with their manifest entries, as the registry holds and finds them.

use crate::tool::ErasedTool;
use crate::write::ErasedWriteTool;
use domain::tool::{ToolSpec, WriteToolSpec};
use std::ops::Deref;

/// A tool that writes, with its manifest entry.
pub(crate) struct RegisteredWriteTool {
    pub(crate) spec: WriteToolSpec,
    pub(crate) tool: Box<dyn ErasedWriteTool>,
}

/// A tool with its manifest entry.
pub(crate) struct RegisteredTool {
    pub(crate) spec: ToolSpec,
    pub(crate) tool: Box<dyn ErasedTool>,
}

/// A tool that was found by name.
pub(crate) enum FoundTool<'r, T> {
    /// One of the registered tools.
    Registered(&'r T),
    /// One of the tenant's MCP servers.
    Mcp(T),
}

impl<T> Deref for FoundTool<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Registered(tool) => tool,
            Self::Mcp(tool) => tool,
        }
    }
}
