//! The audit metadata of a call's result: document ids, counts and error codes, but never content.

use crate::error::ToolError;
use domain::audit::ResultStatus;
use domain::classified::Classified;
use domain::error::Classify;
use domain::ids::DocumentId;
use domain::tool::ToolResult;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Returns the audit status and metadata of a call's result.
pub(super) fn status_and_metadata(
    result: &Result<Classified<ToolResult>, ToolError>,
) -> (ResultStatus, Map<String, Value>) {
    let (status, metadata) = match result {
        Ok(result) => (ResultStatus::Success, success_metadata(result)),
        Err(error) => (result_status(error), json!({"reason": audit_code(error)})),
    };
    match metadata {
        Value::Object(metadata) => (status, metadata),
        _ => (status, Map::new()),
    }
}

fn success_metadata(result: &Classified<ToolResult>) -> Value {
    let mut metadata = result_metadata(result.content());
    metadata["classification"] = result.classification().as_str().into();
    metadata
}

fn result_metadata(result: &ToolResult) -> Value {
    match result {
        ToolResult::Retrieval(found) => json!({
            "documents": distinct(found.hits.iter().map(|hit| hit.passage.document_id)),
            "hits": found.hits.len(),
            "degraded": found.degraded,
            "answerable": found.answerable,
            "reranked": found.reranked_by.is_some(),
            "reranker": found.reranked_by,
        }),
        ToolResult::DocumentText { document, passages, truncated } => {
            json!({"documents": [document.id], "hits": passages.len(), "truncated": truncated})
        }
        ToolResult::Documents(documents) => {
            json!({"documents": distinct(documents.iter().map(|document| document.id)), "hits": documents.len()})
        }
        ToolResult::Memories(memories) => json!({"hits": memories.len()}),
    }
}

fn distinct(ids: impl Iterator<Item = DocumentId>) -> BTreeSet<DocumentId> {
    ids.collect()
}

fn result_status(error: &ToolError) -> ResultStatus {
    match error {
        ToolError::Cancelled => ResultStatus::Cancelled,
        ToolError::NotFound | ToolError::Denied { .. } => ResultStatus::Denied,
        _ => ResultStatus::Error,
    }
}

/// The audit code of an error. The message is not recorded, because it may quote text that a model generated.
fn audit_code(error: &ToolError) -> &'static str {
    match error {
        ToolError::Denied { reason } => reason.as_str(),
        ToolError::InvalidArguments { .. } => "invalid_arguments",
        ToolError::TimedOut { .. } => "timeout",
        ToolError::Panicked { .. } => "panicked",
        ToolError::Cancelled => "caller_left",
        other => other.code(),
    }
}
