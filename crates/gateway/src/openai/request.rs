//! `POST /openai/v1/chat/completions`, as it is asked: unknown fields are ignored, since clients send many; known ones are
//! checked.

use super::messages::{self, ChatMessage, Spoken};
use super::schema;
use crate::error::ApiError;
use crate::wire;
use domain::command::{AskAssistant, AskModel, RetrievalMode};
use domain::error::ErrorKind;
use domain::ids::ConversationId;
use domain::model::{ChatOptions, ModelChoice, OfferedTool};
use domain::model_id::ModelId;
use domain::search::SearchFilters;
use domain::text::Label;
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most texts at which an answer stops.
const MAX_STOPS: usize = 4;
/// Most tools of a client's.
const MAX_TOOLS: usize = 128;
/// Deepest nesting of a schema of a client's.
const MAX_SCHEMA_DEPTH: usize = 24;
/// Most values of it: objects, lists, texts, numbers.
const MAX_SCHEMA_VALUES: usize = 2_000;
/// Longest schema, in bytes.
const MAX_SCHEMA: usize = 32 << 10;
/// Most bytes that all tools together take of a prompt.
const MAX_ALL_TOOLS: usize = 128 << 10;
/// Longest description of a tool, in bytes.
const MAX_DESCRIPTION: usize = 8 << 10;
/// Longest name of a tool.
const MAX_TOOL_NAME: usize = 64;

/// A chat, in OpenAI's words. Fields that are not named here are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "model": "auto", "messages": [{"role": "user", "content": "How do I isolate pump P-101 before I open it?"}]
}))]
pub(crate) struct ChatCompletionRequest {
    /// `auto`, `fast`, `heavy`: the plant's assistant; `fast-direct`, `heavy-direct`: a language model alone.
    pub(crate) model: String,
    /// What was said, and what is said now.
    #[schema(min_items = 1)]
    messages: Vec<ChatMessage>,
    /// Chunks while the answer is written, or one document at the end (the default).
    #[schema(default = false)]
    pub(crate) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f32>,
    #[schema(minimum = 0, maximum = 1)]
    top_p: Option<f32>,
    /// A text at which the answer stops, or up to four.
    #[schema(schema_with = schema::texts)]
    #[serde(default)]
    stop: Value,
    seed: Option<i64>,
    #[schema(minimum = -2, maximum = 2)]
    frequency_penalty: Option<f32>,
    #[schema(minimum = -2, maximum = 2)]
    presence_penalty: Option<f32>,
    /// As `max_completion_tokens`, which counts where both are there.
    #[schema(minimum = 1)]
    max_tokens: Option<u32>,
    /// Most tokens of the answer; the platform has a limit of its own.
    #[schema(minimum = 1)]
    max_completion_tokens: Option<u32>,
    /// One answer.
    #[schema(minimum = 1, maximum = 1)]
    n: Option<u32>,
    #[schema(schema_with = schema::any_object)]
    #[serde(default)]
    response_format: Value,
    /// Tools of the client's, which it calls itself: a language model alone answers then.
    #[schema(max_items = 128)]
    tools: Option<Vec<ClientTool>>,
    #[schema(schema_with = schema::tool_choice)]
    #[serde(default)]
    tool_choice: Value,
    parallel_tool_calls: Option<bool>,
    /// Of this platform: whether the assistant looks into the documents; `auto` unless said.
    #[schema(schema_with = wire::retrieval_mode_or_null)]
    retrieval: Option<RetrievalMode>,
    /// Of this platform: look into these documents only.
    #[schema(max_items = 100)]
    document_ids: Option<Vec<Uuid>>,
    /// Of this platform: look into documents with one of these tags only.
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
}

/// What a stream holds beside the answer.
#[derive(Deserialize, ToSchema)]
struct StreamOptions {
    /// What the answer took, in a piece of its own at the end.
    include_usage: Option<bool>,
}

/// A tool of the client's.
#[derive(Deserialize, ToSchema)]
struct ClientTool {
    /// `function`
    #[serde(rename = "type")]
    #[schema(schema_with = schema::function)]
    kind: String,
    function: ClientFunction,
}

/// What the tool is called, and takes.
#[derive(Deserialize, ToSchema)]
struct ClientFunction {
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    name: String,
    description: Option<String>,
    /// JSON Schema.
    #[schema(schema_with = schema::any_object)]
    #[serde(default)]
    parameters: Value,
}

/// What is asked of the platform.
pub(crate) enum Asked {
    /// The plant's assistant.
    Assistant(Box<AskAssistant>),
    /// A language model alone.
    Model(Box<AskModel>),
}

