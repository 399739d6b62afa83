//! An answer in OpenAI's format, as one JSON document.

use super::annotation::{self, Annotation};
use super::chunk::{CompletionMetadata, CompletionUsage, PlatformNote, ToolCallBody, finish_reason};
use super::renumber::MarkerNumbering;
use crate::error::ApiError;
use crate::sse;
use domain::conversation::Citation;
use domain::run::{EventStream, NumberedEvent, RunEvent, RunSummary};
use futures::StreamExt;
use serde::Serialize;
use utoipa::ToSchema;

/// An answer, as one document.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct ChatCompletion {
    id: String,
    /// `chat.completion`
    object: &'static str,
    /// When the run started, in seconds since 1970.
    created: u64,
    /// The model id from the request.
    model: String,
    system_fingerprint: Option<String>,
    choices: Vec<Choice>,
    usage: CompletionUsage,
    platform: PlatformNote,
}

/// The only choice of the answer.
#[derive(Serialize, ToSchema, Debug)]
#[schema(as = ChatCompletionChoice)]
struct Choice {
    index: u32,
    message: AnswerMessage,
    logprobs: Option<String>,
    finish_reason: &'static str,
}

/// The message that the model generated.
#[derive(Serialize, ToSchema, Debug)]
#[schema(as = ChatCompletionMessage)]
struct AnswerMessage {
    /// `assistant`
    role: &'static str,
    /// The text; null if the model only requests tool calls.
    content: Option<String>,
    refusal: Option<String>,
    /// Citations of the text, which marks each as `[n]`.
    annotations: Vec<Annotation>,
    /// The model's reasoning before its answer. Only admins receive it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<ToolCallBody>>,
}

/// Output of a run, collected from its events.
#[derive(Default)]
struct CollectedOutput {
    text: String,
    reasoning: String,
    tool_calls: Vec<ToolCallBody>,
    citations: Vec<Citation>,
}

/// Reads all events of a run and combines them into one document.
pub(crate) async fn collect_completion(
    mut events: EventStream,
    metadata: CompletionMetadata,
) -> Result<(ChatCompletion, RunSummary), ApiError> {
    let mut output = CollectedOutput::default();
    while let Some(NumberedEvent { event, .. }) = events.next().await {
        match event {
            RunEvent::Delta { text } => output.text.push_str(&text),
            RunEvent::Reasoning { text } => output.reasoning.push_str(&text),
            RunEvent::ClientToolRequested(call) => output.tool_calls.push(call.into()),
            RunEvent::Cited(citation) => output.citations.push(citation),
            RunEvent::Started { .. }
            | RunEvent::ToolStarted { .. }
            | RunEvent::ToolFinished { .. }
            | RunEvent::StepStarted { .. }
            | RunEvent::StepFinished { .. }
            | RunEvent::ApprovalRequired { .. } => {}
            RunEvent::Failed(problem) => return Err(problem.into()),
            RunEvent::Finished(summary) => return Ok((build_completion(output, metadata, &summary), summary)),
        }
    }
    Err(sse::incomplete_stream_error())
}

fn build_completion(mut output: CollectedOutput, metadata: CompletionMetadata, summary: &RunSummary) -> ChatCompletion {
    let mut numbering = MarkerNumbering::default();
    let citations: Vec<_> = output.citations.into_iter().map(|citation| numbering.cite(citation).citation).collect();
    if !citations.is_empty() {
        output.text = numbering.push(&output.text) + &numbering.finish();
    }
    let annotations = citations.iter().map(|citation| annotation::to_annotation(citation, &output.text)).collect();
    let only_tool_calls = output.text.is_empty() && !output.tool_calls.is_empty();
    let message = AnswerMessage {
        role: "assistant",
        content: (!only_tool_calls).then_some(output.text),
        refusal: None,
        annotations,
        reasoning_content: (!output.reasoning.is_empty()).then_some(output.reasoning),
        tool_calls: (!output.tool_calls.is_empty()).then_some(output.tool_calls),
    };
    let finish_reason = finish_reason(summary.finish_reason);
    let platform = metadata.platform_note(summary);
    ChatCompletion {
        id: metadata.id,
        object: "chat.completion",
        created: metadata.created,
        model: metadata.model,
        system_fingerprint: None,
        choices: vec![Choice { index: 0, message, logprobs: None, finish_reason }],
        usage: summary.usage.into(),
        platform,
    }
}
