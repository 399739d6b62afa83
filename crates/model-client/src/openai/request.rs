//! Request bodies of `POST /v1/chat/completions`, `/v1/embeddings` and `/v1/rerank`.

use super::http::{OpenAiClient, RequestContext};
use crate::config::Dialect;
use aws_lc_rs::digest::{SHA256, digest};
use domain::model::{ChatOptions, ChatRequest, ModelToolCall, OfferedTool, PromptMessage};
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Name of the request field that limits the output tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenLimitField {
    /// `max_tokens`, which nearly every server understands.
    MaxTokens,
    /// `max_completion_tokens`, required by newer models of OpenAI and Azure, which reject `max_tokens`.
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
    #[serde(flatten)]
    options: WireOptions<'a>,
    /// LiteLLM only: forbids the proxy's own fallbacks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_fallbacks: bool,
    /// vLLM only: isolates the tenant in the prefix cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_salt: Option<String>,
}

/// The [`ChatOptions`] on the wire. Unset options are omitted, because some servers reject null.
#[derive(Serialize)]
struct WireOptions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
}

impl<'a> WireOptions<'a> {
    /// Omits the tool options if the request has no tools, because OpenAI then rejects them, and for Ollama, which does
    /// not support them.
    fn new(options: &'a ChatOptions, dialect: Dialect, has_tools: bool) -> Self {
        let sends_tool_options = has_tools && dialect != Dialect::Ollama;
        Self {
            temperature: options.temperature,
            top_p: options.top_p,
            stop: &options.stop,
            seed: options.seed,
            frequency_penalty: options.frequency_penalty,
            presence_penalty: options.presence_penalty,
            response_format: options.response_format.as_ref(),
            tool_choice: options.tool_choice.as_ref().filter(|_| sends_tool_options),
            parallel_tool_calls: options.parallel_tool_calls.filter(|_| sends_tool_options),
        }
    }
}

impl<'a> ChatBody<'a> {
    /// The body of a streaming chat request for the server's `model`.
    pub(super) fn new(
        client: &OpenAiClient,
        model: &'a str,
        request: &'a ChatRequest,
        limit_field: TokenLimitField,
    ) -> Self {
        let max_tokens = |field| (limit_field == field).then_some(request.max_output_tokens);
        let id_encoding =
            if client.dialect() == Dialect::Vllm { CallIdEncoding::Short } else { CallIdEncoding::Unchanged };
        let context = RequestContext::new(&request.caller, request.prompt.classification());
        Self {
            model,
            messages: wire_messages(request.prompt.content(), id_encoding),
            tools: request.tools.iter().map(wire_tool).collect(),
            stream: true,
            stream_options: json!({ "include_usage": true }),
            max_tokens: max_tokens(TokenLimitField::MaxTokens),
            max_completion_tokens: max_tokens(TokenLimitField::MaxCompletionTokens),
            options: WireOptions::new(&request.options, client.dialect(), !request.tools.is_empty()),
            disable_fallbacks: client.forbids_fallbacks(context),
            cache_salt: client.cache_salt(request.caller.tenant),
        }
    }
}

/// The prompt as JSON, for the span attribute `gen_ai.input.messages`.
pub(super) fn recorded_prompt(request: &ChatRequest) -> String {
    let messages: Vec<Value> =
        request.prompt.content().iter().map(|m| wire_message(m, CallIdEncoding::Unchanged)).collect();
    Value::Array(messages).to_string()
}

/// How the ids of tool calls are encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CallIdEncoding {
    Unchanged,
    /// Hashed to nine hexadecimal digits, unless the id already consists of nine letters and digits. Mistral's chat
    /// templates, which vLLM applies, reject other ids, and ids may come from another server in the same conversation.
    Short,
}

impl CallIdEncoding {
    fn encode(self, id: &str) -> Cow<'_, str> {
        let is_short = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if self == Self::Unchanged || is_short {
            return Cow::Borrowed(id);
        }
        let mut short_id = hex::encode(digest(&SHA256, id.as_bytes()));
        short_id.truncate(9);
        Cow::Owned(short_id)
    }
}

/// Converts the prompt to messages on the wire. Consecutive user messages are joined, because the chat templates of
/// Mistral and Gemma reject them, and any server may serve such a model.
fn wire_messages(prompt: &[PromptMessage], id_encoding: CallIdEncoding) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::with_capacity(prompt.len());
    for message in prompt {
        if let PromptMessage::User(text) = message
            && let Some(Value::String(previous_content)) =
                messages.last_mut().filter(|last| last["role"] == "user").map(|last| &mut last["content"])
        {
            previous_content.push_str("\n\n");
            previous_content.push_str(text);
            continue;
        }
        messages.push(wire_message(message, id_encoding));
    }
    messages
}

fn wire_message(message: &PromptMessage, id_encoding: CallIdEncoding) -> Value {
    match message {
        PromptMessage::System(content) => json!({ "role": "system", "content": content }),
        PromptMessage::User(content) => json!({ "role": "user", "content": content }),
        PromptMessage::Assistant { content, tool_calls } if tool_calls.is_empty() => {
            json!({ "role": "assistant", "content": content })
        }
        PromptMessage::Assistant { content, tool_calls } => {
            let calls: Vec<Value> = tool_calls.iter().map(|call| wire_call(call, id_encoding)).collect();
            json!({ "role": "assistant", "content": content, "tool_calls": calls })
        }
        PromptMessage::Tool { call_id, content } => {
            json!({ "role": "tool", "tool_call_id": id_encoding.encode(call_id), "content": content })
        }
    }
}

fn wire_call(call: &ModelToolCall, id_encoding: CallIdEncoding) -> Value {
    let function = json!({ "name": call.name, "arguments": call.arguments });
    json!({ "id": id_encoding.encode(&call.id), "type": "function", "function": function })
}

fn wire_tool(tool: &OfferedTool) -> Value {
    let function = json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters });
    json!({ "type": "function", "function": function })
}

#[derive(Serialize)]
pub(super) struct EmbedBody<'a> {
    /// The model's name at the server.
    pub model: &'a str,
    /// The texts, with the prefix for their purpose.
    pub input: &'a [String],
    /// Always `float`, because not every server supports base64.
    pub encoding_format: &'static str,
    /// LiteLLM: forbids the proxy's own fallbacks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_fallbacks: bool,
}

#[derive(Serialize)]
pub(super) struct RerankBody<'a> {
    /// The model's name at the server.
    pub model: &'a str,
    /// The search query.
    pub query: &'a str,
    /// Passages to score.
    pub documents: Vec<&'a str>,
    /// Number of scores to return: all of them, because some servers return fewer by default.
    pub top_n: usize,
    /// LiteLLM: forbids the proxy's own fallbacks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_fallbacks: bool,
}
