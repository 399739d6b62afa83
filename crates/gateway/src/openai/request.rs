//! The request body of `POST /openai/v1/chat/completions`. Known fields are validated. Unknown ones are ignored,
//! because clients send many.

use super::messages::{AssistantRequest, ChatMessage, ParsedMessages};
use super::schema;
use crate::error::ApiError;
use crate::fields;
use domain::command::{AskAssistant, AskModel, RetrievalMode};
use domain::error::ErrorKind;
use domain::ids::{ConversationId, TeamId};
use domain::model::{ChatOptions, OfferedTool, TierChoice};
use domain::model_id::ModelId;
use domain::search::SearchFilters;
use domain::text::ShortText;
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use utoipa::ToSchema;
use uuid::Uuid;

/// Maximum number of stop sequences.
const MAX_STOP_SEQUENCES: usize = 4;
/// Maximum number of client tools.
const MAX_TOOLS: usize = 128;
/// Maximum nesting depth of a JSON Schema.
const MAX_SCHEMA_DEPTH: usize = 24;
/// Maximum number of values (objects, lists, strings, numbers, …) in a JSON Schema.
const MAX_SCHEMA_VALUES: usize = 2_000;
/// Maximum size of a JSON Schema, in bytes of JSON.
const MAX_SCHEMA_BYTES: usize = 32 << 10;
/// Maximum total size of the descriptions and schemas of all tools, in bytes.
const MAX_TOOLS_BYTES: usize = 128 << 10;
/// Maximum length of a tool's description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 8 << 10;
/// Maximum length of a tool's name, in bytes.
const MAX_TOOL_NAME_BYTES: usize = 64;

/// A chat request in OpenAI's format. Unknown fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "model": "auto", "messages": [{"role": "user", "content": "How do I isolate pump P-101 before I open it?"}]
}))]
pub(crate) struct ChatCompletionRequest {
    /// `auto`, `fast` or `heavy` for the plant's assistant; `fast-direct` or `heavy-direct` for a language model only.
    pub(crate) model: String,
    /// The messages so far, and at the end the new one.
    #[schema(min_items = 1)]
    messages: Vec<ChatMessage>,
    /// Whether to stream the answer in chunks instead of returning a single JSON response.
    #[schema(default = false)]
    pub(crate) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f32>,
    #[schema(minimum = 0, maximum = 1)]
    top_p: Option<f32>,
    /// Up to four strings at which generation stops.
    #[schema(schema_with = schema::stop)]
    #[serde(default)]
    stop: Value,
    seed: Option<i64>,
    #[schema(minimum = -2, maximum = 2)]
    frequency_penalty: Option<f32>,
    #[schema(minimum = -2, maximum = 2)]
    presence_penalty: Option<f32>,
    /// Older name of `max_completion_tokens`, which takes precedence.
    #[schema(minimum = 1)]
    max_tokens: Option<u32>,
    /// Maximum number of tokens of the answer. The platform's own limit applies too.
    #[schema(minimum = 1)]
    max_completion_tokens: Option<u32>,
    /// Number of choices. Must be 1.
    #[schema(minimum = 1, maximum = 1)]
    n: Option<u32>,
    #[schema(schema_with = schema::object_or_null)]
    #[serde(default)]
    response_format: Value,
    /// Tools that the client executes itself.
    #[schema(max_items = 128)]
    tools: Option<Vec<ClientTool>>,
    #[schema(schema_with = schema::tool_choice)]
    #[serde(default)]
    tool_choice: Value,
    parallel_tool_calls: Option<bool>,
    /// Extension of this platform: whether the assistant searches the documents. `auto` by default.
    #[schema(schema_with = fields::retrieval_mode_or_null)]
    retrieval: Option<RetrievalMode>,
    /// Extension of this platform: search only these documents.
    #[schema(max_items = 100)]
    document_ids: Option<Vec<Uuid>>,
    /// Extension of this platform: search only documents with at least one of these tags.
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
}

