//! `memory_read`: what the user asked the platform to remember.

use super::{arguments, failed};
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

/// Most memories of one call.
const MEMORIES: u32 = 50;

/// The tool.
pub struct MemoryRead {
    store: Arc<dyn Store>,
}

impl MemoryRead {
    /// Reads from `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

/// It takes none.
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
            requires: Permission::new(Resource::Memories, Operation::List),
            writes: false,
            parameters: arguments::schema(&json!({}), &[]),
        }
    }

    async fn run(&self, call: CallScope, _: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let failed = failed(ToolName::MemoryRead);
        let mut tx = self.store.begin(&call.scope).await.map_err(&failed)?;
        let memories = tx.memories().most_important(call.now, call.clearance, MEMORIES).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(Classified::of(ToolResult::Memories(memories)))
    }
}
