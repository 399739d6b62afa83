//! The messages of a chat request in OpenAI's format. A request to the assistant is split into question, history and
//! instructions. A direct request passes the messages to the model unchanged.

use super::schema;
use super::tool_messages;
use crate::error::ApiError;
use domain::command::EarlierMessage;
use domain::conversation::MessageRole;
use domain::model::{ModelToolCall, PromptMessage};
use domain::text::MessageText;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Maximum total length of system and developer messages, in characters. Leaves room for passages in the prompt.
const MAX_INSTRUCTIONS_CHARS: usize = 16_000;
/// Prefix of the messages that Open WebUI sends in the background to generate titles, tags and suggestions.
const BACKGROUND_TASK_PREFIX: &str = "### Task:";
/// Follows the prefix in a user's question to which Open WebUI has added context from its own files.
const QUESTION_WITH_CONTEXT: &str = "Respond to the user query using the provided context";

/// A message of a chat request.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatCompletionRequestMessage)]
pub(super) struct ChatMessage {
    #[schema(schema_with = schema::roles)]
    role: String,
    /// A string, or a list of parts of type `text`.
    #[schema(schema_with = schema::content)]
    #[serde(default)]
    content: Value,
    /// Tool calls that the model requested in an earlier answer.
    tool_calls: Option<Vec<EarlierCall>>,
    /// Id of the tool call whose result this message is.
    tool_call_id: Option<String>,
}

/// A tool call of an earlier answer.
#[derive(Deserialize, ToSchema)]
struct EarlierCall {
    id: String,
    function: EarlierFunction,
}

/// The function that was called, with its arguments as JSON.
#[derive(Deserialize, ToSchema)]
struct EarlierFunction {
    name: String,
    arguments: String,
}

/// Messages with valid roles and contents, in the order of the request.
pub(super) struct ParsedMessages(Vec<PromptMessage>);

/// A request to the assistant: question, history and instructions.
pub(super) struct AssistantRequest {
    pub(super) message: MessageText,
    pub(super) history: Vec<EarlierMessage>,
    /// Calls of client tools and their results, after the question.
    pub(super) tool_rounds: Vec<PromptMessage>,
    pub(super) instructions: Option<String>,
}

impl ParsedMessages {
    pub(super) fn parse(messages: Vec<ChatMessage>) -> Result<Self, ApiError> {
        if messages.is_empty() {
            return Err(ApiError::invalid_field("/messages", "must not be empty"));
        }
        let parsed = messages.into_iter().enumerate().map(|(index, message)| parse_message(index, message));
        parsed.collect::<Result<_, ApiError>>().map(Self)
    }

    /// Returns whether this is a background request of Open WebUI, as opposed to a message of a user.
    pub(super) fn is_background_task(&self) -> bool {
        let task =
            self.last_user_message().and_then(|(_, text)| text.trim_start().strip_prefix(BACKGROUND_TASK_PREFIX));
        task.is_some_and(|task| !task.trim_start().starts_with(QUESTION_WITH_CONTEXT))
    }

    /// Returns the messages unchanged, for a direct request.
    pub(super) fn into_prompt(self) -> Result<Vec<PromptMessage>, ApiError> {
        if self.0.iter().all(|message| matches!(message, PromptMessage::System(_))) {
            return Err(ApiError::invalid_field("/messages", "must contain a user, assistant or tool message"));
        }
        Ok(self.0)
    }

