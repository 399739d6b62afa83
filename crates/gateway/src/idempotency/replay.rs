//! Returns a stored response again.
//!
//! Of a chat turn only a reference is stored: its events are read from the run's log while that exists, and from the
//! conversation afterwards, through the gate either way. So nothing is shown again that has been withdrawn meanwhile.

use super::{RETRY_AFTER, conflict};
use crate::error::ApiError;
use crate::openai::reply::Answering;
use crate::request_info::RequestInfo;
use crate::run_reference::RunReference;
use crate::sse;
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::command::{GetConversation, ResumeRun};
use domain::conversation::{MessageStatus, Transcript};
use domain::error::{Classify, ErrorKind};
use domain::idempotency::StoredResponse;
use domain::run::EventStream;
use policy::caller::Caller;
use policy::gate::Gate;
use std::time::Duration;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Who asks again, and how to answer.
pub(super) struct Replay<'a> {
    pub(super) gate: &'a dyn Gate,
    pub(super) by: &'a Caller,
    pub(super) info: RequestInfo,
    /// Interval of comments in a silent stream.
    pub(super) keep_alive: Duration,
}

impl Replay<'_> {
    /// The stored response, with the header that says so.
    pub(super) async fn respond(self, stored: StoredResponse) -> Result<Response, ApiError> {
        let mut response = match RunReference::from_stored(&stored) {
            Some(reference) => self.turn(reference).await?,
            None => rebuilt(stored),
        };
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    async fn turn(self, reference: RunReference) -> Result<Response, ApiError> {
        let events = self.events(&reference).await?;
        let RunReference { conversation, whole, openai, .. } = reference;
        let Some(shape) = openai else {
            return Ok(if whole {
                let collected = sse::collect(events).await;
                collected.map_or_else(ApiError::into_response, |(answer, _)| Json(answer).into_response())
            } else {
                sse::stream(events, self.info, self.keep_alive)
            });
        };
        let (begun, events) = sse::begun(events).await?;
        let answering = Answering { events, begun, conversation: Some(conversation), shape };
        if whole {
            Ok(answering.whole().await.map_or_else(ApiError::into_response, |(response, _)| response))
        } else {
            answering.streamed(self.keep_alive).await
        }
    }

    /// The turn's events, from its run's log or from the stored message.
    async fn events(&self, reference: &RunReference) -> Result<EventStream, ApiError> {
        match self.gate.execute(self.by, ResumeRun { run: reference.run, after: 0 }).await {
            Ok(events) => return Ok(events),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let asked = GetConversation { id: reference.conversation };
        let Transcript { messages, .. } = self.gate.execute(self.by, asked).await?;
        let message = messages.into_iter().find(|message| message.id == reference.message);
        let message = message.ok_or_else(|| ApiError::of(ErrorKind::NotFound))?;
        if message.withheld {
            let detail = "It rests on content above your clearance.";
            return Err(ApiError { code: "above_clearance", ..ApiError::new(ErrorKind::Forbidden, detail) });
        }
        if message.status == MessageStatus::Streaming {
            let detail = "The answer is still being written, by another server.";
            return Err(ApiError { retry_after: Some(RETRY_AFTER), ..conflict("idempotency_in_progress", detail) });
        }
        Ok(reference.events_of(message))
    }
}

fn rebuilt(stored: StoredResponse) -> Response {
    let mut response = Response::new(Body::from(stored.body));
    *response.status_mut() = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    for (name, value) in stored.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
