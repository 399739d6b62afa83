//! The messages of a chat in OpenAI's words: for the assistant a question, a history and wishes; for a language model alone
//! word for word.

use super::schema;
use crate::error::ApiError;
use domain::command::EarlierMessage;
use domain::conversation::MessageRole;
use domain::model::{ModelToolCall, PromptMessage};
use domain::text::MessageText;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Longest wishes of a client's program, in characters: the prompt has to hold passages too.
const MAX_INSTRUCTIONS: usize = 16_000;
/// How the requests begin that Open WebUI makes by itself, for titles, tags and suggestions.
const BACKGROUND_TASK: &str = "### Task:";

/// A message.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatCompletionRequestMessage)]
pub(super) struct ChatMessage {
    #[schema(schema_with = schema::roles)]
    role: String,
    /// Text, or parts of type `text`.
    #[schema(schema_with = schema::content)]
    #[serde(default)]
    content: Value,
    /// The tools that an assistant wanted called.
    tool_calls: Option<Vec<EarlierCall>>,
    /// The call that a tool's result answers.
    tool_call_id: Option<String>,
}

/// A tool call of an earlier answer.
#[derive(Deserialize, ToSchema)]
struct EarlierCall {
    id: String,
    function: EarlierFunction,
}

/// Which function was called, and with what.
#[derive(Deserialize, ToSchema)]
struct EarlierFunction {
    name: String,
    arguments: String,
}

/// Messages that were understood, each with its place.
pub(super) struct Spoken(Vec<(usize, PromptMessage)>);

/// What is asked of the assistant.
pub(super) struct Question {
    pub(super) message: MessageText,
    pub(super) history: Vec<EarlierMessage>,
    pub(super) instructions: Option<String>,
}

impl Spoken {
    pub(super) fn parse(messages: Vec<ChatMessage>) -> Result<Self, ApiError> {
        if messages.is_empty() {
            return Err(ApiError::field("/messages", "must not be empty"));
        }
        let spoken = messages.into_iter().enumerate().map(|(at, message)| Ok((at, one(at, message)?)));
        spoken.collect::<Result<_, ApiError>>().map(Self)
    }

    /// What Open WebUI asks by itself.
    pub(super) fn is_background_task(&self) -> bool {
        self.last_user().is_some_and(|(_, text)| text.trim_start().starts_with(BACKGROUND_TASK))
    }

    /// Whether tools of the client's have answered since the user spoke: only the model that asked for them can go on.
    pub(super) fn awaits_model_after_tools(&self) -> bool {
        matches!(self.0.last(), Some((_, PromptMessage::Tool { .. })))
    }

    /// Word for word.
    pub(super) fn into_prompt(self) -> Result<Vec<PromptMessage>, ApiError> {
        if self.0.iter().all(|(_, message)| matches!(message, PromptMessage::System(_))) {
            return Err(ApiError::field("/messages", "must hold a message that is no instruction"));
        }
        Ok(self.0.into_iter().map(|(_, message)| message).collect())
    }

    /// The last message is the question. What tools said before it belongs to answers that are there in full.
    pub(super) fn into_question(self) -> Result<Question, ApiError> {
        let Some((at, text)) = self.last_user().filter(|(at, _)| at + 1 == self.0.len()) else {
            let last = self.0.len() - 1;
            return Err(ApiError::field(
                format!("/messages/{last}/role"),
                "must be user: the last message is the question",
            ));
        };
        let message = MessageText::parse(text);
        let message = message.map_err(|error| ApiError::field(format!("/messages/{at}/content"), error))?;
        let (mut history, mut instructions) = (Vec::new(), Vec::new());
        for (_, message) in self.0.into_iter().take(at) {
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
        if instructions.chars().count() > MAX_INSTRUCTIONS {
            let detail = format!("must be at most {MAX_INSTRUCTIONS} characters of instructions for the assistant");
            return Err(ApiError::field("/messages", detail));
        }
        let instructions = (!instructions.trim().is_empty()).then_some(instructions);
        Ok(Question { message, history, instructions })
    }

    fn last_user(&self) -> Option<(usize, &str)> {
        self.0.iter().rev().find_map(|(at, message)| match message {
            PromptMessage::User(text) => Some((*at, text.as_str())),
            _ => None,
        })
    }
}

fn one(at: usize, message: ChatMessage) -> Result<PromptMessage, ApiError> {
    let field = |name: &str| format!("/messages/{at}/{name}");
    let content = content(&message.content, &field("content"))?;
    let said = |content: Option<String>| {
        content.ok_or_else(|| ApiError::field(field("content"), "must be a text or a list of texts"))
    };
    match message.role.as_str() {
        "system" | "developer" => Ok(PromptMessage::System(said(content)?)),
        "user" => Ok(PromptMessage::User(said(content)?)),
        "assistant" => {
            let calls = message.tool_calls.unwrap_or_default().into_iter().map(|call| ModelToolCall {
                id: call.id,
                name: call.function.name,
                arguments: call.function.arguments,
            });
            Ok(PromptMessage::Assistant { content: content.unwrap_or_default(), tool_calls: calls.collect() })
        }
        "tool" => {
            let call_id = message.tool_call_id.filter(|id| !id.is_empty());
            let call_id = call_id.ok_or_else(|| {
                ApiError::field(field("tool_call_id"), "must be the id of the call that the tool answers")
            })?;
            Ok(PromptMessage::Tool { call_id, content: said(content)? })
        }
        _ => Err(ApiError::field(field("role"), "must be one of system, developer, user, assistant, tool")),
    }
}

/// A text, the texts of parts, or nothing.
fn content(given: &Value, pointer: &str) -> Result<Option<String>, ApiError> {
    let parts = match given {
        Value::Null => return Ok(None),
        Value::String(text) => return Ok(Some(text.clone())),
        Value::Array(parts) => parts,
        _ => return Err(ApiError::field(pointer, "must be a text or a list of texts")),
    };
    let texts: Vec<&str> =
        parts.iter().enumerate().map(|(at, part)| of_part(part, pointer, at)).collect::<Result<_, ApiError>>()?;
    Ok(Some(texts.join("\n")))
}

fn of_part<'a>(part: &'a Value, pointer: &str, at: usize) -> Result<&'a str, ApiError> {
    match (part["type"].as_str(), part["text"].as_str()) {
        (Some("text"), Some(text)) => Ok(text),
        (Some("refusal"), _) => Ok(part["refusal"].as_str().unwrap_or_default()),
        (Some("text"), None) | (None, _) => {
            Err(ApiError::field(format!("{pointer}/{at}"), "must be a part of type text, with a text"))
        }
        (Some(_), _) => {
            let detail = "must be text: pictures, sounds and files are not read here";
            let error = ApiError::field(format!("{pointer}/{at}/type"), detail);
            Err(ApiError { code: "unsupported_content", ..error })
        }
    }
}