    /// Uses the last user message as the question. Only calls of client tools and their results may follow it. Earlier
    /// ones are omitted, because the history contains the answers that are based on them.
    pub(super) fn into_assistant_request(mut self) -> Result<AssistantRequest, ApiError> {
        let index = self.last_user_message().map(|(index, _)| index);
        let last_index = self.0.len() - 1;
        let ends_in_tool = matches!(self.0.last(), Some(PromptMessage::Tool { .. }));
        let Some(index) = index.filter(|index| *index == last_index || ends_in_tool) else {
            let detail = "must be user or tool: the last message must be a question, or the result of a tool call";
            return Err(ApiError::invalid_field(format!("/messages/{last_index}/role"), detail));
        };
        let tool_rounds = tool_messages::parse(self.0.split_off(index + 1), index + 1)?;
        let Some(PromptMessage::User(text)) = self.0.last() else {
            return Err(ApiError::invalid_field(format!("/messages/{index}/role"), "must be user"));
        };
        let message = MessageText::parse(text);
        let message = message.map_err(|error| ApiError::invalid_field(format!("/messages/{index}/content"), error))?;
        let (mut history, mut instructions) = (Vec::new(), Vec::new());
        for message in self.0.into_iter().take(index) {
            let (role, content) = match message {
                PromptMessage::System(text) => {
                    instructions.push(text);
                    continue;
                }
                PromptMessage::User(text) => (MessageRole::User, text),
                PromptMessage::Assistant { content, .. } => (MessageRole::Assistant, content),
                PromptMessage::Tool { .. } => continue,
            };
            if !content.trim().is_empty() {
                history.push(EarlierMessage { role, content });
            }
        }
        let instructions = instructions.join("\n\n");
        if instructions.chars().count() > MAX_INSTRUCTIONS_CHARS {
            let detail =
                format!("must have at most {MAX_INSTRUCTIONS_CHARS} characters of system and developer messages");
            return Err(ApiError::invalid_field("/messages", detail));
        }
        let instructions = (!instructions.trim().is_empty()).then_some(instructions);
        Ok(AssistantRequest { message, history, tool_rounds, instructions })
    }

    fn last_user_message(&self) -> Option<(usize, &str)> {
        self.0.iter().enumerate().rev().find_map(|(index, message)| match message {
            PromptMessage::User(text) => Some((index, text.as_str())),
            _ => None,
        })
    }
}

fn parse_message(index: usize, message: ChatMessage) -> Result<PromptMessage, ApiError> {
    let pointer = |name: &str| format!("/messages/{index}/{name}");
    let content = parse_content(&message.content, &pointer("content"))?;
    let require_content = |content: Option<String>| {
        content.ok_or_else(|| ApiError::invalid_field(pointer("content"), "must be a string or a list of text parts"))
    };
    match message.role.as_str() {
        "system" | "developer" => Ok(PromptMessage::System(require_content(content)?)),
        "user" => Ok(PromptMessage::User(require_content(content)?)),
        "assistant" => {
            let tool_calls = message.tool_calls.unwrap_or_default().into_iter().map(|call| ModelToolCall {
                id: call.id,
                name: call.function.name,
                arguments: call.function.arguments,
            });
            Ok(PromptMessage::Assistant { content: content.unwrap_or_default(), tool_calls: tool_calls.collect() })
        }
        "tool" => {
            let call_id = message.tool_call_id.filter(|id| !id.is_empty());
            let call_id = call_id.ok_or_else(|| {
                ApiError::invalid_field(
                    pointer("tool_call_id"),
                    "must be the id of the tool call that this message answers",
                )
            })?;
            Ok(PromptMessage::Tool { call_id, content: require_content(content)? })
        }
        _ => Err(ApiError::invalid_field(pointer("role"), "must be one of system, developer, user, assistant, tool")),
    }
}

/// Parses the content of a message: a string, a list of text parts that are joined, or null.
fn parse_content(content: &Value, pointer: &str) -> Result<Option<String>, ApiError> {
    let parts = match content {
        Value::Null => return Ok(None),
        Value::String(text) => return Ok(Some(text.clone())),
        Value::Array(parts) => parts,
        _ => return Err(ApiError::invalid_field(pointer, "must be a string or a list of text parts")),
    };
    let texts = parts.iter().enumerate().map(|(index, part)| part_text(part, &format!("{pointer}/{index}")));
    Ok(Some(texts.collect::<Result<Vec<_>, ApiError>>()?.join("\n")))
}

fn part_text<'a>(part: &'a Value, pointer: &str) -> Result<&'a str, ApiError> {
    match (part["type"].as_str(), part["text"].as_str()) {
        (Some("text"), Some(text)) => Ok(text),
        (Some("refusal"), _) => Ok(part["refusal"].as_str().unwrap_or_default()),
        (Some("text"), None) | (None, _) => {
            Err(ApiError::invalid_field(pointer, "must be a part of type text that has the field text"))
        }
        (Some(_), _) => {
            let detail = "must be text: images, audio and files are not supported";
            let error = ApiError::invalid_field(format!("{pointer}/type"), detail);
            Err(ApiError { code: "unsupported_content", ..error })
        }
    }
}
