//! The chat models behind the backends.

use super::http::{About, Failure, Path, Server, Told};
use super::request::{ChatBody, LimitField, recorded};
use super::sse::{self, Events};
use super::stream::AnswerReader;
use crate::config::ModelSettings;
use crate::error::SetupError;
use crate::metrics::{Counted, ModelMetrics};
use crate::router::{Ask, Attempt, Route, Router, Served};
use async_trait::async_trait;
use domain::model::{ChatDelta, ChatRequest, ChatStream, ModelError, ModelTier, PromptMessage};
use domain::model_call::{MicroCost, ModelCaller, ModelOperation, Price};
use domain::ports::ChatModel;
use domain::role::Classification;
use domain::run::TokenUsage;
use futures::{StreamExt, stream};
use reqwest::Response;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span, field};

/// Answers through OpenAI-compatible servers.
pub struct OpenAiChat {
    router: Arc<Router>,
    fast: Vec<Route>,
    heavy: Vec<Route>,
    record_content: bool,
}

impl OpenAiChat {
    /// The chat models of the backends of `router`, as `settings` share them among the tiers.
    ///
    /// # Errors
    /// Where a tier names a backend that there is not.
    pub fn new(router: &Arc<Router>, settings: &ModelSettings) -> Result<Self, SetupError> {
        Ok(Self {
            fast: router.routes(&settings.tiers.fast)?,
            heavy: router.routes(&settings.tiers.heavy)?,
            router: Arc::clone(router),
            record_content: settings.record_content,
        })
    }

    fn routes(&self, tier: ModelTier) -> &[Route] {
        match tier {
            ModelTier::Fast => &self.fast,
            ModelTier::Heavy => &self.heavy,
        }
    }

    /// Asks one backend, and reads until its model has begun to answer.
    async fn begin(&self, attempt: Attempt, request: &ChatRequest) -> Result<Answering, ModelError> {
        let span = self.span(&attempt, request);
        let begun = Answering::begin(attempt, request, (&self.router.metrics, &span)).instrument(span.clone()).await;
        begun.inspect_err(|error| {
            span.record("error.type", error.error_type());
        })
    }

    /// Names of the OpenTelemetry GenAI conventions; what was asked and answered only where the settings say so.
    fn span(&self, attempt: &Attempt, request: &ChatRequest) -> Span {
        let (server, model) = (&attempt.backend.server, attempt.model.as_str());
        let span = tracing::info_span!(
            "chat",
            otel.name = format!("chat {model}"),
            otel.kind = "client",
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = server.dialect().provider(),
            gen_ai.request.model = model,
            gen_ai.response.model = field::Empty,
            gen_ai.response.finish_reasons = field::Empty,
            gen_ai.response.time_to_first_chunk = field::Empty,
            gen_ai.usage.input_tokens = field::Empty,
            gen_ai.usage.output_tokens = field::Empty,
            gen_ai.input.messages = field::Empty,
            gen_ai.output.messages = field::Empty,
            backend = server.name(),
            error.type = field::Empty,
        );
        if self.record_content {
            span.record("gen_ai.input.messages", recorded(request));
        }
        span
    }
}

#[async_trait]
impl ChatModel for OpenAiChat {
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError> {
        let about = About { caller: request.caller, classification: request.prompt.class() };
        let tier = (request.tier.as_str(), self.routes(request.tier));
        let ask = Ask { about, deadline: None };
        let Served { value: mut answering, mut by } =
            self.router.serve(tier, ask, |attempt| self.begin(attempt, &request)).await?;
        answering.record_content = self.record_content;
        let served = answering.told.model.as_ref().unwrap_or(&answering.reader.model);
        if !served.is_empty() {
            by.model.clone_from(served);
        }
        by.fallback |= answering.told.fallback;
        let deltas = stream::unfold(answering, |mut answering| async {
            let next = answering.next().await?;
            Some((next, answering))
        });
        Ok(ChatStream { served_by: by, deltas: deltas.boxed() })
    }