impl ChatCompletionRequest {
    /// Whether the client wants to know at the end of a stream what the answer took.
    pub(crate) fn include_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage) == Some(true)
    }

    /// What it asks for, of which kind. A language model alone answers where the model's id says so, where the client
    /// brings tools, and to what Open WebUI asks in the background.
    pub(crate) fn parse(self, conversation: Option<ConversationId>) -> Result<Asked, ApiError> {
        let id = super::model(&self.model)?;
        let choice = id.choice().ok_or_else(|| {
            super::no_such_model("embed is no model to chat with; ask it at /openai/v1/embeddings".to_owned())
        })?;
        let options = self.options()?;
        let max_output_tokens = self.max_completion_tokens.or(self.max_tokens);
        if max_output_tokens == Some(0) {
            return Err(ApiError::field("/max_completion_tokens", "must be at least 1"));
        }
        let tools = tools(self.tools.unwrap_or_default())?;
        let spoken = Spoken::parse(self.messages)?;
        let background = spoken.is_background_task();
        if id.is_direct() || background || !tools.is_empty() || spoken.awaits_model_after_tools() {
            if self.retrieval == Some(RetrievalMode::Always) {
                let detail = "must not be always where a language model alone answers: it is asked directly, or with tools \
                              of the client's";
                return Err(ApiError::field("/retrieval", detail));
            }
            let model = if background && !id.is_direct() { ModelChoice::Fast } else { choice };
            let options = ChatOptions { tool_choice: tool_choice(self.tool_choice, &tools)?, ..options };
            let messages = spoken.into_prompt()?;
            return Ok(Asked::Model(Box::new(AskModel { messages, model, tools, options, max_output_tokens })));
        }
        let tags = wire::tags("/tags", self.tags.iter().flatten())?;
        let filters = SearchFilters {
            document_ids: wire::document_ids("/document_ids", self.document_ids.unwrap_or_default())?,
            tags: tags.into_iter().map(Label::into_string).collect(),
            ..SearchFilters::default()
        };
        let messages::Question { message, history, instructions } = spoken.into_question()?;
        Ok(Asked::Assistant(Box::new(AskAssistant {
            conversation,
            message,
            history,
            instructions,
            model: choice,
            retrieval: self.retrieval.unwrap_or(RetrievalMode::Auto),
            filters,
            // The platform's tools are not the client's to steer.
            options: ChatOptions { parallel_tool_calls: None, ..options },
            max_output_tokens,
        })))
    }

    fn options(&self) -> Result<ChatOptions, ApiError> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(ApiError::field("/n", "must be 1: there is one answer to a question"));
        }
        Ok(ChatOptions {
            temperature: within("/temperature", self.temperature, 0.0..=2.0)?,
            top_p: within("/top_p", self.top_p, 0.0..=1.0)?,
            stop: stops(&self.stop)?,
            seed: self.seed,
            frequency_penalty: within("/frequency_penalty", self.frequency_penalty, -2.0..=2.0)?,
            presence_penalty: within("/presence_penalty", self.presence_penalty, -2.0..=2.0)?,
            response_format: response_format(&self.response_format)?,
            tool_choice: None,
            parallel_tool_calls: self.parallel_tool_calls,
        })
    }
}

fn within(pointer: &str, value: Option<f32>, allowed: RangeInclusive<f32>) -> Result<Option<f32>, ApiError> {
    match value {
        Some(value) if !allowed.contains(&value) => {
            let detail = format!("must be between {} and {}", allowed.start(), allowed.end());
            Err(ApiError::field(pointer, detail))
        }
        value => Ok(value),
    }
}

fn stops(given: &Value) -> Result<Vec<String>, ApiError> {
    let wrong = || ApiError::field("/stop", format!("must be a text, or up to {MAX_STOPS} texts, none of them empty"));
    let texts: Vec<String> = match given {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) if texts.len() <= MAX_STOPS => {
            let texts: Option<_> = texts.iter().map(|text| text.as_str().map(str::to_owned)).collect();
            texts.ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    };
    if texts.iter().any(String::is_empty) { Err(wrong()) } else { Ok(texts) }
}

fn response_format(given: &Value) -> Result<Option<Value>, ApiError> {
    match (given, given["type"].as_str()) {
        (Value::Null, _) | (_, Some("text")) => Ok(None),
        (_, Some("json_object" | "json_schema")) => {
            bounded("/response_format", given)?;
            Ok(Some(given.clone()))
        }
        _ => Err(ApiError::field("/response_format/type", "must be one of text, json_object, json_schema")),
    }
}