/// Options of a stream.
#[derive(Deserialize, ToSchema)]
struct StreamOptions {
    /// Whether to send the token usage, in a separate chunk at the end.
    include_usage: Option<bool>,
}

/// A tool that the client executes.
#[derive(Deserialize, ToSchema)]
struct ClientTool {
    /// `function`
    #[serde(rename = "type")]
    #[schema(schema_with = schema::function)]
    kind: String,
    function: ClientFunction,
}

/// Name, description and parameters of a tool.
#[derive(Deserialize, ToSchema)]
struct ClientFunction {
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    name: String,
    description: Option<String>,
    /// JSON Schema of the parameters.
    #[schema(schema_with = schema::object_or_null)]
    #[serde(default)]
    parameters: Value,
}

/// The command that a chat request is parsed into.
pub(crate) enum ChatCommand {
    /// A request to the plant's assistant, which searches the documents and cites them.
    Assistant(Box<AskAssistant>),
    /// A direct request to a language model.
    Model(Box<AskModel>),
}

impl ChatCompletionRequest {
    /// The model id as the client sent it.
    pub(crate) fn requested_model(&self) -> &str {
        &self.model
    }

    /// Takes the slug of the team from the model id `assistant@…`, which then is the assistant's.
    pub(crate) fn take_team_slug(&mut self) -> Option<String> {
        let slug = super::team_slug(&self.model)?.to_owned();
        ModelId::Auto.as_str().clone_into(&mut self.model);
        Some(slug)
    }

    /// Parses the model id. An unknown id is a 404.
    pub(crate) fn model_id(&self) -> Result<ModelId, ApiError> {
        super::parse_model_id(&self.model)
    }

    /// Returns whether a chunk with the token usage is sent at the end of a stream.
    pub(crate) fn include_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage) == Some(true)
    }

    /// Validates the request and converts it to a command. It becomes a direct request if the model id says so, or if
    /// it is a background task of Open WebUI.
    pub(crate) fn parse(
        self,
        conversation: Option<ConversationId>,
        team: Option<TeamId>,
    ) -> Result<ChatCommand, ApiError> {
        let id = self.model_id()?;
        let choice = id.tier_choice().ok_or_else(|| {
            super::model_not_found("embed is not a chat model; use it at /openai/v1/embeddings".to_owned())
        })?;
        let options = self.options()?;
        let max_output_tokens = self.max_completion_tokens.or(self.max_tokens);
        if max_output_tokens == Some(0) {
            let pointer = if self.max_completion_tokens.is_some() { "/max_completion_tokens" } else { "/max_tokens" };
            return Err(ApiError::invalid_field(pointer, "must be at least 1"));
        }
        let tools = parse_tools(self.tools.unwrap_or_default())?;
        let messages = ParsedMessages::parse(self.messages)?;
        let options = ChatOptions { tool_choice: parse_tool_choice(self.tool_choice, &tools)?, ..options };
        let is_background = messages.is_background_task();
        if id.is_direct() || is_background {
            if self.retrieval == Some(RetrievalMode::Always) {
                let detail = "must not be always for a request that goes directly to a language model";
                return Err(ApiError::invalid_field("/retrieval", detail));
            }
            let model = if is_background && !id.is_direct() { TierChoice::Fast } else { choice };
            let messages = messages.into_prompt()?;
            return Ok(ChatCommand::Model(Box::new(AskModel { messages, model, tools, options, max_output_tokens })));
        }
        let tags = fields::parse_tags("/tags", self.tags.iter().flatten())?;
        let filters = SearchFilters {
            document_ids: fields::parse_document_ids("/document_ids", self.document_ids.unwrap_or_default())?,
            tags: tags.into_iter().map(ShortText::into_string).collect(),
            ..SearchFilters::default()
        };
        let forbids_tools = options.tool_choice.as_ref().is_some_and(|choice| choice == "none");
        let tools = if forbids_tools { Vec::new() } else { tools };
        let AssistantRequest { message, history, tool_rounds, instructions } = messages.into_assistant_request()?;
        Ok(ChatCommand::Assistant(Box::new(AskAssistant {
            conversation,
            message,
            history,
            tool_rounds,
            instructions,
            tools,
            model: choice,
            retrieval: self.retrieval.unwrap_or(RetrievalMode::Auto),
            filters,
            options,
            max_output_tokens,
            team,
        })))
    }

    fn options(&self) -> Result<ChatOptions, ApiError> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(ApiError::invalid_field("/n", "must be 1: only one choice is generated"));
        }
        Ok(ChatOptions {
            temperature: in_range("/temperature", self.temperature, 0.0..=2.0)?,
            top_p: in_range("/top_p", self.top_p, 0.0..=1.0)?,
            stop: parse_stop(&self.stop)?,
            seed: self.seed,
            frequency_penalty: in_range("/frequency_penalty", self.frequency_penalty, -2.0..=2.0)?,
            presence_penalty: in_range("/presence_penalty", self.presence_penalty, -2.0..=2.0)?,
            response_format: parse_response_format(&self.response_format)?,
            tool_choice: None,
            parallel_tool_calls: self.parallel_tool_calls,
        })
    }
}

