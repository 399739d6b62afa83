//! Tools and their results in the form of MCP.

use super::output_schema;
use crate::error::ApiError;
use crate::problem_kind::default_detail;
use domain::approval::ToolInvocation;
use domain::tool::{ListedTool, ToolId};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};
use std::sync::Arc;

/// The definition of a tool. Its hints are advisory: whether a call needs an approval is decided at the call.
pub(super) fn to_tool(listed: ListedTool) -> Tool {
    let ListedTool { spec, requires_approval } = listed;
    let is_mcp_tool = matches!(spec.name, ToolId::Mcp(_));
    let annotations = ToolAnnotations::new().read_only(!spec.writes_to_plant).open_world(is_mcp_tool);
    let annotations = if spec.writes_to_plant {
        // A built-in tool only adds records; the effects of an MCP server's tool are unknown.
        annotations.destructive(is_mcp_tool).idempotent(false)
    } else {
        annotations
    };
    let output = output_schema::of(&spec.name, requires_approval);
    Tool::new(spec.name.to_string(), spec.description.clone(), to_object(spec.parameters))
        .with_title(title(spec.name.as_str()))
        .with_raw_output_schema(to_object(output))
        .with_annotations(annotations)
}

/// The structured result of a call, and the same as text, for clients without structured results.
pub(super) fn to_result(invocation: ToolInvocation) -> CallToolResult {
    let structured = match invocation {
        ToolInvocation::Result { result, classification } => {
            json!({"status": "success", "result": result, "classification": classification})
        }
        ToolInvocation::Pending(approval) => json!({
            "status": "pending_approval", "approval_id": approval.id, "expires_at": approval.expires_at,
            "detail": "Nothing was written yet: people decide on it. Do not ask for it again.",
        }),
    };
    let mut result = CallToolResult::success(vec![ContentBlock::text(structured.to_string())]);
    result.structured_content = Some(structured);
    result
}

/// The part of an error that the caller may see, as a sentence.
pub(super) fn sentence(error: &ApiError) -> String {
    error.detail.clone().unwrap_or_else(|| default_detail(error.kind).to_owned())
}

fn to_object(schema: Value) -> Arc<JsonObject> {
    match schema {
        Value::Object(object) => Arc::new(object),
        _ => Arc::default(),
    }
}

/// The title of a tool: `Plant system write` for `plant_system_write`.
fn title(name: &str) -> String {
    let words = name.replace("__", ": ").replace('_', " ");
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::rights::Permission;
    use domain::role::{Classification, Operation, Resource};
    use domain::tool::{ToolName, ToolSpec};

    fn listed(name: ToolId, writes_to_plant: bool) -> ListedTool {
        let spec = ToolSpec {
            name,
            description: "A tool.".into(),
            required_permission: Permission::new(Resource::Search, Operation::Read),
            writes_to_plant,
            parameters: json!({"type": "object", "properties": {}, "additionalProperties": false}),
        };
        ListedTool { spec, requires_approval: writes_to_plant }
    }

    #[test]
    fn hints_say_what_a_tool_does_to_the_world() {
        let mcp_tool = ToolId::parse("cmms__create_ticket").expect("a name");
        let hints = |tool: Tool| serde_json::to_value(tool.annotations).expect("JSON");
        let search = to_tool(listed(ToolName::RagSearch.into(), false));
        assert_eq!((search.name.as_ref(), search.title.as_deref()), ("rag_search", Some("Rag search")));
        assert_eq!(hints(search), json!({"readOnlyHint": true, "openWorldHint": false}));
        let write = json!({
            "readOnlyHint": false, "openWorldHint": false, "destructiveHint": false, "idempotentHint": false,
        });
        assert_eq!(hints(to_tool(listed(ToolName::PlantSystemWrite.into(), true))), write);
        let mcp_tool = to_tool(listed(mcp_tool, true));
        assert_eq!(mcp_tool.title.as_deref(), Some("Cmms: create ticket"));
        assert_eq!(hints(mcp_tool)["destructiveHint"], json!(true));
    }

    #[test]
    fn a_result_is_structured_and_text_alike() {
        let invocation =
            ToolInvocation::Result { result: json!({"passages": []}), classification: Classification::Internal };
        let result = to_result(invocation);
        let structured = json!({"status": "success", "result": {"passages": []}, "classification": "internal"});
        assert_eq!(result.structured_content.as_ref(), Some(&structured));
        let text = result.content[0].as_text().map(|text| text.text.as_str()).expect("text");
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), structured);
    }
}
