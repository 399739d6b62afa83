//! An answer as it is put together from its chunks; pure, so that recorded streams can be played through it.

use super::arguments;
use super::response::{CallPiece, Chunk, Delta, ServerError, WireUsage};
use super::think::{ThinkFilter, Told};
use domain::model::{ChatDelta, ModelError, ModelToolCall};
use domain::run::{FinishReason, TokenUsage};
use serde_json::Value;
use std::collections::VecDeque;

/// Most bytes of one answer, tool calls included.
pub(super) const MOST_ANSWER_BYTES: usize = 4 << 20;
/// Most tool calls of one answer.
const MOST_CALLS: usize = 64;
/// Longest name of a model that is kept, in characters.
const LONGEST_NAME: usize = 200;

/// Puts one answer together.
#[derive(Debug, Default)]
pub(super) struct AnswerReader {
    backend: String,
    /// The model as the server names it; empty until it says.
    pub model: String,
    ready: VecDeque<ChatDelta>,
    calls: Vec<(u32, ModelToolCall)>,
    think: ThinkFilter,
    reason: Option<FinishReason>,
    usage: Option<WireUsage>,
    bytes: usize,
    shown_bytes: usize,
    thought_bytes: usize,
    begun: bool,
    /// Something but white space was shown.
    worded: bool,
    ended: bool,
}

impl AnswerReader {
    pub(super) fn new(backend: &str) -> Self {
        Self { backend: backend.to_owned(), ..Self::default() }
    }

    /// The next piece that is ready.
    pub(super) fn next_ready(&mut self) -> Option<ChatDelta> {
        self.ready.pop_front()
    }

    /// Whether the model has begun: a word, a thought or a call has come.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the answer is whole and handed over.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads the data of one event.
    ///
    /// # Errors
    /// Where the server reports an error, or what it sends is no JSON or too much.
    pub(super) fn event(&mut self, data: &str) -> Result<(), ModelError> {
        let data = data.trim();
        if data == "[DONE]" {
            return self.end();
        }
        if data.is_empty() {
            return Ok(());
        }
        self.bytes += data.len();
        if self.bytes > 8 * MOST_ANSWER_BYTES {
            return Err(self.garbled("the answer does not end"));
        }
        let chunk: Chunk =
            serde_json::from_str(data).map_err(|_| self.garbled("an event is not the JSON of a chunk"))?;
        if let Some(error) = chunk.error.as_ref().filter(|error| !error.is_null()) {
            return Err(self.server_error(error));
        }
        self.chunk(chunk)
    }

    /// The end of the stream: in order if a finish reason came, even without `[DONE]`.
    ///
    /// # Errors
    /// [`ModelError::Interrupted`] where none came, or the answer is in order and holds neither a word nor a call.
    pub(super) fn end(&mut self) -> Result<(), ModelError> {
        if self.ended {
            return Ok(());
        }
        let Some(mut reason) = self.reason else {
            return Err(ModelError::Interrupted {
                backend: self.backend.clone(),
                reason: "the stream ended without a finish reason".to_owned(),
            });
        };
        let rest = self.think.finish();
        self.tell(rest);
        let is_whole = matches!(reason, FinishReason::Stop | FinishReason::ToolCalls);
        if is_whole && !self.worded && self.calls.is_empty() {
            return Err(ModelError::Interrupted {
                backend: self.backend.clone(),
                reason: "the answer ended without a word".to_owned(),
            });
        }
        // Some servers say "stop" where they ask for tools.
        if !self.calls.is_empty() && reason == FinishReason::Stop {
            reason = FinishReason::ToolCalls;
        }
        let calls =
            std::mem::take(&mut self.calls).into_iter().enumerate().map(|(at, (_, call))| whole(at, call, reason));
        self.ready.extend(calls.map(ChatDelta::ToolCall));
        let usage = self.usage.map_or_else(|| self.estimated(), WireUsage::usage);
        let cost = self.usage.map(WireUsage::cost).unwrap_or_default();
        self.ready.push_back(ChatDelta::Finished { reason, usage, estimated: self.usage.is_none(), cost });
        self.ended = true;
        Ok(())
    }