fn in_range(pointer: &str, value: Option<f32>, range: RangeInclusive<f32>) -> Result<Option<f32>, ApiError> {
    match value {
        Some(value) if !range.contains(&value) => {
            let detail = format!("must be between {} and {}", range.start(), range.end());
            Err(ApiError::invalid_field(pointer, detail))
        }
        value => Ok(value),
    }
}

fn parse_stop(stop: &Value) -> Result<Vec<String>, ApiError> {
    let invalid = || {
        let detail = format!("must be a string or a list of up to {MAX_STOP_SEQUENCES} strings, none of them empty");
        ApiError::invalid_field("/stop", detail)
    };
    let texts: Vec<String> = match stop {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) if texts.len() <= MAX_STOP_SEQUENCES => {
            let texts: Option<_> = texts.iter().map(|text| text.as_str().map(str::to_owned)).collect();
            texts.ok_or_else(invalid)?
        }
        _ => return Err(invalid()),
    };
    if texts.iter().any(String::is_empty) { Err(invalid()) } else { Ok(texts) }
}

fn parse_response_format(format: &Value) -> Result<Option<Value>, ApiError> {
    match (format, format["type"].as_str()) {
        (Value::Null, _) | (_, Some("text")) => Ok(None),
        (_, Some("json_object" | "json_schema")) => {
            check_schema_size("/response_format", format)?;
            Ok(Some(format.clone()))
        }
        _ => Err(ApiError::invalid_field("/response_format/type", "must be one of text, json_object, json_schema")),
    }
}

