//! A run's events as server-sent events, and as one answer for clients that do not stream.

use crate::error::ApiError;
use crate::problem::ProblemDocument;
use crate::request_info::RequestInfo;
use crate::wire::{self, CitationBody};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::ids::{MessageId, RunId};
use domain::model::ModelTier;
use domain::run::{Escalation, EventStream, NumberedEvent, RunEvent, RunSummary, TokenUsage};
use futures::{Stream, StreamExt};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One server-sent event of a run.
#[derive(ToSchema, Debug)]
#[expect(dead_code, reason = "it exists for the OpenAPI document")]
pub(crate) struct StreamEvent {
    /// Counts from 1 within a run; `Last-Event-ID` takes it.
    #[schema(pattern = "^[0-9]+$")]
    id: String,
    #[schema(schema_with = event_name)]
    event: String,
    /// JSON: the schema of the event's name (`RunStarted`, `MessageDelta`, …).
    data: String,
}

fn event_name() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    let names = [
        "run.started",
        "message.reasoning",
        "message.delta",
        "tool.started",
        "tool.finished",
        "citation",
        "run.finished",
        "error",
    ];
    let one = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String);
    one.enum_values(Some(names)).build().into()
}

/// `run.started`
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct RunStarted {
    run_id: Uuid,
    /// The answer's message.
    message_id: Uuid,
    /// The tier that answers: `fast` or `heavy`.
    model: &'static str,
    /// Why the platform chose the tier for hard questions; missing where it did not.
    #[schema(schema_with = wire::escalation_or_null)]
    #[serde(skip_serializing_if = "Option::is_none")]
    escalated: Option<&'static str>,
}

/// `message.reasoning`: what the model thinks before it answers; admins see it, and it is not kept.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct MessageReasoning {
    /// The next piece.
    text: String,
}

/// `message.delta`
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct MessageDelta {
    /// The next piece of the answer.
    text: String,
}

/// `tool.started`
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct ToolStarted {
    call_id: String,
    name: String,
}

/// `tool.finished`
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct ToolFinished {
    call_id: String,
    name: String,
    #[schema(schema_with = wire::tool_status)]
    status: &'static str,
}

/// `run.finished`
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct RunFinished {
    #[schema(schema_with = wire::finish_reason)]
    finish_reason: &'static str,
    usage: UsageBody,
    /// The model that served.
    model: String,
    /// A fallback served, a part (retrieval, say) was down, or something was left out.
    degraded: bool,
    /// A fallback served.
    fallback: bool,
    /// How many passages, documents and earlier answers were left out because they are classified above what the model
    /// may see.
    left_out: u32,
    message_id: Uuid,
}

/// `error`: the run broke off.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct RunFailed {
    problem: ProblemDocument,
}

/// Tokens read and written.
#[derive(Serialize, ToSchema, Clone, Copy, Debug)]
#[schema(as = TokenUsage)]
pub(crate) struct UsageBody {
    input_tokens: u32,
    output_tokens: u32,
}

impl From<TokenUsage> for UsageBody {
    fn from(usage: TokenUsage) -> Self {
        Self { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
    }
}

/// A whole answer.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Answer {
    /// The answer's message.
    message_id: Uuid,
    run_id: Uuid,
    /// The text; it marks its citations `[n]`.
    content: String,
    citations: Vec<CitationBody>,
    /// The model that served.
    model: String,
    usage: UsageBody,
    #[schema(schema_with = wire::finish_reason)]
    finish_reason: &'static str,
    /// A fallback served, a part (retrieval, say) was down, or something was left out.
    degraded: bool,
    /// A fallback served.
    fallback: bool,
    /// How many passages, documents and earlier answers were left out because they are classified above what the model
    /// may see.
    left_out: u32,
}

/// Streams a run. Dropping the response drops the run's stream, which tells the runtime that the reader is gone.
pub(crate) fn stream(events: EventStream, info: RequestInfo, keep_alive: Duration) -> Response {
    lines(events.map(move |event| write(event, &info)), keep_alive)
}

