//! The audit metadata of a call's result: document ids, names of tags, counts and error codes, but never content.
//! Values of tags are content.

use crate::error::ToolError;
use domain::audit::ResultStatus;
use domain::classified::Classified;
use domain::error::Classify;
use domain::ids::DocumentId;
use domain::plant::Quality;
use domain::ports::PlantReadError;
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
        ToolResult::Tags(tags) => json!({"hits": tags.len()}),
        ToolResult::Readings(readings) => json!({
            "tags": readings.iter().map(|reading| &reading.tag).collect::<Vec<_>>(),
            "sources": readings.iter().map(|reading| &reading.source).collect::<BTreeSet<_>>(),
            "hits": readings.len(),
            "stale": readings.iter().filter(|reading| reading.stale).count(),
            "bad": readings.iter().filter(|reading| reading.quality == Quality::Bad).count(),
        }),
        ToolResult::History { history, period } => json!({
            "tags": [history.tag],
            "sources": [history.source],
            "hits": history.points.len(),
            "from": period.from,
            "to": period.to,
            "aggregate": history.aggregate,
            "truncated": history.truncated,
        }),
        ToolResult::Mcp(result) => json!({
            "texts": result.texts.len(), "truncated": result.is_truncated, "tool_error": result.is_error,
        }),
        ToolResult::Calculation(calculation) => json!({ "exact": calculation.is_exact }),
    }
}

fn distinct(ids: impl Iterator<Item = DocumentId>) -> BTreeSet<DocumentId> {
    ids.collect()
}

fn result_status(error: &ToolError) -> ResultStatus {
    match error {
        ToolError::Cancelled => ResultStatus::Cancelled,
        ToolError::NotFound | ToolError::Denied { .. } | ToolError::Plant(PlantReadError::UnknownTags { .. }) => {
            ResultStatus::Denied
        }
        _ => ResultStatus::Error,
    }
}

/// The code of an error in the audit log and in traces. The message is not recorded, because it may quote text that a
/// model generated.
pub(super) fn audit_code(error: &ToolError) -> &'static str {
    match error {
        ToolError::Denied { reason } => reason.as_str(),
        ToolError::InvalidArguments { .. } => "invalid_arguments",
        ToolError::TimedOut { .. } => "timeout",
        ToolError::Panicked { .. } => "panicked",
        ToolError::Cancelled => "caller_left",
        ToolError::Mcp(error) => error.audit_code(),
        other => other.code(),
    }
}
