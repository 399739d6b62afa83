//! Document search without a model: calls the `rag_search` tool directly.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::authorized::{Authorized, Permit};
use domain::command::SearchDocuments;
use domain::ledger::CallContext;
use domain::search::{Retrieval, SearchFilters};
use domain::tool::{ToolCall, ToolName, ToolResult};
use serde_json::json;
use std::sync::Arc;
use tools::error::ToolError;
use tools::gateway::ToolGateway;

/// Use case of document search.
pub struct SearchService {
    tools: Arc<dyn ToolGateway>,
}

impl SearchService {
    /// Creates the service.
    #[must_use]
    pub fn new(tools: Arc<dyn ToolGateway>) -> Self {
        Self { tools }
    }
}

#[async_trait]
impl UseCase<SearchDocuments> for SearchService {
    async fn execute(&self, command: Authorized<SearchDocuments>) -> Result<Retrieval, RuntimeError> {
        let SearchDocuments { query, top_k, filters } = command.command();
        let call = rag_search("search", query.as_str(), *top_k, filters);
        Ok(retrieve(&*self.tools, command.permit(), call).await?)
    }
}

/// Builds a call of `rag_search`.
pub(crate) fn rag_search(call_id: &str, query: &str, top_k: u32, filters: &SearchFilters) -> ToolCall {
    let mut arguments = json!({ "query": query, "top_k": top_k });
    if !filters.document_ids.is_empty() {
        arguments["document_ids"] = json!(filters.document_ids);
    }
    if !filters.tags.is_empty() {
        arguments["tags"] = json!(filters.tags);
    }
    if let Some(doc_type) = &filters.doc_type {
        arguments["doc_type"] = json!(doc_type);
    }
    if filters.include_superseded {
        arguments["include_superseded"] = json!(true);
    }
    let (call_id, name) = (call_id.to_owned(), ToolName::RagSearch.as_str().to_owned());
    ToolCall { call_id, name, arguments, context: CallContext::default() }
}

/// Calls `rag_search` and returns its passages.
pub(crate) async fn retrieve(tools: &dyn ToolGateway, permit: &Permit, call: ToolCall) -> Result<Retrieval, ToolError> {
    match tools.invoke(permit, call).await?.into_parts().0 {
        ToolResult::Retrieval(retrieval) => Ok(retrieval),
        ToolResult::Text { .. } | ToolResult::Documents(_) | ToolResult::Memories(_) => Err(ToolError::Unknown),
    }
}
