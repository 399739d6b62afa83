//! Assembles an answer from its chunks. Does no I/O, so that tests can replay recorded streams.

use super::arguments;
use super::response::{Chunk, Delta, ServerError, ToolCallFragment, WireUsage};
use super::think::{SplitText, ThinkFilter};
use domain::model::{ChatDelta, ModelError, ModelToolCall};
use domain::run::{FinishReason, TokenUsage};
use serde_json::Value;
use std::collections::VecDeque;

/// Maximum size of an answer in bytes, including tool calls but not reasoning.
pub(super) const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Maximum size of the data of all events of an answer, in bytes.
const MAX_STREAM_BYTES: usize = 32 << 20;
/// Maximum number of tool calls in an answer.
const MAX_CALLS: usize = 64;
/// Maximum length of a model name, in characters.
const MAX_NAME_CHARS: usize = 200;

/// Assembles one answer: takes events and yields deltas.
#[derive(Debug, Default)]
pub(super) struct AnswerAssembler {
    backend: String,
    /// The model name reported by the server; empty until it arrives.
    pub model: String,
    ready_deltas: VecDeque<ChatDelta>,
    tool_calls: Vec<(u32, ModelToolCall)>,
    think_filter: ThinkFilter,
    finish_reason: Option<FinishReason>,
    usage: Option<WireUsage>,
    event_bytes: usize,
    answer_bytes: usize,
    reasoning_bytes: usize,
    has_begun: bool,
    /// Whether any text other than white space was emitted.
    has_text: bool,
    has_ended: bool,
}

impl AnswerAssembler {
    pub(super) fn new(backend: &str) -> Self {
        Self { backend: backend.to_owned(), ..Self::default() }
    }

    /// Removes and returns the next delta that is ready.
    pub(super) fn pop_delta(&mut self) -> Option<ChatDelta> {
        self.ready_deltas.pop_front()
    }

    /// Whether the model has started to answer: text, reasoning or a tool call has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the answer is complete, so that all its deltas are ready.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Processes the data of one event.
    ///
    /// # Errors
    /// If the server reports an error, the data is not a JSON chunk, or the answer is too long.
    pub(super) fn push_event(&mut self, data: &str) -> Result<(), ModelError> {
        let data = data.trim();
        if data == "[DONE]" {
            return self.finish();
        }
        if data.is_empty() {
            return Ok(());
        }
        self.event_bytes += data.len();
        if self.event_bytes > MAX_STREAM_BYTES {
            return Err(self.invalid_response("the stream is larger than 32 MiB"));
        }
        let chunk: Chunk =
            serde_json::from_str(data).map_err(|_| self.invalid_response("an event is not a JSON chunk"))?;
        if let Some(error) = chunk.error.as_ref().filter(|error| !error.is_null()) {
            return Err(self.server_error(error));
        }
        self.push_chunk(chunk)
    }

    /// Ends the answer. It is complete if a finish reason has arrived, even without `[DONE]`.
    ///
    /// # Errors
    /// [`ModelError::Interrupted`] if no finish reason has arrived, or a complete answer has neither text nor tool
    /// calls.
    pub(super) fn finish(&mut self) -> Result<(), ModelError> {
        if self.has_ended {
            return Ok(());
        }
        let Some(mut reason) = self.finish_reason else {
            return Err(ModelError::Interrupted {
                backend: self.backend.clone(),
                reason: "the stream ended without a finish reason".to_owned(),
            });
        };
        let buffered = self.think_filter.finish();
        self.push_split(buffered);
        let is_complete = matches!(reason, FinishReason::Stop | FinishReason::ToolCalls);
        if is_complete && !self.has_text && self.tool_calls.is_empty() {
            return Err(ModelError::Interrupted {
                backend: self.backend.clone(),
                reason: "the answer is empty".to_owned(),
            });
        }
        // Some servers report "stop" together with tool calls.
        if !self.tool_calls.is_empty() && reason == FinishReason::Stop {
            reason = FinishReason::ToolCalls;
        }
        let calls = std::mem::take(&mut self.tool_calls)
            .into_iter()
            .enumerate()
            .map(|(at, (_, call))| complete_call(at, call, reason));
        self.ready_deltas.extend(calls.map(ChatDelta::ToolCall));
        let usage = self.usage.map_or_else(|| self.estimated_usage(), WireUsage::usage);
        let cost = self.usage.map(WireUsage::cost).unwrap_or_default();
        self.ready_deltas.push_back(ChatDelta::Finished {
            reason,
            usage,
            tokens_estimated: self.usage.is_none(),
            cost,
        });
        self.has_ended = true;
        Ok(())
    }