    fn is_generative(&self) -> bool {
        true
    }

    fn highest_classification(&self, tier: ModelTier, caller: &ModelCaller) -> Classification {
        // With no backend at all nothing is sent anywhere, and the request says why.
        self.router.highest(self.routes(tier), caller).unwrap_or(Classification::Restricted)
    }

    fn highest_price(&self, tier: ModelTier, caller: &ModelCaller) -> Option<Price> {
        self.router.highest_price(self.routes(tier), caller)
    }

    fn has(&self, tier: ModelTier) -> bool {
        !self.routes(tier).is_empty()
    }
}

/// An answer on its way. Dropping it closes the connection, frees its place and ends its span.
struct Answering {
    events: Events,
    reader: AnswerReader,
    attempt: Attempt,
    price: Price,
    told: Told,
    prompt_bytes: usize,
    started: Instant,
    /// When the first piece was there.
    first: Instant,
    pieces: u32,
    /// When the whole answer must be there.
    last: Instant,
    state: State,
    metrics: ModelMetrics,
    record_content: bool,
    answer: String,
    span: Span,
}

/// How far an answer has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    UnderWay,
    Ended,
}

impl Answering {
    async fn begin(
        mut attempt: Attempt,
        request: &ChatRequest,
        (metrics, span): (&ModelMetrics, &Span),
    ) -> Result<Self, ModelError> {
        let started = Instant::now();
        let begun = open(&attempt, request, started).await;
        let (events, reader, told) = begun.inspect_err(|error| {
            attempt.failed(error);
            metrics.ended(counted(&attempt), started.elapsed(), Some(error));
        })?;
        attempt.begun();
        let first = Instant::now();
        metrics.first_piece(counted(&attempt), first - started);
        span.record("gen_ai.response.model", told.model.as_ref().unwrap_or(&reader.model).as_str());
        span.record("gen_ai.response.time_to_first_chunk", (first - started).as_secs_f64());
        Ok(Self {
            events,
            reader,
            price: attempt.price(),
            told,
            prompt_bytes: bytes(request),
            started,
            first,
            pieces: 0,
            last: started + attempt.backend.server.timeouts.total,
            state: State::UnderWay,
            metrics: metrics.clone(),
            record_content: false,
            answer: String::new(),
            span: span.clone(),
            attempt,
        })
    }

    async fn next(&mut self) -> Option<Result<ChatDelta, ModelError>> {
        loop {
            if let Some(delta) = self.reader.next_ready() {
                return Some(Ok(self.handed_over(delta)));
            }
            if self.state == State::Ended || self.reader.has_ended() {
                return None;
            }
            let server = &self.attempt.backend.server;
            let now = Instant::now();
            let deadline = (now + server.timeouts.between_tokens).min(self.last);
            if let Err(error) = read_one(&mut self.events, &mut self.reader, server, (deadline, now)).await {
                self.attempt.broke_off();
                self.end(Some(&error));
                return Some(Err(error));
            }
            self.pieces += 1;
        }
    }

    /// A piece as the caller gets it.
    fn handed_over(&mut self, delta: ChatDelta) -> ChatDelta {
        match delta {
            ChatDelta::Finished { reason, usage, estimated, cost } => {
                let usage = if estimated { self.estimated(usage) } else { usage };
                self.span.record("gen_ai.usage.input_tokens", usage.input_tokens);
                self.span.record("gen_ai.usage.output_tokens", usage.output_tokens);
                self.span.record("gen_ai.response.finish_reasons", reason.as_str());
                self.metrics.tokens(counted(&self.attempt), usage);
                self.attempt.succeeded();
                self.end(None);
                ChatDelta::Finished { reason, usage, estimated, cost: charged(self.price, usage, cost) }
            }
            ChatDelta::Text(text) => {
                if self.record_content {
                    self.answer.push_str(&text);
                }
                ChatDelta::Text(text)
            }
            other => other,
        }
    }

