//! What is sent: the platform's request in the words of `POST /v1/chat/completions`, `/v1/embeddings` and `/v1/rerank`.

use super::http::{About, Server};
use crate::config::Dialect;
use domain::model::{ChatOptions, ChatRequest, ModelToolCall, OfferedTool, PromptMessage};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

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
    #[serde(flatten)]
    options: Options<'a>,
    /// LiteLLM's word for that it must not fall back by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_fallbacks: bool,
    /// vLLM's word for what keeps prompts apart in its prefix cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_salt: Option<String>,
}

/// [`ChatOptions`], without what is not set: some servers refuse a null.
#[derive(Serialize)]
struct Options<'a> {
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

impl<'a> Options<'a> {
    /// What is said of tools is left out where no tool is offered, which OpenAI refuses, and for Ollama, which has no
    /// such choice.
    fn of(options: &'a ChatOptions, dialect: Dialect, has_tools: bool) -> Self {
        let chooses = has_tools && dialect != Dialect::Ollama;
        Self {
            temperature: options.temperature,
            top_p: options.top_p,
            stop: &options.stop,
            seed: options.seed,
            frequency_penalty: options.frequency_penalty,
            presence_penalty: options.presence_penalty,
            response_format: options.response_format.as_ref(),
            tool_choice: options.tool_choice.as_ref().filter(|_| chooses),
            parallel_tool_calls: options.parallel_tool_calls.filter(|_| chooses),
        }
    }
}

impl<'a> ChatBody<'a> {
    /// `request` for the server's model `model`.
    pub(super) fn new(server: &Server, model: &'a str, request: &'a ChatRequest, limit: LimitField) -> Self {
        let most = |field| (limit == field).then_some(request.max_output_tokens);
        let ids = if server.dialect() == Dialect::Vllm { Ids::Short } else { Ids::AsTheyAre };
        let about = About { caller: request.caller, classification: request.prompt.class() };
        Self {
            model,
            messages: wire_messages(request.prompt.content(), ids),
            tools: request.tools.iter().map(tool).collect(),
            stream: true,
            stream_options: json!({ "include_usage": true }),
            max_tokens: most(LimitField::MaxTokens),
            max_completion_tokens: most(LimitField::MaxCompletionTokens),
            options: Options::of(&request.options, server.dialect(), !request.tools.is_empty()),
            disable_fallbacks: server.forbids_fallbacks(about),
            cache_salt: server.cache_salt(&request.caller),
        }
    }
}

/// The prompt as it goes into a span, where the settings say that it may.
pub(super) fn recorded(request: &ChatRequest) -> String {
    let messages: Vec<Value> = request.prompt.content().iter().map(|m| wire_message(m, Ids::AsTheyAre)).collect();
    Value::Array(messages).to_string()
}

/// How the ids of tool calls are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    AsTheyAre,
    /// As nine letters and digits: Mistral's chat templates, which vLLM applies, refuse all others, and a turn may have
    /// begun at another server.
    Short,
}

impl Ids {
    fn of(self, id: &str) -> Cow<'_, str> {
        let is_short = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if self == Self::AsTheyAre || is_short {
            return Cow::Borrowed(id);
        }
        let mut digest = hex::encode(Sha256::digest(id));
        digest.truncate(9);
        Cow::Owned(digest)
    }
}

/// The prompt on the wire. Two messages of the user in a row become one: the chat templates of Mistral and Gemma refuse
/// them, and any server may serve such a model.
fn wire_messages(prompt: &[PromptMessage], ids: Ids) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::with_capacity(prompt.len());
    for message in prompt {
        if let PromptMessage::User(text) = message
            && let Some(Value::String(before)) =
                messages.last_mut().filter(|last| last["role"] == "user").map(|last| &mut last["content"])
        {
            before.push_str("\n\n");
            before.push_str(text);
            continue;
        }
        messages.push(wire_message(message, ids));
    }
    messages
}

fn wire_message(message: &PromptMessage, ids: Ids) -> Value {
    match message {
        PromptMessage::System(content) => json!({ "role": "system", "content": content }),
        PromptMessage::User(content) => json!({ "role": "user", "content": content }),
        PromptMessage::Assistant { content, tool_calls } if tool_calls.is_empty() => {
            json!({ "role": "assistant", "content": content })
        }
        PromptMessage::Assistant { content, tool_calls } => {
            let calls: Vec<Value> = tool_calls.iter().map(|asked| call(asked, ids)).collect();
            json!({ "role": "assistant", "content": content, "tool_calls": calls })
        }
        PromptMessage::Tool { call_id, content } => {
            json!({ "role": "tool", "tool_call_id": ids.of(call_id), "content": content })
        }
    }
}

fn call(call: &ModelToolCall, ids: Ids) -> Value {
    json!({ "id": ids.of(&call.id), "type": "function", "function": { "name": call.name, "arguments": call.arguments } })
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
    /// LiteLLM's word for that it must not fall back by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_fallbacks: bool,
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
    /// LiteLLM's word for that it must not fall back by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_fallbacks: bool,
}
