//! The tool `document_list`: lists the documents that the user may see.

use super::arguments;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext};
use async_trait::async_trait;
use domain::classified::Classified;
use domain::document::DocumentFilter;
use domain::page::PageRequest;
use domain::ports::Store;
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::text::ShortText;
use domain::tool::{ToolName, ToolResult, ToolSpec};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

const MAX_LIMIT: u32 = PageRequest::MAX_LIMIT;

/// Lists document metadata; returns no content.
pub struct DocumentList {
    store: Arc<dyn Store>,
}

impl DocumentList {
    /// A tool that lists the documents in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

/// Filters and page size.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(default, deserialize_with = "arguments::optional_text")]
    tag: Option<ShortText>,
    #[serde(default, deserialize_with = "arguments::optional_text")]
    doc_type: Option<ShortText>,
    #[serde(default, deserialize_with = "arguments::optional_number::<_, 1, MAX_LIMIT>")]
    limit: Option<u32>,
}

#[async_trait]
impl Tool for DocumentList {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        let properties = json!({
            "tag": {"type": "string", "description": "Only documents with this tag."},
            "doc_type": {"type": "string", "description": "Only documents of this type, for example procedure."},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT,
                "description": "Maximum number of documents to return; default 50."},
        });
        ToolSpec {
            name: ToolName::DocumentList.into(),
            description: "List the plant's documents that the user may see, newest first, with their ids.".into(),
            required_permission: Permission::new(Resource::Documents, Operation::List),
            writes_to_plant: false,
            parameters: arguments::schema(&properties, &[]),
        }
    }

    async fn run(&self, context: ToolContext, arguments: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let to_tool_error = ToolError::from_store(ToolName::DocumentList);
        let filter = DocumentFilter {
            status: None,
            tag: arguments.tag.map(ShortText::into_string),
            doc_type: arguments.doc_type.map(ShortText::into_string),
        };
        let page = arguments.limit.and_then(|limit| PageRequest::new(limit, None)).unwrap_or_default();
        let mut tx = self.store.begin(&context.tenant_scope).await.map_err(&to_tool_error)?;
        let documents = tx.documents().list(&filter, context.clearance, &page).await.map_err(&to_tool_error)?;
        tx.commit().await.map_err(&to_tool_error)?;
        Ok(Classified::from_content(ToolResult::Documents(documents.items)))
    }
}