/// Rejects a JSON Schema that would take a model server too long to compile, or that would fill the prompt. Returns its
/// size in bytes of JSON.
fn check_schema_size(pointer: &str, schema: &Value) -> Result<usize, ApiError> {
    let reject = |detail: String| Err(ApiError::invalid_field(pointer, detail));
    let (mut value_count, mut level) = (0, vec![schema]);
    for depth in 0.. {
        if level.is_empty() {
            break;
        }
        if depth > MAX_SCHEMA_DEPTH {
            return reject(format!("must not be nested deeper than {MAX_SCHEMA_DEPTH} levels"));
        }
        value_count += level.len();
        if value_count > MAX_SCHEMA_VALUES {
            return reject(format!("must have at most {MAX_SCHEMA_VALUES} values"));
        }
        level = level.into_iter().flat_map(children).collect();
    }
    let bytes = schema.to_string().len();
    if bytes > MAX_SCHEMA_BYTES {
        return reject(format!("must be at most {} KiB of JSON", MAX_SCHEMA_BYTES >> 10));
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

fn parse_tools(tools: Vec<ClientTool>) -> Result<Vec<OfferedTool>, ApiError> {
    if tools.len() > MAX_TOOLS {
        return Err(ApiError::invalid_field("/tools", format!("must contain at most {MAX_TOOLS} tools")));
    }
    let mut total_bytes = 0;
    let mut offered = Vec::with_capacity(tools.len());
    for (index, tool) in tools.into_iter().enumerate() {
        let tool = parse_tool(index, tool)?;
        total_bytes += tool.description.len() + check_schema_size(&parameters_pointer(index), &tool.parameters)?;
        offered.push(tool);
    }
    if total_bytes > MAX_TOOLS_BYTES {
        let detail = format!("must be at most {} KiB of descriptions and schemas", MAX_TOOLS_BYTES >> 10);
        return Err(ApiError::invalid_field("/tools", detail));
    }
    Ok(offered)
}

fn parse_tool(index: usize, tool: ClientTool) -> Result<OfferedTool, ApiError> {
    let pointer = |field: &str| format!("/tools/{index}/{field}");
    if tool.kind != "function" {
        return Err(ApiError::invalid_field(pointer("type"), "must be function: no other type of tool is supported"));
    }
    let ClientFunction { name, description, parameters } = tool.function;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_TOOL_NAME_BYTES || !name.bytes().all(is_allowed) {
        let detail = "must be 1 to 64 letters, digits, periods, hyphens or underscores";
        return Err(ApiError::invalid_field(pointer("function/name"), detail));
    }
    let parameters = match parameters {
        Value::Null => json!({ "type": "object", "properties": {} }),
        Value::Object(_) => parameters,
        _ => return Err(ApiError::invalid_field(parameters_pointer(index), "must be a JSON Schema: an object")),
    };
    let description = description.unwrap_or_default();
    if description.len() > MAX_DESCRIPTION_BYTES {
        let detail = format!("must be at most {} KiB long", MAX_DESCRIPTION_BYTES >> 10);
        return Err(ApiError::invalid_field(pointer("function/description"), detail));
    }
    Ok(OfferedTool { name, description, parameters })
}

fn parameters_pointer(index: usize) -> String {
    format!("/tools/{index}/function/parameters")
}

/// Checks `tool_choice`: `none`, `auto`, `required`, or the name of one of the tools.
fn parse_tool_choice(choice: Value, tools: &[OfferedTool]) -> Result<Option<Value>, ApiError> {
    let is_offered = |name: &str| tools.iter().any(|tool| tool.name == name);
    match &choice {
        Value::Null => Ok(None),
        Value::String(word) if matches!(word.as_str(), "none" | "auto") => Ok((!tools.is_empty()).then_some(choice)),
        Value::String(word) if word == "required" && !tools.is_empty() => Ok(Some(choice)),
        Value::Object(object) if object.get("type").is_some_and(|kind| kind == "function") => {
            match choice["function"]["name"].as_str() {
                Some(name) if is_offered(name) => Ok(Some(choice)),
                _ => Err(ApiError::invalid_field("/tool_choice/function/name", "must be the name of one of the tools")),
            }
        }
        _ => {
            let detail = "must be none, auto, required or one of the tools; required needs at least one tool";
            Err(ApiError::invalid_field("/tool_choice", detail))
        }
    }
}

/// Parses the conversation id in the header. An invalid id becomes the maximum UUID, which no conversation has, so that
/// the response is the same as for an unknown id.
pub(crate) fn parse_conversation_id(header: Option<&str>) -> Option<ConversationId> {
    header.map(|text| ConversationId::from(Uuid::parse_str(text).unwrap_or(Uuid::max())))
}

/// Adds an explanation to a 404 of the gate: either the model was not found, or a conversation or document.
pub(crate) fn explain_not_found(error: ApiError, model: &str) -> ApiError {
    match error.code {
        "model_not_found" => {
            super::model_not_found(format!("no backend serves the model {model}, or you may not use it"))
        }
        _ if error.kind == ErrorKind::NotFound && error.detail.is_none() => {
            let detail = "The conversation or document does not exist, or you may not see it.".to_owned();
            ApiError { detail: Some(detail), ..error }
        }
        _ => error,
    }
}
