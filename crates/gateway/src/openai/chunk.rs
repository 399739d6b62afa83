//! A run's events as OpenAI's chunks. Tools that the platform calls itself do not show: a client would try to call them.

use super::annotation::{self, Annotation};
use super::error::ErrorBody;
use domain::ids::ConversationId;
use domain::model::ModelToolCall;
use domain::run::{Escalation, FinishReason, RunEvent, RunSummary, TokenUsage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::sse::Begun;

/// How a client wants its answer.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct Shape {
    /// The model that it named.
    pub(crate) model: String,
    /// Whether it wants what the answer took at the end of a stream.
    pub(crate) include_usage: bool,
}

/// A piece of an answer.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct ChatCompletionChunk {
    /// The same in all pieces of an answer.
    id: String,
    /// `chat.completion.chunk`
    object: &'static str,
    /// When the answer began, in seconds since 1970.
    created: u64,
    /// The model that was asked for.
    model: String,
    system_fingerprint: Option<String>,
    choices: Vec<ChunkChoice>,
    /// What the answer took; in a piece of its own, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<CompletionUsage>,
    /// A source, as Open WebUI shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    event: Option<Value>,
    /// What the platform says of the answer, in the last piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<PlatformNote>,
}

/// The one choice.
#[derive(Serialize, ToSchema, Debug)]
struct ChunkChoice {
    index: u32,
    delta: ChunkDelta,
    finish_reason: Option<&'static str>,
}

/// What is new.
#[derive(Serialize, ToSchema, Default, Debug)]
struct ChunkDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// What the model thinks before it answers; for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<ToolCallBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Vec<Annotation>>,
}

/// A tool of the client's that the model wants called.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[schema(as = ChatCompletionToolCall)]
pub(crate) struct ToolCallBody {
    /// Its place, in pieces of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u32>,
    id: String,
    /// `function`
    #[serde(rename = "type")]
    kind: &'static str,
    function: CalledFunction,
}

/// Which function, and with what.
#[derive(Serialize, ToSchema, Clone, Debug)]
pub(crate) struct CalledFunction {
    name: String,
    /// JSON as the model wrote it, put right where it nearly was.
    arguments: String,
}

impl From<ModelToolCall> for ToolCallBody {
    fn from(call: ModelToolCall) -> Self {
        let function = CalledFunction { name: call.name, arguments: call.arguments };
        Self { index: None, id: call.id, kind: "function", function }
    }
}

/// Tokens read and written.
#[derive(Serialize, ToSchema, Clone, Copy, Debug)]
pub(crate) struct CompletionUsage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

impl From<TokenUsage> for CompletionUsage {
    fn from(usage: TokenUsage) -> Self {
        let (prompt_tokens, completion_tokens) = (usage.input_tokens, usage.output_tokens);
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens.saturating_add(completion_tokens) }
    }
}

/// What the platform says of an answer beyond what OpenAI's words have room for.
#[derive(Serialize, ToSchema, Clone, Debug)]
pub(crate) struct PlatformNote {
    run_id: Uuid,
    /// The stored answer; null for a model alone.
    message_id: Option<Uuid>,
    /// Where it is stored; null for a model alone.
    conversation_id: Option<Uuid>,
    /// A fallback served, a part (retrieval, say) was down, or something was left out.
    degraded: bool,
    /// A fallback served.
    fallback: bool,
    /// How many passages, documents and earlier answers were left out because the model may not see them.
    left_out: u32,
    /// The model that served.
    served_model: String,
    /// Why the platform chose the model for hard questions; null where it did not.
    escalated: Option<&'static str>,
    /// The answer was stopped: OpenAI has no word for that.
    cancelled: bool,
}

/// An answer's names, the same wherever they stand.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    begun: Begun,
    conversation: Option<ConversationId>,
}

impl Head {
    /// Of a run that has begun. The moment is the run id's own, so that an answer that is given again has the same.
    pub(crate) fn new(begun: Begun, model: String, conversation: Option<ConversationId>) -> Self {
        let created = begun.run_id.as_uuid().get_timestamp().map_or(0, |at| at.to_unix().0);
        Self { id: format!("chatcmpl-{}", begun.run_id), created, model, begun, conversation }
    }

