//! The tool `memory_read`: returns what the user asked the platform to remember.

use super::arguments;
use crate::error::ToolError;
use crate::tool::{CallScope, Tool};
use async_trait::async_trait;
use domain::classified::Classified;
use domain::ports::Store;
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::tool::{ToolName, ToolResult, ToolSpec};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Maximum number of memories returned per call.
const MAX_MEMORIES: u32 = 50;

/// Returns the caller's memories, most important first.
pub struct MemoryRead {
    store: Arc<dyn Store>,
}

impl MemoryRead {
    /// A tool that reads memories from `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

/// Empty, because the tool takes no arguments; unknown ones are rejected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {}

#[async_trait]
impl Tool for MemoryRead {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: ToolName::MemoryRead,
            description: "Read what the user asked the platform to remember, the most important first.",
            required_permission: Permission::new(Resource::Memories, Operation::List),
            writes_to_plant: false,
            parameters: arguments::schema(&json!({}), &[]),
        }
    }

    async fn run(&self, call: CallScope, _: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let to_tool_error = ToolError::store(ToolName::MemoryRead);
        let mut tx = self.store.begin(&call.tenant_scope).await.map_err(&to_tool_error)?;
        let memories = tx
            .memories()
            .most_important(call.admitted_at, call.clearance, MAX_MEMORIES)
            .await
            .map_err(&to_tool_error)?;
        tx.commit().await.map_err(&to_tool_error)?;
        Ok(Classified::from_content(ToolResult::Memories(memories)))
    }
}
