//! Gives an answer again.
//!
//! Of a chat turn nothing but a reference is kept: its events are read from the run's log while that lives, and from the
//! conversation afterwards, through the gate either way. So what has been withdrawn meanwhile is not shown again.

use super::{ASK_AGAIN, conflict};
use crate::app::App;
use crate::error::ApiError;
use crate::openai::chunk::Shape;
use crate::openai::reply::Answering;
use crate::sse::{self, Begun};
use crate::trace::Here;
use axum::Json;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::command::{GetConversation, ResumeRun};
use domain::conversation::{Message, MessageStatus};
use domain::error::{Classify, ErrorKind};
use domain::idempotency::StoredResponse;
use domain::ids::ConversationId;
use domain::model::ModelTier;
use domain::run::{Escalation, EventStream, FinishReason, NumberedEvent, RunEvent, RunSummary, TokenUsage};
use futures::StreamExt;
use policy::caller::Caller;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Stands in the place of a content type where a reference to a run is kept. Never sent.
const REFERENCE: &str = "application/x-run-reference";

/// A mark on a response: where the turn that it shows can be read again.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct RunReference {
    conversation: Uuid,
    run: Uuid,
    message: Uuid,
    /// The tier asked for.
    tier: ModelTier,
    #[serde(default)]
    escalated: Option<Escalation>,
    /// Answered whole, as one JSON document, and not streamed.
    #[serde(default)]
    whole: bool,
    /// How a turn ended that was answered whole; `None` where it failed, and for one that was streamed.
    end: Option<End>,
    /// Answered in OpenAI's words.
    #[serde(default)]
    openai: Option<Shape>,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
struct End {
    finish_reason: FinishReason,
    usage: TokenUsage,
    model: String,
    degraded: bool,
    #[serde(default)]
    left_out: u32,
    #[serde(default)]
    fallback: bool,
}

impl RunReference {
    /// The reference to a turn that is streamed.
    pub(crate) fn streamed(conversation: ConversationId, begun: Begun) -> Self {
        Self {
            conversation: conversation.as_uuid(),
            run: begun.run_id.as_uuid(),
            message: begun.message_id.as_uuid(),
            tier: begun.model,
            escalated: begun.escalated,
            whole: false,
            end: None,
            openai: None,
        }
    }

    /// The same of a turn that is answered in OpenAI's words.
    pub(crate) fn in_openai_shape(self, shape: Shape) -> Self {
        Self { openai: Some(shape), ..self }
    }

    /// The same of a turn that was answered whole, with its end unless it failed.
    pub(crate) fn whole(self, end: Option<RunSummary>) -> Self {
        let end = end.map(|end| End {
            finish_reason: end.finish_reason,
            usage: end.usage,
            model: end.model,
            degraded: end.degraded,
            left_out: end.left_out,
            fallback: end.fallback,
        });
        Self { whole: true, end, ..self }
    }

    /// What is kept.
    pub(super) fn stored(&self) -> Option<StoredResponse> {
        let headers = vec![(CONTENT_TYPE.to_string(), REFERENCE.to_owned())];
        Some(StoredResponse { status: 200, headers, body: serde_json::to_vec(self).ok()? })
    }

    fn of(answer: &StoredResponse) -> Option<Self> {
        let is_reference = answer.headers.iter().any(|(_, value)| value == REFERENCE);
        is_reference.then(|| serde_json::from_slice(&answer.body).ok()).flatten()
    }

    /// The turn's events once more: from its log, or from what is stored.
    async fn events(&self, app: &App, by: &Caller) -> Result<EventStream, ApiError> {
        match app.gate.resume_run(by, ResumeRun { run: self.run.into(), after: 0 }).await {
            Ok(events) => return Ok(events),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let id = self.conversation.into();
        let (_, messages) = app.gate.get_conversation(by, GetConversation { id }).await?;
        let message = messages.into_iter().find(|message| message.id.as_uuid() == self.message);
        let message = message.ok_or_else(|| ApiError::of(ErrorKind::NotFound))?;
        if message.withheld {
            let detail = "It rests on content above your clearance.";
            return Err(ApiError { code: "above_clearance", ..ApiError::new(ErrorKind::Forbidden, detail) });
        }
        if message.status == MessageStatus::Streaming {
            let detail = "The answer is still being written, by another server.";
            return Err(ApiError { retry_after: Some(ASK_AGAIN), ..conflict("idempotency_in_progress", detail) });
        }
        Ok(self.told(message))
    }

    /// The events that a stored answer would have had, its text in one piece.
    fn told(&self, message: Message) -> EventStream {
        let (run_id, message_id) = (self.run.into(), message.id);
        let started = RunEvent::Started { run_id, message_id, model: self.tier, escalated: self.escalated };
        let summary = self.summary(&message);
        let cited = message.citations.into_iter().map(RunEvent::Cited);
        let events = std::iter::once(started)
            .chain(std::iter::once(RunEvent::Delta { text: message.content }))
            .chain(cited)
            .chain(std::iter::once(RunEvent::Finished(summary)));
        let numbered = events.zip(1..).map(|(event, seq)| NumberedEvent { seq, event });
        futures::stream::iter(numbered.collect::<Vec<_>>()).boxed()
    }

    fn summary(&self, message: &Message) -> RunSummary {
        let end = self.end.clone().unwrap_or_else(|| End {
            finish_reason: match message.status {
                MessageStatus::Cancelled => FinishReason::Cancelled,
                MessageStatus::Error => FinishReason::Error,
                MessageStatus::Complete | MessageStatus::Streaming => FinishReason::Stop,
            },
            usage: TokenUsage {
                input_tokens: 0,
                output_tokens: message.token_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            },
            model: message.model.clone().unwrap_or_default(),
            degraded: false,
            left_out: 0,
            fallback: false,
        });
        RunSummary {
            finish_reason: end.finish_reason,
            usage: end.usage,
            model: end.model,
            degraded: end.degraded,
            left_out: end.left_out,
            fallback: end.fallback,
            message_id: message.id,
        }
    }
}

/// The answer that is kept, with a header that says so.
pub(super) async fn replay(app: &App, by: &Caller, here: Here, answer: StoredResponse) -> Result<Response, ApiError> {
    let mut response = match RunReference::of(&answer) {
        Some(reference) => {
            let events = reference.events(app, by).await?;
            if let Some(shape) = reference.openai {
                in_openai_shape(app, (events, reference.conversation, shape), reference.whole).await?
            } else if reference.whole {
                sse::collect(events)
                    .await
                    .map_or_else(ApiError::into_response, |(answer, _)| Json(answer).into_response())
            } else {
                sse::stream(events, here, app.settings.keep_alive)
            }
        }
        None => stored(answer),
    };
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// The same in OpenAI's words.
async fn in_openai_shape(
    app: &App,
    (events, conversation, shape): (EventStream, Uuid, Shape),
    whole: bool,
) -> Result<Response, ApiError> {
    let (begun, events) = sse::begun(events).await?;
    let answering = Answering { events, begun, conversation: Some(conversation.into()), shape };
    if whole {
        Ok(answering.whole().await.map_or_else(ApiError::into_response, |(response, _)| response))
    } else {
        answering.streamed(app.settings.keep_alive).await
    }
}

fn stored(answer: StoredResponse) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
