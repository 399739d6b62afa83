//! What is sent: the platform's request in the words of `POST /v1/chat/completions`, `/v1/embeddings` and `/v1/rerank`.

use domain::model::{ChatRequest, ModelToolCall, OfferedTool, PromptMessage};
use serde::Serialize;
use serde_json::{Value, json};

/// The field in which a server takes the limit of output tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LimitField {
    /// What nearly every server reads.
    MaxTokens,
    /// What newer models of OpenAI and Azure insist on; they refuse the other.
    MaxCompletionTokens,
}

#[derive(Serialize)]
pub(super) struct ChatBody<'a> {
    model: &'a str,
    messages: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    stream: bool,
    stream_options: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

impl<'a> ChatBody<'a> {
    /// `request` for the server's model `model`.
    pub(super) fn new(model: &'a str, request: &ChatRequest, limit: LimitField) -> Self {
        let most = |field| (limit == field).then_some(request.max_output_tokens);
        Self {
            model,
            messages: request.messages.iter().map(message).collect(),
            tools: request.tools.iter().map(tool).collect(),
            stream: true,
            stream_options: json!({ "include_usage": true }),
            max_tokens: most(LimitField::MaxTokens),
            max_completion_tokens: most(LimitField::MaxCompletionTokens),
        }
    }
}

fn message(message: &PromptMessage) -> Value {
    match message {
        PromptMessage::System(content) => json!({ "role": "system", "content": content }),
        PromptMessage::User(content) => json!({ "role": "user", "content": content }),
        PromptMessage::Assistant { content, tool_calls } if tool_calls.is_empty() => {
            json!({ "role": "assistant", "content": content })
        }
        PromptMessage::Assistant { content, tool_calls } => {
            let calls: Vec<Value> = tool_calls.iter().map(call).collect();
            json!({ "role": "assistant", "content": content, "tool_calls": calls })
        }
        PromptMessage::Tool { call_id, content } => {
            json!({ "role": "tool", "tool_call_id": call_id, "content": content })
        }
    }
}

fn call(call: &ModelToolCall) -> Value {
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": call.arguments } })
}

fn tool(tool: &OfferedTool) -> Value {
    let function = json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters });
    json!({ "type": "function", "function": function })
}

#[derive(Serialize)]
pub(super) struct EmbedBody<'a> {
    /// The server's model.
    pub model: &'a str,
    /// The texts, prefixes included.
    pub input: &'a [String],
    /// Numbers rather than base64: every server knows them.
    pub encoding_format: &'static str,
}

#[derive(Serialize)]
pub(super) struct RerankBody<'a> {
    /// The server's model.
    pub model: &'a str,
    /// The question.
    pub query: &'a str,
    /// The passages.
    pub documents: Vec<&'a str>,
    /// All of them are wanted; some servers send fewer unless told.
    pub top_n: usize,
}
