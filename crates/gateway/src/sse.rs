//! Writes a run's events as server-sent events, or combines them into one answer for clients that do not stream.

use crate::error::ApiError;
use crate::fields::{self, CitationBody, TextRangeBody};
use crate::problem::ProblemDocument;
use crate::request_info::RequestInfo;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
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
    /// Counts from 1 within a run; pass it in `Last-Event-ID` to resume.
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
        "approval.required",
        "step.started",
        "step.finished",
        "citation",
        "run.finished",
        "error",
    ];
    let name = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String);
    name.enum_values(Some(names)).build().into()
}

/// `run.started`
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct RunStarted {
    run_id: Uuid,
    /// The answer's message.
    message_id: Uuid,
    /// The tier that answers: `fast` or `heavy`.
    model: &'static str,
    /// Why the platform chose the tier for hard questions; missing if it did not.
    #[schema(schema_with = fields::escalation_or_null)]
    #[serde(skip_serializing_if = "Option::is_none")]
    escalated: Option<&'static str>,
    /// Message to the user; missing if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<RunWarning>,
}

/// A warning of the tenant's privacy rules: something in the message matches a pattern, and the model sees it.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct RunWarning {
    #[schema(pattern = "^pii$")]
    code: &'static str,
    /// The pattern that matched.
    pattern: String,
}

/// `message.reasoning`: the model's reasoning before its answer; only admins receive it, and it is not stored.
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
    /// The search text, if the tool searches documents: a follow-up question is completed from its conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
}

/// `tool.finished`
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct ToolFinished {
    call_id: String,
    name: String,
    #[schema(schema_with = fields::tool_status)]
    status: &'static str,
}

/// `approval.required`: a tool that writes was called. People decide on the call, and the run continues.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct ApprovalRequired {
    approval_id: Uuid,
    /// Name of the tool.
    tool: String,
    /// What the write would change, in the plant's own notation.
    target: String,
    /// When the request expires.
    expires_at: DateTime<Utc>,
}

/// `step.started`: a specialist starts with a part of the question.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct StepStarted {
    step_id: String,
    /// Name of the agent.
    agent: String,
    /// What the part is about.
    title: String,
}

/// `step.finished`: a specialist has ended its part.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct StepFinished {
    step_id: String,
    #[schema(schema_with = fields::step_status)]
    status: &'static str,
}

/// `run.finished`
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct RunFinished {
    #[schema(schema_with = fields::finish_reason)]
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
    /// Parts of the text that no passage or reading supports.
    unsupported: Vec<TextRangeBody>,
}

/// `error`: the run was interrupted.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct RunFailed {
    problem: ProblemDocument,
}

/// Numbers of input and output tokens.
#[derive(Serialize, ToSchema, Clone, Copy, Debug)]
#[schema(as = Usage)]
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
    #[schema(schema_with = fields::finish_reason)]
    finish_reason: &'static str,
    /// A fallback served, a part (retrieval, say) was down, or something was left out.
    degraded: bool,
    /// A fallback served.
    fallback: bool,
    /// How many passages, documents and earlier answers were left out because they are classified above what the model
    /// may see.
    left_out: u32,
    /// Parts of the text that no passage or reading supports.
    unsupported: Vec<TextRangeBody>,
}

/// Builds the response that streams a run. When the client disconnects, the response and with it `events` is dropped,
/// which notifies the runtime that the reader is gone.
pub(crate) fn run_response(events: EventStream, info: RequestInfo, keep_alive_interval: Duration) -> Response {
    response(events.map(move |event| to_sse(event, &info)), keep_alive_interval)
}

/// Builds a response of server-sent events. It sends a comment after each `keep_alive_interval` without an
/// event, and has headers that prevent proxies from buffering it.
pub(crate) fn response(
    events: impl Stream<Item = Result<Event, axum::Error>> + Send + 'static,
    keep_alive_interval: Duration,
) -> Response {
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive_interval).text("keep-alive")).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Content of the first event of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunStart {
    pub(crate) run_id: RunId,
    /// Id of the message with the answer.
    pub(crate) message_id: MessageId,
    /// Tier of the model that answers.
    pub(crate) tier: ModelTier,
    /// Why the platform chose the heavy tier, if it did.
    pub(crate) escalation: Option<Escalation>,
}

/// Waits for the first event, so that a run that fails immediately results in an error response and not in a stream.
/// The returned stream includes the first event.
pub(crate) async fn wait_for_start(mut events: EventStream) -> Result<(RunStart, EventStream), ApiError> {
    let first = events.next().await.ok_or_else(incomplete_stream_error)?;
    match first.event.clone() {
        RunEvent::Started { run_id, message_id, model, escalation: escalated, .. } => {
            let events = futures::stream::iter([first]).chain(events).boxed();
            Ok((RunStart { run_id, message_id, tier: model, escalation: escalated }, events))
        }
        RunEvent::Failed(problem) => Err(problem.into()),
        _ => Err(incomplete_stream_error()),
    }
}

