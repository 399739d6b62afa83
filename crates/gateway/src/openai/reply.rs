//! Responds to a chat request in OpenAI's format, with a stream of chunks or with one document.

use super::X_CONVERSATION_ID;
use super::chunk::{ChunkEncoder, CompletionMetadata, ReplyOptions, StreamItem};
use super::completion;
use crate::error::ApiError;
use crate::run_reference::RunReference;
use crate::sse::{self, RunStart};
use axum::Json;
use axum::http::HeaderValue;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use domain::ids::ConversationId;
use domain::run::{EventStream, RunEvent, RunSummary};
use futures::StreamExt;
use std::time::Duration;

/// The answer of a run that has been started.
pub(crate) struct ChatReply {
    pub(crate) events: EventStream,
    pub(crate) start: RunStart,
    /// Conversation that stores the answer; `None` for a direct request, whose answer is not stored.
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) options: ReplyOptions,
}

impl ChatReply {
    /// Streams the answer. Waits up to `keep_alive_interval` for the first output: if the run fails before that, the
    /// response has an error status, so that clients retry. If the output takes longer, the stream starts without it.
    pub(crate) async fn into_stream(self, keep_alive_interval: Duration) -> Result<Response, ApiError> {
        let (metadata, conversation, include_usage) = (self.metadata(), self.conversation, self.options.include_usage);
        let events = wait_for_output(self.events, keep_alive_interval).await?;
        let mut encoder = ChunkEncoder::new(metadata, include_usage);
        let items = events.flat_map(move |numbered| futures::stream::iter(encoder.encode(numbered.event)));
        let response = sse::response(items.map(to_sse), keep_alive_interval);
        Ok(with_conversation_id(response, conversation))
    }

    /// Waits for the end of the run, and returns the answer as one document together with the run's summary.
    pub(crate) async fn into_document(self) -> Result<(Response, RunSummary), ApiError> {
        let (metadata, conversation) = (self.metadata(), self.conversation);
        let (document, summary) = completion::collect_completion(self.events, metadata).await?;
        Ok((with_conversation_id(Json(document).into_response(), conversation), summary))
    }

    /// Returns the reference to the stored answer; `None` for a direct request, whose answer is not stored.
    pub(crate) fn reference(&self) -> Option<RunReference> {
        let reference = RunReference::for_stream(self.conversation?, self.start.clone());
        Some(reference.with_openai_options(self.options.clone()))
    }

    fn metadata(&self) -> CompletionMetadata {
        CompletionMetadata::new(self.start.clone(), self.options.clone(), self.conversation)
    }
}

fn with_conversation_id(mut response: Response, conversation: Option<ConversationId>) -> Response {
    if let Some(id) = conversation
        && let Ok(value) = HeaderValue::try_from(id.to_string())
    {
        response.headers_mut().insert(X_CONVERSATION_ID, value);
    }
    response
}

fn to_sse(item: StreamItem) -> Result<Event, axum::Error> {
    match item {
        StreamItem::Chunk(chunk) => Event::default().json_data(chunk),
        StreamItem::Error(error) => Event::default().json_data(error),
        StreamItem::Done => Ok(Event::default().data("[DONE]")),
    }
}

/// Waits up to `timeout` for the first event that is visible to the client. The returned stream contains all events.
async fn wait_for_output(mut events: EventStream, timeout: Duration) -> Result<EventStream, ApiError> {
    let mut received_events = Vec::new();
    let reading = async {
        while let Some(numbered) = events.next().await {
            let is_output = !matches!(
                numbered.event,
                RunEvent::Started { .. }
                    | RunEvent::ToolStarted { .. }
                    | RunEvent::ToolFinished { .. }
                    | RunEvent::StepStarted { .. }
                    | RunEvent::StepFinished { .. }
                    | RunEvent::ApprovalRequired { .. }
            );
            received_events.push(numbered);
            if is_output {
                break;
            }
        }
    };
    // After the timeout the stream starts without output.
    let _ = tokio::time::timeout(timeout, reading).await;
    match received_events.last().map(|numbered| &numbered.event) {
        Some(RunEvent::Failed(problem)) => Err(problem.clone().into()),
        _ => Ok(futures::stream::iter(received_events).chain(events).boxed()),
    }
}
