//! A whole answer in OpenAI's words.

use super::annotation::{self, Annotation};
use super::chunk::{CompletionUsage, Head, PlatformNote, ToolCallBody, finish_reason};
use crate::error::ApiError;
use crate::sse;
use domain::conversation::Citation;
use domain::run::{EventStream, NumberedEvent, RunEvent, RunSummary};
use futures::StreamExt;
use serde::Serialize;
use utoipa::ToSchema;

/// An answer.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct ChatCompletion {
    id: String,
    /// `chat.completion`
    object: &'static str,
    /// When the answer began, in seconds since 1970.
    created: u64,
    /// The model that was asked for.
    model: String,
    system_fingerprint: Option<String>,
    choices: Vec<Choice>,
    usage: CompletionUsage,
    platform: PlatformNote,
}

/// The one choice.
#[derive(Serialize, ToSchema, Debug)]
#[schema(as = ChatCompletionChoice)]
struct Choice {
    index: u32,
    message: AnswerMessage,
    logprobs: Option<String>,
    finish_reason: &'static str,
}

/// What was answered.
#[derive(Serialize, ToSchema, Debug)]
#[schema(as = ChatCompletionMessage)]
struct AnswerMessage {
    /// `assistant`
    role: &'static str,
    /// The text; null where the model wants tools called and says nothing.
    content: Option<String>,
    refusal: Option<String>,
    /// What the text rests on; it marks each as `[n]`.
    annotations: Vec<Annotation>,
    /// What the model thinks before it answers; for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<ToolCallBody>>,
}

/// What has come of a run.
#[derive(Default)]
struct Collected {
    text: String,
    reasoning: String,
    calls: Vec<ToolCallBody>,
    citations: Vec<Citation>,
}

/// Reads a run to its end.
pub(crate) async fn collect(mut events: EventStream, head: Head) -> Result<(ChatCompletion, RunSummary), ApiError> {
    let mut come = Collected::default();
    while let Some(NumberedEvent { event, .. }) = events.next().await {
        match event {
            RunEvent::Delta { text } => come.text.push_str(&text),
            RunEvent::Reasoning { text } => come.reasoning.push_str(&text),
            RunEvent::ToolWanted(call) => come.calls.push(call.into()),
            RunEvent::Cited(citation) => come.citations.push(citation),
            RunEvent::Started { .. } | RunEvent::ToolStarted { .. } | RunEvent::ToolFinished { .. } => {}
            RunEvent::Failed(problem) => return Err(problem.into()),
            RunEvent::Finished(end) => return Ok((answer(come, head, &end), end)),
        }
    }
    Err(sse::broken_off())
}

fn answer(come: Collected, head: Head, end: &RunSummary) -> ChatCompletion {
    let annotations = come.citations.iter().map(|cited| annotation::annotation(cited, &come.text)).collect();
    let silent = come.text.is_empty() && !come.calls.is_empty();
    let message = AnswerMessage {
        role: "assistant",
        content: (!silent).then_some(come.text),
        refusal: None,
        annotations,
        reasoning_content: (!come.reasoning.is_empty()).then_some(come.reasoning),
        tool_calls: (!come.calls.is_empty()).then_some(come.calls),
    };
    let finish_reason = finish_reason(end.finish_reason);
    let platform = head.note(end);
    ChatCompletion {
        id: head.id,
        object: "chat.completion",
        created: head.created,
        model: head.model,
        system_fingerprint: None,
        choices: vec![Choice { index: 0, message, logprobs: None, finish_reason }],
        usage: end.usage.into(),
        platform,
    }
}
