//! An answer on its way out: as a stream of chunks, or whole.

use super::X_CONVERSATION_ID;
use super::chunk::{Encoder, Head, Line, Shape};
use super::whole;
use crate::error::ApiError;
use crate::run_reference::RunReference;
use crate::sse::{self, Begun};
use axum::Json;
use axum::http::HeaderValue;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use domain::ids::ConversationId;
use domain::run::{EventStream, RunEvent, RunSummary};
use futures::StreamExt;
use std::time::Duration;

/// An answer that has begun.
pub(crate) struct Answering {
    pub(crate) events: EventStream,
    pub(crate) begun: Begun,
    /// Where it is stored; `None` for a model alone.
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) shape: Shape,
}

impl Answering {
    /// The stream. What fails before the first word, within `patience`, is answered with a status, so that a client may
    /// try again; what takes longer is a stream that is kept open meanwhile.
    pub(crate) async fn streamed(self, keep_alive: Duration) -> Result<Response, ApiError> {
        let (head, conversation, include_usage) = (self.head(), self.conversation, self.shape.include_usage);
        let events = first_words(self.events, keep_alive).await?;
        let mut encoder = Encoder::new(head, include_usage);
        let lines = events.flat_map(move |numbered| futures::stream::iter(encoder.lines(numbered.event)));
        let response = sse::lines(lines.map(written), keep_alive);
        Ok(named(response, conversation))
    }

    /// The whole answer, and how it ended.
    pub(crate) async fn whole(self) -> Result<(Response, RunSummary), ApiError> {
        let (head, conversation) = (self.head(), self.conversation);
        let (answer, end) = whole::collect(self.events, head).await?;
        Ok((named(Json(answer).into_response(), conversation), end))
    }

    /// Where it can be read again: an assistant's answer is stored.
    pub(crate) fn reference(&self) -> Option<RunReference> {
        let reference = RunReference::streamed(self.conversation?, self.begun.clone());
        Some(reference.in_openai_shape(self.shape.clone()))
    }

    fn head(&self) -> Head {
        Head::new(self.begun.clone(), self.shape.model.clone(), self.conversation)
    }
}

fn named(mut response: Response, conversation: Option<ConversationId>) -> Response {
    if let Some(id) = conversation
        && let Ok(value) = HeaderValue::try_from(id.to_string())
    {
        response.headers_mut().insert(X_CONVERSATION_ID, value);
    }
    response
}

fn written(line: Line) -> Result<Event, axum::Error> {
    match line {
        Line::Chunk(chunk) => Event::default().json_data(chunk),
        Line::Error(error) => Event::default().json_data(error),
        Line::Done => Ok(Event::default().data("[DONE]")),
    }
}

/// Waits for the first event that a client gets to see.
async fn first_words(mut events: EventStream, patience: Duration) -> Result<EventStream, ApiError> {
    let mut seen = Vec::new();
    let looking = async {
        while let Some(numbered) = events.next().await {
            let shown = !matches!(
                numbered.event,
                RunEvent::Started { .. } | RunEvent::ToolStarted { .. } | RunEvent::ToolFinished { .. }
            );
            seen.push(numbered);
            if shown {
                break;
            }
        }
    };
    // Where it takes longer, the stream begins without a word.
    let _in_time = tokio::time::timeout(patience, looking).await.is_ok();
    match seen.last().map(|numbered| &numbered.event) {
        Some(RunEvent::Failed(problem)) => Err(problem.clone().into()),
        _ => Ok(futures::stream::iter(seen).chain(events).boxed()),
    }
}
