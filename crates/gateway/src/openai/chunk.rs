//! Encodes a run's events as OpenAI's chunks. Calls of the platform's tools are omitted, since a client would take them
//! for calls of its own tools and try to execute them.

use super::annotation::{self, Annotation};
use super::error::ErrorBody;
use super::renumber::{MarkerNumbering, NumberedCitation};
use crate::sse::RunStart;
use domain::ids::ConversationId;
use domain::model::ModelToolCall;
use domain::run::{Escalation, FinishReason, RunEvent, RunSummary, TokenUsage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Options for the format of an answer. Stored with a run reference, so the field names must not change.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct ReplyOptions {
    /// Model id from the request, returned in the answer.
    pub(crate) model: String,
    /// Whether a stream ends with a chunk that contains the token usage (`stream_options.include_usage`).
    pub(crate) include_usage: bool,
    /// Number of the client's tools that the model is not offered.
    #[serde(default)]
    pub(crate) left_out_tools: u32,
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
    /// What was left out; null if nothing was.
    left_out: Option<LeftOut>,
    /// The model that served.
    served_model: String,
    /// Why the platform chose the model for hard questions; null where it did not.
    escalated: Option<&'static str>,
    /// The answer was stopped: OpenAI has no word for that.
    cancelled: bool,
}

/// What an answer does without. At least one number is not 0.
#[derive(Serialize, ToSchema, Clone, Copy, Debug)]
pub(crate) struct LeftOut {
    /// Passages, documents, earlier answers and results of tools that the model may not see.
    content: u32,
    /// Tools of the client's that the model is not offered: it cannot call tools, or may not see what they return, or
    /// there are too many for its context, or the platform has a tool of that name.
    tools: u32,
}

impl LeftOut {
    fn of(content: u32, tools: u32) -> Option<Self> {
        (content > 0 || tools > 0).then_some(Self { content, tools })
    }
}

/// The metadata of an answer, the same in all of its chunks.
#[derive(Clone, Debug)]
pub(crate) struct CompletionMetadata {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    start: RunStart,
    conversation: Option<ConversationId>,
    left_out_tools: u32,
}

impl CompletionMetadata {
    /// `created` is set to the time in the run's UUIDv7, so that a replayed answer has the same value. `conversation`
    /// is `None` for a direct request.
    pub(crate) fn new(start: RunStart, options: ReplyOptions, conversation: Option<ConversationId>) -> Self {
        let created = start.run_id.as_uuid().get_timestamp().map_or(0, |at| at.to_unix().0);
        let ReplyOptions { model, left_out_tools, .. } = options;
        Self { id: format!("chatcmpl-{}", start.run_id), created, model, start, conversation, left_out_tools }
    }

    /// Returns the field `platform` of a finished answer.
    pub(crate) fn platform_note(&self, summary: &RunSummary) -> PlatformNote {
        PlatformNote {
            run_id: self.start.run_id.as_uuid(),
            message_id: self.conversation.map(|_| summary.message_id.as_uuid()),
            conversation_id: self.conversation.map(|id| id.as_uuid()),
            degraded: summary.degraded,
            fallback: summary.fallback,
            left_out: LeftOut::of(summary.omitted_count, self.left_out_tools),
            served_model: summary.model.clone(),
            escalated: self.start.escalation.map(Escalation::as_str),
            cancelled: summary.finish_reason == FinishReason::Cancelled,
        }
    }
}

/// Converts a finish reason to OpenAI's value.
pub(crate) const fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::Stop | FinishReason::Cancelled | FinishReason::Error => "stop",
    }
}

/// Content of one `data:` line of the stream.
#[derive(Debug)]
pub(crate) enum StreamItem {
    /// A part of the answer.
    Chunk(Box<ChatCompletionChunk>),
    /// The run failed; this is the last item.
    Error(ErrorBody),
    /// `[DONE]`, the last item of a run that succeeded.
    Done,
}

/// Encodes the events of one run, in order.
pub(crate) struct ChunkEncoder {
    metadata: CompletionMetadata,
    include_usage: bool,
    numbering: MarkerNumbering,
    /// The answer so far, needed to find the markers of citations.
    text: String,
    tool_call_count: u32,
}

