//! Replays a stored response.
//!
//! For a chat turn, only a reference is stored. Its events are read from the run's log while the log exists, and from
//! the conversation afterwards. Both reads pass the gate, so content that the caller may no longer see is not replayed.

use super::conflict::in_progress_error;
use crate::error::ApiError;
use crate::openai::reply::ChatReply;
use crate::request_info::RequestInfo;
use crate::run_reference::RunReference;
use crate::sse;
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::command::{Branches, GetConversation, ResumeRun};
use domain::conversation::{MessageStatus, Transcript};
use domain::error::{Classify, ErrorKind};
use domain::idempotency::StoredResponse;
use domain::run::EventStream;
use policy::caller::Caller;
use policy::gate::Gate;
use std::time::Duration;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Replays a stored response to a caller.
pub(super) struct Replay<'a> {
    pub(super) gate: &'a dyn Gate,
    pub(super) caller: &'a Caller,
    pub(super) info: RequestInfo,
    /// Time without an event after which a stream sends a keep-alive comment.
    pub(super) keep_alive_interval: Duration,
}

impl Replay<'_> {
    /// Returns the stored response with the header `Idempotency-Replayed: true`.
    pub(super) async fn respond(self, stored: StoredResponse) -> Result<Response, ApiError> {
        let mut response = match RunReference::from_stored_response(&stored) {
            Some(reference) => self.replay_turn(reference).await?,
            None => rebuild_response(stored),
        };
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    async fn replay_turn(self, reference: RunReference) -> Result<Response, ApiError> {
        let events = self.events(&reference).await?;
        let RunReference { conversation, whole: as_document, openai, .. } = reference;
        let Some(options) = openai else {
            return Ok(if as_document {
                let collected = sse::collect_answer(events).await;
                collected.map_or_else(ApiError::into_response, |(answer, _)| Json(answer).into_response())
            } else {
                sse::run_response(events, self.info, self.keep_alive_interval)
            });
        };
        let (start, events) = sse::wait_for_start(events).await?;
        let reply = ChatReply { events, start, conversation: Some(conversation), options };
        if as_document {
            Ok(reply.into_document().await.map_or_else(ApiError::into_response, |(response, _)| response))
        } else {
            reply.into_stream(self.keep_alive_interval).await
        }
    }

    /// Returns the turn's events from the run's log, or from the stored message.
    async fn events(&self, reference: &RunReference) -> Result<EventStream, ApiError> {
        match self.gate.execute(self.caller, ResumeRun { run: reference.run, after: 0 }).await {
            Ok(events) => return Ok(events),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let command = GetConversation { id: reference.conversation, branches: Branches::All };
        let Transcript { messages, .. } = self.gate.execute(self.caller, command).await?;
        let message = messages.into_iter().find(|message| message.id == reference.message);
        let message = message.ok_or_else(|| ApiError::from_kind(ErrorKind::NotFound))?;
        if message.withheld {
            let detail = "The answer is based on content above your clearance.";
            return Err(ApiError { code: "above_clearance", ..ApiError::new(ErrorKind::Forbidden, detail) });
        }
        if message.status == MessageStatus::Streaming {
            return Err(in_progress_error("The answer is still being written, by another server."));
        }
        Ok(reference.replay_events(message))
    }
}

fn rebuild_response(stored: StoredResponse) -> Response {
    let mut response = Response::new(Body::from(stored.body));
    *response.status_mut() = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    for (name, value) in stored.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
