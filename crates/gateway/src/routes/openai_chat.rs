//! The route of OpenAI-compatible chat completions.

use super::openai_models::find_team;
use crate::body::ApiJson;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::idempotency::SafeToRetry;
use crate::openai::X_CONVERSATION_ID;
use crate::openai::chunk::{ChatCompletionChunk, ReplyOptions};
use crate::openai::completion::ChatCompletion;
use crate::openai::reply::ChatReply;
use crate::openai::request::{ChatCommand, ChatCompletionRequest, explain_not_found, parse_conversation_id};
use crate::settings::GatewaySettings;
use crate::sse;
use crate::state::AppState;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use domain::run::AssistantRun;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(complete))
}

/// Answers a chat request in OpenAI's format, as a stream of chunks or as one document.
///
/// The models `auto`, `fast` and `heavy` are the plant's assistant. It searches the documents, cites them in
/// annotations, and stores question and answer in a conversation. The response header `x-conversation-id` contains the
/// conversation's id; send it in the next request to continue the conversation. The history is always taken from the
/// request. A model that can call tools is offered the client's tools in addition to the platform's own. The models
/// `assistant@` with the slug of one of your teams is the assistant in that team's space. `fast-direct` and
/// `heavy-direct` are a language model only: nothing is searched or stored in a conversation.
#[utoipa::path(
    post, path = "/openai/v1/chat/completions", tag = "openai", request_body = ChatCompletionRequest,
    params(("x-conversation-id" = Option<Uuid>, Header, description = "The conversation to continue")),
    responses((status = 200, description = "The answer", content(
        (ChatCompletion = "application/json"),
        (ChatCompletionChunk = "text/event-stream"),
    )))
)]
async fn complete(
    call: AuthenticatedRequest,
    State(settings): State<Arc<GatewaySettings>>,
    headers: HeaderMap,
    ApiJson(mut body): ApiJson<ChatCompletionRequest>,
) -> Result<Response, ApiError> {
    let requested_model = body.requested_model().to_owned();
    let team = match body.take_team_slug() {
        Some(slug) => Some(find_team(&call, &slug).await?),
        None => None,
    };
    let model = body.model_id()?;
    let as_stream = body.stream == Some(true);
    let mut options = ReplyOptions { model: requested_model, include_usage: body.include_usage(), omitted_tools: 0 };
    let conversation_id = headers.get(X_CONVERSATION_ID).map(|value| value.to_str().unwrap_or_default());
    let (conversation, events) = match body.parse(parse_conversation_id(conversation_id), team)? {
        ChatCommand::Assistant(command) => {
            let run = call.execute(*command).await;
            let AssistantRun { conversation, events, omitted_tools } =
                run.map_err(|error| explain_not_found(error, model.as_str()))?;
            options.omitted_tools = omitted_tools;
            (Some(conversation), events)
        }
        ChatCommand::Model(command) => {
            let events = call.execute(*command).await;
            (None, events.map_err(|error| explain_not_found(error, model.as_str()))?)
        }
    };
    // Runs are limited separately, so the request need not count as in flight while the answer is generated.
    call.release_in_flight();
    let (start, events) = sse::wait_for_start(events).await?;
    let reply = ChatReply { events, start, conversation, options };
    let reference = reply.reference();
    // A turn of the assistant that fails after its start had an effect, because its message is stored. A direct request
    // is not stored, so it can be executed again.
    let (mut response, reference) = if as_stream {
        match reply.into_stream(settings.keep_alive_interval).await {
            Ok(response) => (response, reference),
            Err(error) => (error.into_response(), reference.map(|reference| reference.with_document_outcome(None))),
        }
    } else {
        match reply.into_document().await {
            Ok((response, summary)) => {
                (response, reference.map(|reference| reference.with_document_outcome(Some(summary))))
            }
            Err(error) => (error.into_response(), reference.map(|reference| reference.with_document_outcome(None))),
        }
    };
    match reference {
        Some(reference) => drop(response.extensions_mut().insert(reference)),
        None => drop(response.extensions_mut().insert(SafeToRetry)),
    }
    Ok(response)
}
