//! Document search without a model: calls the `rag_search` tool directly.
//!
//! The intents of the request and of the tool call are committed together, and so are their outcomes.

use crate::error::RuntimeError;
use crate::privacy;
use crate::run::model_access;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::classified::Classified;
use domain::command::SearchDocuments;
use domain::ledger::CallOrigin;
use domain::ports::{PrivacyScanner, Store, StoreError};
use domain::role::Classification;
use domain::search::{Retrieval, SearchFilters};
use domain::tool::{ToolCall, ToolName, ToolResult};
use serde_json::json;
use std::sync::Arc;
use tools::error::ToolError;
use tools::gateway::{AdmittedCall, CallAdmission, ToolGateway};
use tools::retrieval::{Explainer, GlossaryCache};

/// Use case of document search.
pub struct SearchService {
    store: Arc<dyn Store>,
    tools: Arc<dyn ToolGateway>,
    privacy: Arc<dyn PrivacyScanner>,
    glossaries: GlossaryCache,
}

impl SearchService {
    /// Creates the service.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, tools: Arc<dyn ToolGateway>, privacy: Arc<dyn PrivacyScanner>) -> Self {
        Self { store, tools, privacy, glossaries: GlossaryCache::default() }
    }

    /// Records the outcome of the call in the transaction in which the gate records that of the request.
    async fn record_outcome(
        &self,
        command: &Authorized<SearchDocuments>,
        call: &dyn AdmittedCall,
    ) -> Result<(), StoreError> {
        let mut tx = command.begin(&*self.store).await?;
        call.record(&mut *tx).await?;
        tx.defer_commit();
        Ok(())
    }
}

#[async_trait]
impl UseCase<SearchDocuments> for SearchService {
    async fn execute(&self, command: Authorized<SearchDocuments>) -> Result<Retrieval, RuntimeError> {
        let SearchDocuments { query, top_k, filters, explain, .. } = command.command();
        let permit = command.permit();
        let caller = model_access::caller(permit.scope(), &permit.tenant().settings);
        privacy::check(&*self.privacy, &caller, [query.as_str()])?;
        let call = rag_search_call("search", query.as_str(), *top_k, filters);
        let mut tx = command.begin(&*self.store).await?;
        let glossary =
            if *explain { Some(self.glossaries.get(&mut *tx, permit.scope().tenant()).await?) } else { None };
        let admission = self.tools.admit(&mut *tx, command.permit(), call).await?;
        tx.commit().await?;
        let call = match admission {
            CallAdmission::Admitted(call) => call,
            CallAdmission::Refused(reason) => return Err(ToolError::Denied { reason }.into()),
        };
        let found = run_search(&*call).await;
        // If the search failed, the gate has no transaction to continue in.
        if found.is_err() || self.record_outcome(&command, &*call).await.is_err() {
            call.record_in_own_transaction().await?;
        }
        let mut found = found?;
        if let Some(glossary) = glossary {
            let explainer = Explainer::new(query.as_str(), &glossary);
            for hit in &mut found.hits {
                hit.explanation = Some(explainer.explain(&hit.passage));
            }
        }
        Ok(found)
    }
}

/// Builds a call of the `rag_search` tool.
pub(crate) fn rag_search_call(call_id: &str, query: &str, top_k: u32, filters: &SearchFilters) -> ToolCall {
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
    ToolCall {
        call_id,
        name,
        arguments,
        arguments_classification: Classification::Public,
        origin: CallOrigin::default(),
    }
}

/// Runs a call of the `rag_search` tool and returns its result.
pub(crate) async fn run_search(call: &dyn AdmittedCall) -> Result<Retrieval, ToolError> {
    retrieval_from_result(call.run().await?)
}

/// Returns the retrieval in a result of the `rag_search` tool.
pub(crate) fn retrieval_from_result(result: Classified<ToolResult>) -> Result<Retrieval, ToolError> {
    match result.into_parts().0 {
        ToolResult::Retrieval(retrieval) => Ok(retrieval),
        ToolResult::DocumentText { .. }
        | ToolResult::Documents(_)
        | ToolResult::Memories(_)
        | ToolResult::Tags(_)
        | ToolResult::Readings(_)
        | ToolResult::History { .. }
        | ToolResult::Calculation(_)
        | ToolResult::Mcp(_) => Err(ToolError::UnknownTool),
    }
}