/// A stream of events, with comments where it is silent and headers that keep proxies from holding it back.
pub(crate) fn lines(
    events: impl Stream<Item = Result<Event, axum::Error>> + Send + 'static,
    keep_alive: Duration,
) -> Response {
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive).text("keep-alive")).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// A run that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) run_id: RunId,
    /// The answer's message.
    pub(crate) message_id: MessageId,
    /// The tier that answers.
    pub(crate) model: ModelTier,
    /// Why it is not the everyday one, where the platform chose.
    pub(crate) escalated: Option<Escalation>,
}

/// Looks at the first event: a run that fails before anything was sent is answered with a status.
pub(crate) async fn begun(mut events: EventStream) -> Result<(Begun, EventStream), ApiError> {
    let first = events.next().await.ok_or_else(broken_off)?;
    match first.event.clone() {
        RunEvent::Started { run_id, message_id, model, escalated } => {
            let events = futures::stream::iter([first]).chain(events).boxed();
            Ok((Begun { run_id, message_id, model, escalated }, events))
        }
        RunEvent::Failed(problem) => Err(problem.into()),
        _ => Err(broken_off()),
    }
}

/// Reads a run to its end.
pub(crate) async fn collect(mut events: EventStream) -> Result<(Answer, RunSummary), ApiError> {
    let (mut run, mut content, mut citations) = (None, String::new(), Vec::new());
    while let Some(NumberedEvent { event, .. }) = events.next().await {
        match event {
            RunEvent::Started { run_id, .. } => run = Some(run_id),
            RunEvent::Delta { text } => content.push_str(&text),
            RunEvent::Cited(citation) => citations.push(citation.into()),
            RunEvent::Reasoning { .. }
            | RunEvent::ToolStarted { .. }
            | RunEvent::ToolFinished { .. }
            | RunEvent::ToolWanted(_) => {}
            RunEvent::Failed(problem) => return Err(problem.into()),
            RunEvent::Finished(end) => {
                let answer = Answer {
                    message_id: end.message_id.as_uuid(),
                    run_id: run.ok_or_else(broken_off)?.as_uuid(),
                    content,
                    citations,
                    model: end.model.clone(),
                    usage: end.usage.into(),
                    finish_reason: end.finish_reason.as_str(),
                    degraded: end.degraded,
                    fallback: end.fallback,
                    left_out: end.left_out,
                };
                return Ok((answer, end));
            }
        }
    }
    Err(broken_off())
}

/// A run always ends with `run.finished` or `error`.
pub(crate) fn broken_off() -> ApiError {
    ApiError {
        cause: Some("a run ended without its last event".into()),
        ..ApiError::of(domain::error::ErrorKind::Internal)
    }
}

fn write(numbered: NumberedEvent, info: &RequestInfo) -> Result<Event, axum::Error> {
    let event = Event::default().id(numbered.seq.to_string());
    match numbered.event {
        RunEvent::Started { run_id, message_id, model, escalated } => {
            event.event("run.started").json_data(RunStarted {
                run_id: run_id.as_uuid(),
                message_id: message_id.as_uuid(),
                model: model.as_str(),
                escalated: escalated.map(Escalation::as_str),
            })
        }
        RunEvent::Reasoning { text } => event.event("message.reasoning").json_data(MessageReasoning { text }),
        RunEvent::Delta { text } => event.event("message.delta").json_data(MessageDelta { text }),
        RunEvent::ToolStarted { call_id, name } => event.event("tool.started").json_data(ToolStarted { call_id, name }),
        RunEvent::ToolFinished { call_id, name, status } => {
            event.event("tool.finished").json_data(ToolFinished { call_id, name, status: status.as_str() })
        }
        // Only a model alone is offered a client's tools, and its events are not read here.
        RunEvent::ToolWanted(_) => Ok(event.comment("a tool of the client's")),
        RunEvent::Cited(citation) => event.event("citation").json_data(CitationBody::from(citation)),
        RunEvent::Finished(end) => event.event("run.finished").json_data(RunFinished {
            finish_reason: end.finish_reason.as_str(),
            usage: end.usage.into(),
            model: end.model,
            degraded: end.degraded,
            fallback: end.fallback,
            left_out: end.left_out,
            message_id: end.message_id.as_uuid(),
        }),
        RunEvent::Failed(problem) => {
            event.event("error").json_data(RunFailed { problem: ProblemDocument::new(&problem.into(), info) })
        }
    }
}
