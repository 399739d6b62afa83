//! The tool `document_read`: returns the text of one document, passage by passage.

use super::arguments;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext};
use async_trait::async_trait;
use domain::classified::Classified;
use domain::ids::DocumentId;
use domain::ports::Store;
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::tool::{ToolName, ToolResult, ToolSpec};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// Passages returned per call. With default chunk sizes this is up to 4,500 tokens for an embedding model with an input
/// limit of 256, and up to 9,000 for one with a limit of 512 or more.
const MAX_PASSAGES: u32 = 20;
/// Maximum index of a passage: the database stores it as `integer`.
const MAX_INDEX: u32 = i32::MAX as u32;

/// Returns the passages of one document in order, page by page.
pub struct DocumentRead {
    store: Arc<dyn Store>,
}

impl DocumentRead {
    /// A tool that reads documents from `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

/// The document, and the passage to start from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    document_id: DocumentId,
    #[serde(default, deserialize_with = "arguments::optional_number::<_, 0, MAX_INDEX>")]
    from: Option<u32>,
}

#[async_trait]
impl Tool for DocumentRead {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        let properties = json!({
            "document_id": {"type": "string", "format": "uuid", "description": "Id of the document."},
            "from": {"type": "integer", "minimum": 0,
                "description": "0-based index of the first passage to return; default 0."},
        });
        ToolSpec {
            name: ToolName::DocumentRead.into(),
            description: "Read one document in order, 20 passages at a time. The result says whether there is more."
                .into(),
            required_permission: Permission::new(Resource::Documents, Operation::Read),
            writes_to_plant: false,
            parameters: arguments::schema(&properties, &["document_id"]),
        }
    }

    fn resource_id(&self, arguments: &Arguments) -> Option<Uuid> {
        Some(arguments.document_id.as_uuid())
    }

    async fn run(&self, context: ToolContext, arguments: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let to_tool_error = ToolError::from_store(ToolName::DocumentRead);
        let id = arguments.document_id;
        let from = i32::try_from(arguments.from.unwrap_or_default()).unwrap_or(i32::MAX);
        let mut tx = self.store.begin(&context.tenant_scope).await.map_err(&to_tool_error)?;
        let document = tx.documents().get(id, context.clearance).await.map_err(&to_tool_error)?;
        let document = document.ok_or(ToolError::NotFound)?;
        let passages = tx.chunks().list_by_document(id, context.clearance, from, MAX_PASSAGES + 1).await;
        let mut passages = passages.map_err(&to_tool_error)?;
        tx.commit().await.map_err(&to_tool_error)?;
        let truncated = passages.len() > MAX_PASSAGES as usize;
        passages.truncate(MAX_PASSAGES as usize);
        Ok(Classified::from_content(ToolResult::DocumentText { document: Box::new(document), passages, truncated }))
    }
}