/// Refuses a schema that a server would compile for ever, or that fills the prompt; its size in bytes.
fn bounded(pointer: &str, schema: &Value) -> Result<usize, ApiError> {
    let refused = |detail: String| Err(ApiError::field(pointer, detail));
    let (mut values, mut level) = (0, vec![schema]);
    for depth in 0.. {
        if level.is_empty() {
            break;
        }
        if depth > MAX_SCHEMA_DEPTH {
            return refused(format!("must not be nested deeper than {MAX_SCHEMA_DEPTH} levels"));
        }
        values += level.len();
        if values > MAX_SCHEMA_VALUES {
            return refused(format!("must hold at most {MAX_SCHEMA_VALUES} values"));
        }
        level = level.into_iter().flat_map(children).collect();
    }
    let bytes = schema.to_string().len();
    if bytes > MAX_SCHEMA {
        return refused(format!("must be at most {} KiB long", MAX_SCHEMA >> 10));
    }
    Ok(bytes)
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

fn tools(given: Vec<ClientTool>) -> Result<Vec<OfferedTool>, ApiError> {
    if given.len() > MAX_TOOLS {
        return Err(ApiError::field("/tools", format!("must be at most {MAX_TOOLS} tools")));
    }
    let tool = |(index, tool): (usize, ClientTool)| {
        let at = |field: &str| format!("/tools/{index}/{field}");
        if tool.kind != "function" {
            return Err(ApiError::field(at("type"), "must be function: there are no other tools here"));
        }
        let ClientFunction { name, description, parameters } = tool.function;
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if name.is_empty() || name.len() > MAX_TOOL_NAME || !name.bytes().all(in_name) {
            let detail = "must be 1 to 64 letters, digits, points, dashes or underscores";
            return Err(ApiError::field(at("function/name"), detail));
        }
        let parameters = match parameters {
            Value::Null => json!({ "type": "object", "properties": {} }),
            Value::Object(_) => parameters,
            _ => return Err(ApiError::field(at("function/parameters"), "must be a JSON Schema: an object")),
        };
        let description = description.unwrap_or_default();
        if description.len() > MAX_DESCRIPTION {
            let detail = format!("must be at most {} KiB long", MAX_DESCRIPTION >> 10);
            return Err(ApiError::field(at("function/description"), detail));
        }
        let bytes = description.len() + bounded(&at("function/parameters"), &parameters)?;
        Ok((OfferedTool { name, description, parameters }, bytes))
    };
    let tools: Vec<_> = given.into_iter().enumerate().map(tool).collect::<Result<_, _>>()?;
    if tools.iter().map(|(_, bytes)| bytes).sum::<usize>() > MAX_ALL_TOOLS {
        return Err(ApiError::field("/tools", format!("must be at most {} KiB long together", MAX_ALL_TOOLS >> 10)));
    }
    Ok(tools.into_iter().map(|(tool, _)| tool).collect())
}

/// `none`, `auto`, `required`, or one of the tools.
fn tool_choice(given: Value, tools: &[OfferedTool]) -> Result<Option<Value>, ApiError> {
    let named = |name: &str| tools.iter().any(|tool| tool.name == name);
    match &given {
        Value::Null => Ok(None),
        Value::String(word) if matches!(word.as_str(), "none" | "auto") => Ok((!tools.is_empty()).then_some(given)),
        Value::String(word) if word == "required" && !tools.is_empty() => Ok(Some(given)),
        Value::Object(choice) if choice.get("type").is_some_and(|kind| kind == "function") => {
            match given["function"]["name"].as_str() {
                Some(name) if named(name) => Ok(Some(given)),
                _ => Err(ApiError::field("/tool_choice/function/name", "must be the name of one of the tools")),
            }
        }
        _ => Err(ApiError::field(
            "/tool_choice",
            "must be none, auto, required or one of the tools, which must be there",
        )),
    }
}

/// A conversation's id of the request's header.
pub(crate) fn conversation(header: Option<&str>) -> Option<ConversationId> {
    // Text that is no id names nothing, and is looked up as what does not exist.
    header.map(|text| ConversationId::from(Uuid::parse_str(text).unwrap_or(Uuid::max())))
}

/// A model that is known, and that this caller or this platform has not.
pub(crate) fn explained(error: ApiError, model: &str) -> ApiError {
    match error.code {
        "model_not_found" => {
            super::no_such_model(format!("nothing serves the model {model} here, or it is not for you to use"))
        }
        _ if error.kind == ErrorKind::NotFound && error.detail.is_none() => {
            let detail = "There is no such conversation or document, or it is not for you to know of.".to_owned();
            ApiError { detail: Some(detail), ..error }
        }
        _ => error,
    }
}

impl ChatCompletionRequest {
    /// The id of the model that is asked, for the answer.
    pub(crate) fn model_id(&self) -> Result<ModelId, ApiError> {
        super::model(&self.model)
    }
}