impl ChunkEncoder {
    pub(crate) fn new(metadata: CompletionMetadata, include_usage: bool) -> Self {
        let numbering = MarkerNumbering::default();
        Self { metadata, include_usage, numbering, text: String::new(), tool_call_count: 0 }
    }

    pub(crate) fn encode(&mut self, event: RunEvent) -> Vec<StreamItem> {
        // Text that was held back goes out before whatever follows it.
        let held = match event {
            RunEvent::Delta { .. } | RunEvent::Cited(_) => String::new(),
            RunEvent::Finished(_) | RunEvent::Failed(_) => self.numbering.finish(),
            _ => self.numbering.release_uncited(),
        };
        let mut items = self.text_items(held);
        items.extend(self.encode_next(event));
        items
    }

    fn encode_next(&mut self, event: RunEvent) -> Vec<StreamItem> {
        let delta = match event {
            RunEvent::Started { .. } => {
                ChunkDelta { role: Some("assistant"), content: Some(String::new()), ..ChunkDelta::default() }
            }
            // Only answers of the assistant have citations. These are stored in a conversation, unlike direct requests.
            RunEvent::Delta { text } if self.metadata.conversation.is_some() => {
                let ready = self.numbering.push(&text);
                return self.text_items(ready);
            }
            RunEvent::Delta { text } => ChunkDelta { content: Some(text), ..ChunkDelta::default() },
            RunEvent::Reasoning { text } => ChunkDelta { reasoning_content: Some(text), ..ChunkDelta::default() },
            RunEvent::ClientToolRequested(call) => {
                let call = ToolCallBody { index: Some(self.tool_call_count), ..call.into() };
                self.tool_call_count += 1;
                ChunkDelta { tool_calls: Some(vec![call]), ..ChunkDelta::default() }
            }
            RunEvent::Cited(citation) => {
                let NumberedCitation { text, citation } = self.numbering.cite(citation);
                let mut items = self.text_items(text);
                let annotations = Some(vec![annotation::to_annotation(&citation, &self.text)]);
                let mut chunk = self.chunk(ChunkDelta { annotations, ..ChunkDelta::default() }, None);
                chunk.event = Some(annotation::source_event(&citation));
                items.push(StreamItem::Chunk(Box::new(chunk)));
                return items;
            }
            RunEvent::ToolStarted { .. } | RunEvent::ToolFinished { .. } => return Vec::new(),
            RunEvent::Finished(summary) => return self.finish(&summary),
            RunEvent::Failed(problem) => return vec![StreamItem::Error(ErrorBody::new(&problem.into()))],
        };
        vec![StreamItem::Chunk(Box::new(self.chunk(delta, None)))]
    }

    /// Returns a chunk with a piece of the assistant's answer, if there is one.
    fn text_items(&mut self, text: String) -> Vec<StreamItem> {
        if text.is_empty() {
            return Vec::new();
        }
        self.text.push_str(&text);
        let delta = ChunkDelta { content: Some(text), ..ChunkDelta::default() };
        vec![StreamItem::Chunk(Box::new(self.chunk(delta, None)))]
    }

    fn finish(&self, summary: &RunSummary) -> Vec<StreamItem> {
        let mut last_chunk = self.chunk(ChunkDelta::default(), Some(finish_reason(summary.finish_reason)));
        last_chunk.platform = Some(self.metadata.platform_note(summary));
        let mut items = vec![StreamItem::Chunk(Box::new(last_chunk))];
        if self.include_usage {
            let mut usage_chunk = self.chunk(ChunkDelta::default(), None);
            usage_chunk.choices.clear();
            usage_chunk.usage = Some(summary.usage.into());
            items.push(StreamItem::Chunk(Box::new(usage_chunk)));
        }
        items.push(StreamItem::Done);
        items
    }

    fn chunk(&self, delta: ChunkDelta, finish_reason: Option<&'static str>) -> ChatCompletionChunk {
        ChatCompletionChunk {
            id: self.metadata.id.clone(),
            object: "chat.completion.chunk",
            created: self.metadata.created,
            model: self.metadata.model.clone(),
            system_fingerprint: None,
            choices: vec![ChunkChoice { index: 0, delta, finish_reason }],
            usage: None,
            event: None,
            platform: None,
        }
    }
}
