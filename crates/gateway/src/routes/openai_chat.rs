//! Chat for clients that speak OpenAI's words.

use crate::body::ApiJson;
use crate::caller::Call;
use crate::error::ApiError;
use crate::idempotency::Repeatable;
use crate::openai::X_CONVERSATION_ID;
use crate::openai::chunk::{ChatCompletionChunk, Shape};
use crate::openai::reply::Answering;
use crate::openai::request::{Asked, ChatCompletionRequest, conversation, explained};
use crate::openai::whole::ChatCompletion;
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

/// Answers a chat in OpenAI's words, as a stream of chunks or as one document.
///
/// `auto`, `fast` and `heavy` are the plant's assistant: it searches the documents, cites them as annotations, and stores
/// question and answer in a conversation, whose id the answer's `x-conversation-id` has; sent back in a request, that
/// conversation goes on. The history is the request's. `fast-direct` and `heavy-direct` are a language model alone, and
/// so is every model where the client brings tools of its own.
#[utoipa::path(
    post, path = "/openai/v1/chat/completions", tag = "openai", request_body = ChatCompletionRequest,
    params(("x-conversation-id" = Option<Uuid>, Header, description = "The conversation that goes on")),
    responses((status = 200, description = "The answer", content(
        (ChatCompletion = "application/json"),
        (ChatCompletionChunk = "text/event-stream"),
    )))
)]
async fn complete(
    call: Call,
    State(settings): State<Arc<GatewaySettings>>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<ChatCompletionRequest>,
) -> Result<Response, ApiError> {
    let model = body.model_id()?;
    let streamed = body.stream == Some(true);
    let shape = Shape { model: model.as_str().to_owned(), include_usage: body.include_usage() };
    let named = headers.get(X_CONVERSATION_ID).map(|value| value.to_str().unwrap_or_default());
    let (conversation, events) = match body.parse(conversation(named))? {
        Asked::Assistant(command) => {
            let asked = call.execute(*command).await;
            let AssistantRun { conversation, events } = asked.map_err(|error| explained(error, model.as_str()))?;
            (Some(conversation), events)
        }
        Asked::Model(command) => {
            let asked = call.execute(*command).await;
            (None, asked.map_err(|error| explained(error, model.as_str()))?)
        }
    };
    // Concurrent runs have a limit of their own.
    call.release_in_flight();
    let (begun, events) = sse::begun(events).await?;
    let answering = Answering { events, begun, conversation, shape };
    let reference = answering.reference();
    // A turn that fails once it has begun had its effect: what was said is stored. What a model alone says is not.
    let (mut response, reference) = if streamed {
        match answering.streamed(settings.keep_alive).await {
            Ok(response) => (response, reference),
            Err(error) => (error.into_response(), reference.map(|reference| reference.whole(None))),
        }
    } else {
        match answering.whole().await {
            Ok((response, end)) => (response, reference.map(|reference| reference.whole(Some(end)))),
            Err(error) => (error.into_response(), reference.map(|reference| reference.whole(None))),
        }
    };
    match reference {
        Some(reference) => drop(response.extensions_mut().insert(reference)),
        None => drop(response.extensions_mut().insert(Repeatable)),
    }
    Ok(response)
}