    fn push_chunk(&mut self, chunk: Chunk) -> Result<(), ModelError> {
        if !chunk.model.is_empty() {
            self.model = sanitized_name(&chunk.model);
        }
        // Some servers send zeros before the last chunk, or always.
        if let Some(usage) = chunk.usage.filter(|usage| usage.prompt_tokens + usage.completion_tokens > 0) {
            self.usage = Some(usage);
        }
        // The request asks for one choice, so others are ignored.
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        self.push_delta(choice.delta)?;
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish_reason = Some(finish_reason(&reason));
        }
        Ok(())
    }

    fn push_delta(&mut self, delta: Delta) -> Result<(), ModelError> {
        for reasoning in [delta.reasoning, delta.reasoning_content].into_iter().flatten() {
            self.has_begun |= !reasoning.is_null() && reasoning != "";
            if let Value::String(text) = reasoning {
                self.push_reasoning(text);
                // If a server sends both fields, they contain the same text.
                break;
            }
        }
        if let Some(content) = delta.content.filter(|content| !content.is_empty()) {
            self.has_begun |= !content.trim().is_empty();
            let split = self.think_filter.push(&content);
            self.push_split(split);
        }
        for fragment in delta.tool_calls {
            self.has_begun = true;
            self.append_call_fragment(fragment)?;
        }
        if self.answer_bytes > MAX_ANSWER_BYTES {
            return Err(self.invalid_response("the answer is longer than 4 MiB"));
        }
        Ok(())
    }

    fn push_split(&mut self, split: SplitText) {
        self.push_reasoning(split.reasoning);
        self.push_text(split.answer);
    }

    fn push_reasoning(&mut self, text: String) {
        if !text.is_empty() {
            self.reasoning_bytes += text.len();
            self.ready_deltas.push_back(ChatDelta::Reasoning(text));
        }
    }

    fn push_text(&mut self, text: String) {
        self.answer_bytes += text.len();
        self.has_text |= !text.trim().is_empty();
        if !text.is_empty() {
            self.ready_deltas.push_back(ChatDelta::Text(text));
        }
    }

    /// Appends a fragment to the tool call with its index. Without an index, a new id starts a new call, and a fragment
    /// without an id belongs to the last call.
    fn append_call_fragment(&mut self, fragment: ToolCallFragment) -> Result<(), ModelError> {
        let id = fragment.id.filter(|id| !id.is_empty());
        let index = fragment.index.unwrap_or_else(|| match (&id, self.tool_calls.last()) {
            (Some(id), Some((last, call))) if call.id != *id => last + 1,
            (_, last) => last.map_or(0, |(index, _)| *index),
        });
        let position = match self.tool_calls.iter().position(|(call_index, _)| *call_index == index) {
            Some(at) => at,
            None if self.tool_calls.len() == MAX_CALLS => return Err(self.invalid_response("more than 64 tool calls")),
            None => {
                let call = ModelToolCall { id: String::new(), name: String::new(), arguments: String::new() };
                self.tool_calls.push((index, call));
                self.tool_calls.len() - 1
            }
        };
        let call = &mut self.tool_calls[position].1;
        if call.id.is_empty() {
            call.id = id.unwrap_or_default();
        }
        if call.name.is_empty() {
            call.name = fragment.function.name.unwrap_or_default();
        }
        let arguments = match fragment.function.arguments {
            Some(Value::String(text)) => text,
            Some(Value::Null) | None => String::new(),
            Some(object) => object.to_string(),
        };
        self.answer_bytes += arguments.len();
        self.tool_calls[position].1.arguments.push_str(&arguments);
        Ok(())
    }

    fn server_error(&self, error: &Value) -> ModelError {
        let error = ServerError::from_value(error).into_model_error(&self.backend);
        if !self.has_begun {
            return error;
        }
        let reason = format!("the server reported an error: {error}");
        ModelError::Interrupted { backend: self.backend.clone(), reason }
    }

    fn invalid_response(&self, reason: &str) -> ModelError {
        ModelError::InvalidResponse { backend: self.backend.clone(), reason: reason.to_owned() }
    }

    /// Estimated output tokens including reasoning, for servers that report none: one token per three bytes, the same
    /// estimate as for budgets.
    fn estimated_usage(&self) -> TokenUsage {
        let output_tokens = (self.answer_bytes + self.reasoning_bytes).div_ceil(3);
        TokenUsage { input_tokens: 0, output_tokens: u32::try_from(output_tokens).unwrap_or(u32::MAX) }
    }
}

/// Adds a missing id and repairs the arguments. Arguments truncated by the token limit are not repaired, because they
/// would then look complete. A generated id has nine letters and digits, as Mistral's chat templates require.
fn complete_call(position: usize, mut call: ModelToolCall, reason: FinishReason) -> ModelToolCall {
    if call.id.is_empty() {
        call.id = format!("call{position:05}");
    }
    if reason != FinishReason::Length {
        call.arguments = arguments::repair(call.arguments);
    }
    call
}

/// Maps the finish reasons of OpenAI, and those of Anthropic that gateways pass on.
fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "refusal" | "safety" => FinishReason::ContentFilter,
        "error" => FinishReason::Error,
        "cancelled" | "abort" | "cancel" => FinishReason::Cancelled,
        _ => FinishReason::Stop,
    }
}

/// A model name from a response, without control characters and truncated to [`MAX_NAME_CHARS`] characters.
pub(super) fn sanitized_name(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(MAX_NAME_CHARS).collect()
}