    /// Prompt tokens where the server counts none: three bytes each, as budgets count.
    fn estimated(&self, usage: TokenUsage) -> TokenUsage {
        let input_tokens = u32::try_from(self.prompt_bytes.div_ceil(3)).unwrap_or(u32::MAX);
        TokenUsage { input_tokens, ..usage }
    }

    fn end(&mut self, error: Option<&ModelError>) {
        if self.state == State::Ended {
            return;
        }
        self.state = State::Ended;
        let call = counted(&self.attempt);
        self.metrics.ended(call, self.started.elapsed(), error);
        self.metrics.further_pieces(call, self.first.elapsed(), self.pieces);
        if let Some(error) = error {
            self.span.record("error.type", error.error_type());
        }
        if self.record_content {
            self.span.record("gen_ai.output.messages", self.answer.as_str());
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // Who asked went away.
        self.end(None);
    }
}

/// What a call costs: by the price that is configured, else what the server says.
pub(super) fn charged(price: Price, usage: TokenUsage, told: MicroCost) -> MicroCost {
    if price == Price::default() { told } else { price.of(usage) }
}

fn counted(attempt: &Attempt) -> Counted<'_> {
    attempt.counted(ModelOperation::Chat)
}

fn bytes(request: &ChatRequest) -> usize {
    let of = |message: &PromptMessage| match message {
        PromptMessage::System(text) | PromptMessage::User(text) => text.len(),
        PromptMessage::Assistant { content, tool_calls } => {
            content.len() + tool_calls.iter().map(|call| call.name.len() + call.arguments.len()).sum::<usize>()
        }
        PromptMessage::Tool { content, .. } => content.len(),
    };
    let tools = request.tools.iter();
    let tools = tools.map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len());
    request.prompt.content().iter().map(of).sum::<usize>() + tools.sum::<usize>()
}

/// Asks, and reads until the model has begun to answer.
async fn open(
    attempt: &Attempt,
    request: &ChatRequest,
    started: Instant,
) -> Result<(Events, AnswerReader, Told), ModelError> {
    let server = &attempt.backend.server;
    let deadline = started + server.timeouts.first_token;
    let response = ask(server, &attempt.model, request, deadline).await?;
    let told = Told::by(&response);
    let opened = timeout_at(deadline, sse::events(server, response)).await;
    let mut events = opened.map_err(|_| server.timed_out(started))??;
    let mut reader = AnswerReader::new(server.name());
    while !reader.has_begun() && !reader.has_ended() {
        read_one(&mut events, &mut reader, server, (deadline, started)).await?;
    }
    Ok((events, reader, told))
}

async fn ask(server: &Server, model: &str, request: &ChatRequest, deadline: Instant) -> Result<Response, ModelError> {
    let about = About { caller: request.caller, classification: request.prompt.class() };
    let newer = server.newer_limit.load(Ordering::Relaxed);
    let field = if newer { LimitField::MaxCompletionTokens } else { LimitField::MaxTokens };
    let body = ChatBody::new(server, model, request, field);
    match server.post((Path::Chat, model), &body, about, deadline).await {
        Err(Failure { param, .. }) if !newer && param == "max_tokens" => {
            server.newer_limit.store(true, Ordering::Relaxed);
            let body = ChatBody::new(server, model, request, LimitField::MaxCompletionTokens);
            server.post((Path::Chat, model), &body, about, deadline).await
        }
        other => other,
    }
    .map_err(|failure| failure.error)
}

/// Reads one event, or the end; `since` is when the wait began.
async fn read_one(
    events: &mut Events,
    reader: &mut AnswerReader,
    server: &Server,
    (deadline, since): (Instant, Instant),
) -> Result<(), ModelError> {
    match timeout_at(deadline, events.next()).await {
        // Neither does it matter whether it ends at all.
        Err(_) => reader.end().map_err(|_| server.timed_out(since)),
        Ok(None) => reader.end(),
        Ok(Some(Ok(data))) => reader.event(&data),
        // An answer that was finished is whole, however the connection ends.
        Ok(Some(Err(error))) => reader.end().map_err(|_| error),
    }
}