    fn chunk(&mut self, chunk: Chunk) -> Result<(), ModelError> {
        if !chunk.model.is_empty() {
            self.model = plain(&chunk.model);
        }
        // Some servers send zeros until they know, or for ever.
        if let Some(usage) = chunk.usage.filter(|usage| usage.prompt_tokens + usage.completion_tokens > 0) {
            self.usage = Some(usage);
        }
        // One answer is asked for; a further choice is not ours.
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        self.delta(choice.delta)?;
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.reason = Some(finish_reason(&reason));
        }
        Ok(())
    }

    fn delta(&mut self, delta: Delta) -> Result<(), ModelError> {
        for thought in [delta.reasoning, delta.reasoning_content].into_iter().flatten() {
            self.begun |= !thought.is_null() && thought != "";
            if let Value::String(text) = thought {
                self.think_aloud(text);
                // A server that sends both says the same twice.
                break;
            }
        }
        if let Some(content) = delta.content.filter(|content| !content.is_empty()) {
            self.begun |= !content.trim().is_empty();
            let told = self.think.push(&content);
            self.tell(told);
        }
        for piece in delta.tool_calls {
            self.begun = true;
            self.call_piece(piece)?;
        }
        if self.shown_bytes > MOST_ANSWER_BYTES {
            return Err(self.garbled("the answer is longer than 4 MiB"));
        }
        Ok(())
    }

    fn tell(&mut self, told: Told) {
        self.think_aloud(told.thought);
        self.show(told.shown);
    }

    fn think_aloud(&mut self, text: String) {
        if !text.is_empty() {
            self.thought_bytes += text.len();
            self.ready.push_back(ChatDelta::Reasoning(text));
        }
    }

    fn show(&mut self, text: String) {
        self.shown_bytes += text.len();
        self.worded |= !text.trim().is_empty();
        if !text.is_empty() {
            self.ready.push_back(ChatDelta::Text(text));
        }
    }

    /// Adds a piece to its call: by index, or where there is none, a new id begins a new call.
    fn call_piece(&mut self, piece: CallPiece) -> Result<(), ModelError> {
        let id = piece.id.filter(|id| !id.is_empty());
        let index = piece.index.unwrap_or_else(|| match (&id, self.calls.last()) {
            (Some(id), Some((last, call))) if call.id != *id => last + 1,
            (_, last) => last.map_or(0, |(index, _)| *index),
        });
        let at = match self.calls.iter().position(|(known, _)| *known == index) {
            Some(at) => at,
            None if self.calls.len() == MOST_CALLS => return Err(self.garbled("more than 64 tool calls")),
            None => {
                let call = ModelToolCall { id: String::new(), name: String::new(), arguments: String::new() };
                self.calls.push((index, call));
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at].1;
        if call.id.is_empty() {
            call.id = id.unwrap_or_default();
        }
        if call.name.is_empty() {
            call.name = piece.function.name.unwrap_or_default();
        }
        let arguments = match piece.function.arguments {
            Some(Value::String(text)) => text,
            Some(Value::Null) | None => String::new(),
            Some(object) => object.to_string(),
        };
        self.shown_bytes += arguments.len();
        self.calls[at].1.arguments.push_str(&arguments);
        Ok(())
    }

    fn server_error(&self, error: &Value) -> ModelError {
        let error = ServerError::from_value(error).into_model_error(&self.backend);
        if !self.begun {
            return error;
        }
        let reason = format!("the server reported an error: {error}");
        ModelError::Interrupted { backend: self.backend.clone(), reason }
    }

    fn garbled(&self, reason: &str) -> ModelError {
        ModelError::InvalidResponse { backend: self.backend.clone(), reason: reason.to_owned() }
    }

    /// The output's tokens where the server counts none, thoughts included: three bytes each, as budgets count.
    fn estimated(&self) -> TokenUsage {
        let written = (self.shown_bytes + self.thought_bytes).div_ceil(3);
        TokenUsage { input_tokens: 0, output_tokens: u32::try_from(written).unwrap_or(u32::MAX) }
    }
}

/// A call that has an id, and arguments that are JSON if that can be; what the model's limit has cut off is left as it is:
/// closed, it would pass for something whole. An id made up here has the nine letters and digits
/// that Mistral's chat templates insist on.
fn whole(at: usize, mut call: ModelToolCall, reason: FinishReason) -> ModelToolCall {
    if call.id.is_empty() {
        call.id = format!("call{at:05}");
    }
    if reason != FinishReason::Length {
        call.arguments = arguments::repaired(call.arguments);
    }
    call
}

/// OpenAI's reasons, and Anthropic's as gateways pass them on.
fn finish_reason(word: &str) -> FinishReason {
    match word {
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "refusal" | "safety" => FinishReason::ContentFilter,
        "error" => FinishReason::Error,
        "cancelled" | "abort" | "cancel" => FinishReason::Cancelled,
        _ => FinishReason::Stop,
    }
}
/// A name as it may be stored and shown: a server may send anything under it.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(LONGEST_NAME).collect()
}