    /// What the platform says of an answer that has ended.
    pub(crate) fn note(&self, end: &RunSummary) -> PlatformNote {
        PlatformNote {
            run_id: self.begun.run_id.as_uuid(),
            message_id: self.conversation.map(|_| end.message_id.as_uuid()),
            conversation_id: self.conversation.map(|id| id.as_uuid()),
            degraded: end.degraded,
            fallback: end.fallback,
            left_out: end.left_out,
            served_model: end.model.clone(),
            escalated: self.begun.escalated.map(Escalation::as_str),
            cancelled: end.finish_reason == FinishReason::Cancelled,
        }
    }
}

/// Why an answer ended, in OpenAI's words.
pub(crate) const fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::Stop | FinishReason::Cancelled | FinishReason::Error => "stop",
    }
}

/// A line of the stream.
#[derive(Debug)]
pub(crate) enum Line {
    /// A piece.
    Chunk(Box<ChatCompletionChunk>),
    /// A failure; nothing follows.
    Error(ErrorBody),
    /// The end.
    Done,
}

/// Turns events into lines, one after the other.
pub(crate) struct Encoder {
    head: Head,
    include_usage: bool,
    text: String,
    tools: u32,
}

impl Encoder {
    /// For an answer of this head.
    pub(crate) fn new(head: Head, include_usage: bool) -> Self {
        Self { head, include_usage, text: String::new(), tools: 0 }
    }

    /// The lines of the next event.
    pub(crate) fn lines(&mut self, event: RunEvent) -> Vec<Line> {
        let delta = match event {
            RunEvent::Started { .. } => {
                ChunkDelta { role: Some("assistant"), content: Some(String::new()), ..ChunkDelta::default() }
            }
            RunEvent::Delta { text } => {
                // Only citations look for their place in it, and they come with an assistant's answer.
                if self.head.conversation.is_some() {
                    self.text.push_str(&text);
                }
                ChunkDelta { content: Some(text), ..ChunkDelta::default() }
            }
            RunEvent::Reasoning { text } => ChunkDelta { reasoning_content: Some(text), ..ChunkDelta::default() },
            RunEvent::ToolWanted(call) => {
                let call = ToolCallBody { index: Some(self.tools), ..call.into() };
                self.tools += 1;
                ChunkDelta { tool_calls: Some(vec![call]), ..ChunkDelta::default() }
            }
            RunEvent::Cited(citation) => {
                let annotations = Some(vec![annotation::annotation(&citation, &self.text)]);
                let mut chunk = self.chunk(ChunkDelta { annotations, ..ChunkDelta::default() }, None);
                chunk.event = Some(annotation::source(&citation));
                return vec![Line::Chunk(Box::new(chunk))];
            }
            RunEvent::ToolStarted { .. } | RunEvent::ToolFinished { .. } => return Vec::new(),
            RunEvent::Finished(end) => return self.end(&end),
            RunEvent::Failed(problem) => return vec![Line::Error(ErrorBody::of(&problem.into()))],
        };
        vec![Line::Chunk(Box::new(self.chunk(delta, None)))]
    }

    fn end(&self, end: &RunSummary) -> Vec<Line> {
        let mut last = self.chunk(ChunkDelta::default(), Some(finish_reason(end.finish_reason)));
        last.platform = Some(self.head.note(end));
        let mut lines = vec![Line::Chunk(Box::new(last))];
        if self.include_usage {
            let mut usage = self.chunk(ChunkDelta::default(), None);
            usage.choices.clear();
            usage.usage = Some(end.usage.into());
            lines.push(Line::Chunk(Box::new(usage)));
        }
        lines.push(Line::Done);
        lines
    }

    fn chunk(&self, delta: ChunkDelta, finish_reason: Option<&'static str>) -> ChatCompletionChunk {
        ChatCompletionChunk {
            id: self.head.id.clone(),
            object: "chat.completion.chunk",
            created: self.head.created,
            model: self.head.model.clone(),
            system_fingerprint: None,
            choices: vec![ChunkChoice { index: 0, delta, finish_reason }],
            usage: None,
            event: None,
            platform: None,
        }
    }
}