/// Reads all events of a run and combines them into one answer.
pub(crate) async fn collect_answer(mut events: EventStream) -> Result<(Answer, RunSummary), ApiError> {
    let (mut run_id, mut content, mut citations) = (None, String::new(), Vec::new());
    while let Some(NumberedEvent { event, .. }) = events.next().await {
        match event {
            RunEvent::Started { run_id: id, .. } => run_id = Some(id),
            RunEvent::Delta { text } => content.push_str(&text),
            RunEvent::Cited(citation) => citations.push(citation.into()),
            RunEvent::Reasoning { .. }
            | RunEvent::ToolStarted { .. }
            | RunEvent::ToolFinished { .. }
            | RunEvent::ApprovalRequired { .. }
            | RunEvent::StepStarted { .. }
            | RunEvent::StepFinished { .. }
            | RunEvent::ClientToolRequested(_) => {}
            RunEvent::Failed(problem) => return Err(problem.into()),
            RunEvent::Finished(summary) => {
                let answer = Answer {
                    message_id: summary.message_id.as_uuid(),
                    run_id: run_id.ok_or_else(incomplete_stream_error)?.as_uuid(),
                    content,
                    citations,
                    model: summary.model.clone(),
                    usage: summary.usage.into(),
                    finish_reason: summary.finish_reason.as_str(),
                    degraded: summary.degraded,
                    fallback: summary.fallback,
                    left_out: summary.omitted_count,
                    unsupported: summary.unsupported_statements.iter().copied().map(Into::into).collect(),
                };
                return Ok((answer, summary));
            }
        }
    }
    Err(incomplete_stream_error())
}

/// Creates the error for a stream that does not begin with `run.started`, or ends without `run.finished` or `error`.
/// Either is a bug in the runtime.
pub(crate) fn incomplete_stream_error() -> ApiError {
    ApiError {
        cause: Some("a run's event stream ended without its last event".into()),
        ..ApiError::from_kind(domain::error::ErrorKind::Internal)
    }
}

fn to_sse(numbered: NumberedEvent, info: &RequestInfo) -> Result<Event, axum::Error> {
    let event = Event::default().id(numbered.seq.to_string());
    match numbered.event {
        RunEvent::Started { run_id, message_id, model, escalation: escalated, privacy_warnings } => {
            event.event("run.started").json_data(RunStarted {
                run_id: run_id.as_uuid(),
                message_id: message_id.as_uuid(),
                model: model.as_str(),
                escalated: escalated.map(Escalation::as_str),
                warnings: privacy_warnings.into_iter().map(|pattern| RunWarning { code: "pii", pattern }).collect(),
            })
        }
        RunEvent::Reasoning { text } => event.event("message.reasoning").json_data(MessageReasoning { text }),
        RunEvent::Delta { text } => event.event("message.delta").json_data(MessageDelta { text }),
        RunEvent::ToolStarted { call_id, name, query } => {
            event.event("tool.started").json_data(ToolStarted { call_id, name, query })
        }
        RunEvent::ToolFinished { call_id, name, status } => {
            event.event("tool.finished").json_data(ToolFinished { call_id, name, status: status.as_str() })
        }
        RunEvent::ApprovalRequired { approval_id, tool, target, expires_at } => {
            let approval_id = approval_id.as_uuid();
            event.event("approval.required").json_data(ApprovalRequired { approval_id, tool, target, expires_at })
        }
        RunEvent::StepStarted { step_id, agent, title } => {
            event.event("step.started").json_data(StepStarted { step_id, agent, title })
        }
        RunEvent::StepFinished { step_id, status } => {
            event.event("step.finished").json_data(StepFinished { step_id, status: status.as_str() })
        }
        // Only direct requests in OpenAI's format can have client tools, and their events are not written here.
        RunEvent::ClientToolRequested(_) => Ok(event.comment("call of a client tool")),
        RunEvent::Cited(citation) => event.event("citation").json_data(CitationBody::from(citation)),
        RunEvent::Finished(summary) => event.event("run.finished").json_data(RunFinished {
            finish_reason: summary.finish_reason.as_str(),
            usage: summary.usage.into(),
            model: summary.model,
            degraded: summary.degraded,
            fallback: summary.fallback,
            left_out: summary.omitted_count,
            message_id: summary.message_id.as_uuid(),
            unsupported: summary.unsupported_statements.into_iter().map(Into::into).collect(),
        }),
        RunEvent::Failed(problem) => {
            event.event("error").json_data(RunFailed { problem: ProblemDocument::new(&problem.into(), info) })
        }
    }
}
