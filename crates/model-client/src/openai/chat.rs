//! The chat model behind a server.

use super::http::{Failure, Server};
use super::request::{ChatBody, LimitField};
use super::sse::{self, Events};
use super::stream::AnswerReader;
use crate::config::ModelSettings;
use crate::error::SetupError;
use async_trait::async_trait;
use domain::model::{ChatDelta, ChatRequest, ChatStream, ModelError, ModelTier};
use domain::model_call::{ModelCaller, ServedBy};
use domain::ports::ChatModel;
use domain::role::Classification;
use futures::{StreamExt, stream};
use reqwest::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span, field};

const PATH: &str = "/v1/chat/completions";
/// LiteLLM's count of models that failed before this one answered.
const FALLBACKS: &str = "x-litellm-attempted-fallbacks";

/// Answers through an OpenAI-compatible server.
pub struct OpenAiChat {
    server: Arc<Server>,
    fast: String,
    heavy: String,
    highest: Classification,
    /// The server refused `max_tokens` once and wants the newer name.
    newer_limit: AtomicBool,
}

impl OpenAiChat {
    /// The chat models of the server that `settings` name.
    ///
    /// # Errors
    /// Where there is no base URL, or none of use.
    pub fn new(settings: &ModelSettings) -> Result<Self, SetupError> {
        Ok(Self {
            server: Arc::new(Server::new(settings)?),
            fast: settings.fast.clone(),
            heavy: settings.heavy.clone(),
            highest: settings.highest_classification,
            newer_limit: AtomicBool::new(false),
        })
    }

    fn model(&self, tier: ModelTier) -> &str {
        match tier {
            ModelTier::Fast => &self.fast,
            ModelTier::Heavy => &self.heavy,
        }
    }

    /// Asks, and reads until the model has begun to answer.
    async fn begin(&self, request: ChatRequest, span: Span) -> Result<ChatStream, ModelError> {
        let started = Instant::now();
        let first = started + self.server.timeouts.first_token;
        let place = self.server.place().await?;
        let alias = self.model(request.tier);
        let response = self.ask(alias, &request, first).await?;
        let fallbacks = response.headers().get(FALLBACKS).and_then(|count| count.to_str().ok()?.parse::<u32>().ok());
        let opened = timeout_at(first, sse::events(&self.server, response)).await;
        let mut answering = Answering {
            events: opened.map_err(|_| self.server.timed_out(started))??,
            reader: AnswerReader::new(self.server.name()),
            server: Arc::clone(&self.server),
            last: started + self.server.timeouts.total,
            failed: false,
            span,
            _place: place,
        };
        while !answering.reader.has_begun() && !answering.reader.has_ended() {
            answering.read_one(first, started).await?;
        }
        let model = Some(answering.reader.model.clone()).filter(|model| !model.is_empty());
        let served_by = ServedBy {
            backend: self.server.name().to_owned(),
            model: model.unwrap_or_else(|| alias.to_owned()),
            fallback: fallbacks.is_some_and(|count| count > 0),
            requested: alias.to_owned(),
            ..ServedBy::default()
        };
        answering.span.record("gen_ai.response.model", served_by.model.as_str());
        let deltas = stream::unfold(answering, |mut answering| async {
            let next = answering.next().await?;
            Some((next, answering))
        });
        Ok(ChatStream { served_by, deltas: deltas.boxed() })
    }

    async fn ask(&self, alias: &str, request: &ChatRequest, deadline: Instant) -> Result<Response, ModelError> {
        let newer = self.newer_limit.load(Ordering::Relaxed);
        let field = if newer { LimitField::MaxCompletionTokens } else { LimitField::MaxTokens };
        match self.server.post(PATH, &ChatBody::new(alias, request, field), deadline).await {
            Err(Failure { param, .. }) if !newer && param == "max_tokens" => {
                self.newer_limit.store(true, Ordering::Relaxed);
                let body = ChatBody::new(alias, request, LimitField::MaxCompletionTokens);
                self.server.post(PATH, &body, deadline).await
            }
            other => other,
        }
        .map_err(|failure| failure.error)
    }
}

#[async_trait]
impl ChatModel for OpenAiChat {
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError> {
        if request.classification > self.highest {
            return Err(ModelError::NotConfigured { wanted: format!("{} content", request.classification) });
        }
        let model = self.model(request.tier);
        // Names of the OpenTelemetry GenAI conventions; never what was asked or answered.
        let span = tracing::info_span!(
            "chat",
            otel.name = format!("chat {model}"),
            otel.kind = "client",
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = self.server.name(),
            gen_ai.request.model = model,
            gen_ai.response.model = field::Empty,
            gen_ai.usage.input_tokens = field::Empty,
            gen_ai.usage.output_tokens = field::Empty,
            error.type = field::Empty,
        );
        let begun = self.begin(request, span.clone()).instrument(span.clone()).await;
        if let Err(error) = &begun {
            span.record("error.type", error.word());
        }
        begun
    }

    fn is_generative(&self) -> bool {
        true
    }

    fn highest_classification(&self, _: ModelTier, _: &ModelCaller) -> Classification {
        self.highest
    }
}

/// An answer on its way. Dropping it closes the connection, frees its place and ends its span.
struct Answering {
    events: Events,
    reader: AnswerReader,
    server: Arc<Server>,
    /// When the whole answer must be there.
    last: Instant,
    failed: bool,
    span: Span,
    _place: OwnedSemaphorePermit,
}

impl Answering {
    async fn next(&mut self) -> Option<Result<ChatDelta, ModelError>> {
        loop {
            if let Some(delta) = self.reader.next_ready() {
                if let ChatDelta::Finished { usage, .. } = &delta {
                    self.span.record("gen_ai.usage.input_tokens", usage.input_tokens);
                    self.span.record("gen_ai.usage.output_tokens", usage.output_tokens);
                }
                return Some(Ok(delta));
            }
            if self.failed || self.reader.has_ended() {
                return None;
            }
            let now = Instant::now();
            if let Err(error) = self.read_one(now + self.server.timeouts.between_tokens, now).await {
                self.failed = true;
                self.span.record("error.type", error.word());
                return Some(Err(error));
            }
        }
    }

    /// Reads one event, or the end; `since` is when the wait began.
    async fn read_one(&mut self, deadline: Instant, since: Instant) -> Result<(), ModelError> {
        match timeout_at(deadline.min(self.last), self.events.next()).await {
            Err(_) => Err(self.server.timed_out(since)),
            Ok(None) => self.reader.end(),
            Ok(Some(Ok(data))) => self.reader.event(&data),
            // An answer that was finished is whole, however the connection ends.
            Ok(Some(Err(error))) => self.reader.end().map_err(|_| error),
        }
    }
}
