//! The tool `rag_search`: finds the passages of ingested documents that answer a question.

use super::arguments;
use crate::error::ToolError;
use crate::retrieval::{HybridSearch, MaxModelClassifications};
use crate::tool::{Tool, ToolContext};
use async_trait::async_trait;
use domain::classified::Classified;
use domain::command::{SearchDocuments, UploadDocument};
use domain::ids::DocumentId;
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::search::{SearchFilters, SearchScope};
use domain::text::{QueryText, ShortText};
use domain::tool::{ToolName, ToolResult, ToolSpec};
use serde::Deserialize;
use serde_json::json;

/// Maximum number of documents that a search can be restricted to.
const MAX_DOCUMENTS: usize = 100;
const MAX_TAGS: usize = UploadDocument::MAX_TAGS;
const MAX_TOP_K: u32 = SearchDocuments::MAX_TOP_K;

/// Searches documents by vector similarity and BM25.
pub struct RagSearch {
    search: HybridSearch,
}

impl RagSearch {
    /// A tool that searches with `search`.
    #[must_use]
    pub fn new(search: HybridSearch) -> Self {
        Self { search }
    }
}

/// The query, the filters and the number of passages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(deserialize_with = "arguments::text")]
    query: QueryText,
    #[serde(default, deserialize_with = "arguments::optional_number::<_, 1, MAX_TOP_K>")]
    top_k: Option<u32>,
    #[serde(default, deserialize_with = "arguments::list::<_, _, MAX_DOCUMENTS>")]
    document_ids: Vec<DocumentId>,
    #[serde(default, deserialize_with = "arguments::list::<_, _, MAX_TAGS>")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "arguments::optional_text")]
    doc_type: Option<ShortText>,
    #[serde(default)]
    include_superseded: bool,
    #[serde(default)]
    surroundings: bool,
}

#[async_trait]
impl Tool for RagSearch {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        let properties = json!({
            "query": {"type": "string", "minLength": 1, "maxLength": 2000,
                "description": "What to look for, in the words of the question; write plant tags as they appear."},
            "top_k": {"type": "integer", "minimum": 1, "maximum": MAX_TOP_K,
                "description": "Maximum number of passages to return; default 5."},
            "document_ids": {"type": "array", "items": {"type": "string", "format": "uuid"}, "maxItems": MAX_DOCUMENTS,
                "description": "Only these documents."},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_TAGS,
                "description": "Only documents with at least one of these tags."},
            "doc_type": {"type": "string", "description": "Only documents of this type, for example procedure."},
            "include_superseded": {"type": "boolean",
                "description": "Also search revisions that are no longer, or not yet, in force; default false."},
            "surroundings": {"type": "boolean",
                "description": "Also return the text directly before and after each passage; default false."},
        });
        ToolSpec {
            name: ToolName::RagSearch.into(),
            description: "Search the plant's documents. Returns passages with document, page and section, best first."
                .into(),
            required_permission: Permission::new(Resource::Search, Operation::Read),
            writes_to_plant: false,
            parameters: arguments::schema(&properties, &["query"]),
        }
    }

    async fn run(&self, context: ToolContext, arguments: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let search_scope = SearchScope {
            filters: SearchFilters {
                document_ids: arguments.document_ids,
                tags: arguments.tags,
                doc_type: arguments.doc_type.map(ShortText::into_string),
                include_superseded: arguments.include_superseded,
            },
            clearance: context.clearance,
        };
        let top_k = arguments.top_k.unwrap_or(SearchDocuments::DEFAULT_TOP_K) as usize;
        let max_classifications = MaxModelClassifications {
            all_models: context.max_model_classification,
            cloud_models: context.max_cloud_classification,
        };
        let search = self
            .search
            .clone()
            .with_max_classifications(max_classifications)
            .with_model_call_recorder(context.model_call_recorder);
        let search = search.with_privacy(context.privacy).with_surroundings(arguments.surroundings);
        let found = search.search(&context.tenant_scope, arguments.query.as_str(), &search_scope, top_k).await;
        let found = found.map_err(ToolError::from_store(ToolName::RagSearch))?;
        Ok(Classified::from_content(ToolResult::Retrieval(found)))
    }
}
