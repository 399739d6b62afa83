//! Calls of the platform's tools that the model asked for.

use super::context::RunContext;
use super::progress::Progress;
use super::tool_results::result_text;
use crate::prompt::tokens::TokenBudget;
use domain::classified::Classified;
use domain::model::ModelToolCall;
use domain::run::{RunEvent, ToolStatus};
use domain::tool::{ToolCall, ToolName, ToolResult};
use serde_json::{Value, json};
use tools::error::ToolError;

/// Calls a tool. Returns what the model reads of the result, within `budget`, or of the failure.
pub async fn call_tool(
    ctx: RunContext<'_>,
    progress: &mut Progress,
    asked: &ModelToolCall,
    budget: TokenBudget,
) -> Classified<String> {
    let (call_id, name) = (asked.id.clone(), asked.name.clone());
    ctx.log.push(RunEvent::ToolStarted { call_id: call_id.clone(), name: name.clone() });
    let result = invoke(ctx, asked).await;
    ctx.log.push(RunEvent::ToolFinished { call_id, name, status: status_of(&result) });
    // The audit log gets the names of known tools only: any other name is text that the model made up.
    if let Ok(known) = asked.name.parse::<ToolName>() {
        progress.tools_used.push(known.as_str().to_owned());
    }
    let nonce = &ctx.run.nonce;
    let text = result_text(progress, result, nonce, budget);
    text.map(|text| format!("<tool_result-{nonce}>\n{text}\n</tool_result-{nonce}>"))
}

async fn invoke(ctx: RunContext<'_>, asked: &ModelToolCall) -> Result<Classified<ToolResult>, ToolError> {
    let Ok(mut arguments) = serde_json::from_str::<Value>(&asked.arguments) else {
        let detail = "the arguments are not valid JSON; call it again with a JSON object";
        return Err(ToolError::Arguments { detail: detail.to_owned() });
    };
    if asked.name == ToolName::RagSearch.as_str() {
        include_surroundings(&mut arguments);
    }
    let (call_id, name) = (asked.id.clone(), asked.name.clone());
    let call = ToolCall { call_id, name, arguments, context: ctx.run.context };
    ctx.ports.tools.invoke(&ctx.run.permit, call).await
}

/// Makes a search return the surroundings of its passages too, unless its arguments say otherwise.
pub fn include_surroundings(arguments: &mut Value) {
    if let Value::Object(arguments) = arguments {
        arguments.entry("surroundings").or_insert(json!(true));
    }
}

pub fn status_of<T>(result: &Result<T, ToolError>) -> ToolStatus {
    match result {
        Ok(_) => ToolStatus::Success,
        Err(ToolError::Denied { .. }) => ToolStatus::Denied,
        Err(_) => ToolStatus::Error,
    }
}

/// Whether the arguments of a call are not valid JSON.
pub fn is_malformed(call: &ModelToolCall) -> bool {
    serde_json::from_str::<Value>(&call.arguments).is_err()
}
