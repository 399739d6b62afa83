//! JSON Schemas of results. They allow additional members, because later versions may add some.

use domain::tool::{ToolId, ToolName};
use serde_json::{Value, json};

/// The schema of the structured result of a tool.
pub(super) fn of(name: &ToolId, requires_approval: bool) -> Value {
    if requires_approval {
        return json!({
            "type": "object",
            "properties": {
                "status": {"const": "pending_approval"},
                "approval_id": {"type": "string", "format": "uuid"},
                "expires_at": {"type": "string", "format": "date-time"},
                "detail": {"type": "string"},
            },
            "required": ["status", "approval_id", "expires_at"],
        });
    }
    json!({
        "type": "object",
        "properties": {
            "status": {"const": "success"},
            "result": result(name),
            "classification": {"enum": ["public", "internal", "confidential", "restricted"]},
        },
        "required": ["status", "result", "classification"],
    })
}

fn result(name: &ToolId) -> Value {
    let list = |name: &str, items: Value| {
        let properties = json!({ name: { "type": "array", "items": items } });
        json!({ "type": "object", "properties": properties, "required": [name] })
    };
    match name {
        ToolId::Builtin(ToolName::RagSearch) => {
            let mut schema = list("passages", passage());
            schema["properties"]["answerable"] = json!({"type": "boolean"});
            schema
        }
        ToolId::Builtin(ToolName::DocumentRead) => {
            let mut schema = list("passages", passage());
            schema["properties"]["document"] = document();
            schema["properties"]["continue_from"] = json!({"type": ["integer", "null"]});
            schema
        }
        ToolId::Builtin(ToolName::DocumentList) => list("documents", document()),
        ToolId::Builtin(ToolName::MemoryRead) => {
            let properties =
                json!({"text": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}});
            list("memories", json!({"type": "object", "properties": properties, "required": ["text"]}))
        }
        ToolId::Builtin(ToolName::Calculator) => json!({
            "type": "object",
            "properties": {
                "expression": {"type": "string"},
                "result": {"type": "string"},
                "exact": {"type": "boolean"},
            },
            "required": ["expression", "result", "exact"],
        }),
        ToolId::Builtin(_) => json!({"type": "object"}),
        ToolId::Mcp(_) => json!({
            "type": "object",
            "properties": {
                "content": {"type": "array", "items": {"type": "object"}},
                "structured_content": {},
                "is_error": {"type": "boolean"},
                "truncated": {"type": "boolean"},
                "omitted_parts": {"type": "integer"},
            },
            "required": ["content", "is_error", "truncated"],
        }),
    }
}

fn passage() -> Value {
    json!({
        "type": "object",
        "properties": {
            "document_id": {"type": "string"},
            "doc": {"type": "string"},
            "title": {"type": "string"},
            "page": {"type": ["integer", "null"]},
            "section": {"type": ["string", "null"]},
            "text": {"type": "string"},
        },
        "required": ["document_id", "doc", "text"],
    })
}

fn document() -> Value {
    json!({
        "type": "object",
        "properties": {
            "document_id": {"type": "string"},
            "doc": {"type": "string"},
            "title": {"type": "string"},
            "doc_type": {"type": ["string", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "status": {"type": "string"},
            "pages": {"type": ["integer", "null"]},
        },
        "required": ["document_id", "doc"],
    })
}
