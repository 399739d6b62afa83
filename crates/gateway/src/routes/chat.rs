//! The route that sends a message in a conversation.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::run_reference::RunReference;
use crate::settings::GatewaySettings;
use crate::sse::{self, Answer, StreamEvent};
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse, Response};
use domain::agent::is_agent_name;
use domain::command::{AgentChoice, BranchPoint, RetrievalMode, SendMessage, TurnQuestion};
use domain::ids::ConversationId;
use domain::model::TierChoice;
use domain::search::SearchFilters;
use domain::text::ShortText;
use serde::{Deserialize, Deserializer};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(chat))
}

/// A message, with options for its answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"message": "How do I isolate pump P-101 before I open it?", "retrieval": "auto"}))]
struct ChatMessage {
    /// Text of the message. Required, except with `regenerate`, where it must be missing.
    #[schema(min_length = 1, max_length = 32000)]
    message: Option<String>,
    /// The message that the new one follows. By default, it is the last message of the active branch; null starts a new
    /// branch at the beginning. With `regenerate`, it is your message that is answered again.
    #[serde(default, deserialize_with = "deserialize_present")]
    #[schema(value_type = Option<Uuid>)]
    parent_id: Option<Option<Uuid>>,
    /// Whether to answer one of your earlier messages again, as an alternative to its other answers.
    #[schema(default = false)]
    regenerate: Option<bool>,
    /// Whether to stream events while the answer is generated, or return one JSON document at the end.
    #[schema(default = true)]
    stream: Option<bool>,
    /// Model tier. By default the conversation's.
    #[schema(schema_with = fields::tier_choice_or_null)]
    model: Option<TierChoice>,
    /// Whether to search the documents. `auto` by default.
    #[schema(schema_with = fields::retrieval_mode_or_null)]
    retrieval: Option<RetrievalMode>,
    /// Search only these documents.
    #[schema(max_items = 100)]
    document_ids: Option<Vec<Uuid>>,
    /// Search only documents with at least one of these tags.
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
    /// Who answers: `auto` for the assistant, which may hand parts of the question to specialists, or the name of one
    /// of your agents. By default the assistant alone.
    #[schema(min_length = 1, max_length = 64)]
    agent: Option<String>,
    /// Whether to also search revisions that are superseded or not yet in force.
    #[schema(default = false)]
    include_superseded: Option<bool>,
    /// Search the documents of these teams of your tenant instead of the conversation's own space. The answer is shown
    /// only while you are a member of them. A team's conversation always searches that team.
    #[schema(max_items = 10)]
    team_ids: Option<Vec<Uuid>>,
}

/// Distinguishes a field that is null (`Some(None)`) from one that is missing (`None`).
fn deserialize_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Uuid>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl ChatMessage {
    fn parse(self, conversation: ConversationId) -> Result<SendMessage, ApiError> {
        let question = self.question()?;
        let tags = fields::parse_tags("/tags", self.tags.iter().flatten())?;
        Ok(SendMessage {
            conversation,
            question,
            model: self.model,
            retrieval: self.retrieval.unwrap_or(RetrievalMode::Auto),
            teams: fields::parse_team_ids("/team_ids", self.team_ids.unwrap_or_default())?,
            agent: self.agent.as_deref().map(parse_agent).transpose()?,
            filters: SearchFilters {
                document_ids: fields::parse_document_ids("/document_ids", self.document_ids.unwrap_or_default())?,
                tags: tags.into_iter().map(ShortText::into_string).collect(),
                doc_type: None,
                include_superseded: self.include_superseded.unwrap_or(false),
            },
        })
    }

    fn question(&self) -> Result<TurnQuestion, ApiError> {
        if self.regenerate == Some(true) {
            if self.message.is_some() {
                return Err(ApiError::invalid_field("/message", "must be left out with `regenerate`"));
            }
            return match self.parent_id.flatten() {
                Some(id) => Ok(TurnQuestion::Earlier(id.into())),
                None => Err(ApiError::invalid_field("/parent_id", "must be the id of the message to answer again")),
            };
        }
        let Some(message) = &self.message else {
            return Err(ApiError::invalid_field("/message", "is missing"));
        };
        let at = match self.parent_id {
            None => BranchPoint::ActiveBranch,
            Some(None) => BranchPoint::Root,
            Some(Some(id)) => BranchPoint::After(id.into()),
        };
        Ok(TurnQuestion::New { message: fields::parse_text("/message", message)?, at })
    }
}

fn parse_agent(name: &str) -> Result<AgentChoice, ApiError> {
    match name {
        "auto" => Ok(AgentChoice::Auto),
        name if is_agent_name(name) => Ok(AgentChoice::Named(name.to_owned())),
        _ => Err(ApiError::invalid_field("/agent", "must be `auto` or the name of one of your agents")),
    }
}

/// Sends a message and returns the answer, as server-sent events or as one JSON document.
///
/// The events are `run.started`, `message.reasoning` (for admins), `message.delta`, `tool.started`, `tool.finished`,
/// `step.started`, `step.finished`, `citation`, and at the end `run.finished` or `error`. Their ids count from 1.
/// `GET /v1/runs/{id}/events` replays them.
///
/// While an answer is being generated, other messages in the same conversation get 409 `conversation_busy`.
#[utoipa::path(
    post, path = "/v1/conversations/{id}/chat", tag = "chat", params(("id" = Uuid, Path)), request_body = ChatMessage,
    responses((status = 200, description = "The answer", content(
        (StreamEvent = "text/event-stream"),
        (Answer = "application/json"),
    )))
)]
async fn chat(
    call: AuthenticatedRequest,
    PathId(conversation): PathId<ConversationId>,
    State(settings): State<Arc<GatewaySettings>>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<ChatMessage>,
) -> Result<Response, ApiError> {
    let as_stream = body.stream != Some(false) && !accepts_only_json(&headers);
    let command = body.parse(conversation)?;
    let events = call.execute(command).await?;
    // Runs are limited separately, so the request need not count as in flight while the answer is generated.
    call.release_in_flight();
    let (start, events) = sse::wait_for_start(events).await?;
    let reference = RunReference::for_stream(conversation, start);
    let (mut response, reference) = if as_stream {
        (sse::run_response(events, call.info, settings.keep_alive_interval), reference)
    } else {
        // A turn that fails after its start had an effect, because its message is stored.
        match sse::collect_answer(events).await {
            Ok((answer, summary)) => (Json(answer).into_response(), reference.with_document_outcome(Some(summary))),
            Err(error) => (error.into_response(), reference.with_document_outcome(None)),
        }
    };
    response.extensions_mut().insert(reference);
    Ok(response)
}

/// Returns whether `Accept` contains `application/json` and not `text/event-stream`.
fn accepts_only_json(headers: &HeaderMap) -> bool {
    let accepts = |media_type: &str| {
        headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|item| item.split(';').next())
            .any(|item| item.trim().eq_ignore_ascii_case(media_type))
    };
    accepts("application/json") && !accepts("text/event-stream")
}
