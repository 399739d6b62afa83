//! Chat completions through OpenAI-compatible servers.

use super::http::{Endpoint, Failure, ProxyHeaders, RequestContext, Server};
use super::request::{ChatBody, LimitField, recorded_prompt};
use super::sse::{self, Events};
use super::stream::AnswerReader;
use crate::config::ModelSettings;
use crate::error::SetupError;
use crate::metrics::{CallLabels, ModelMetrics};
use crate::router::{Attempt, Route, Routed, Router, RoutingRequest, Tier};
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

/// A chat model that is served by OpenAI-compatible servers.
pub struct OpenAiChat {
    router: Arc<Router>,
    fast: Vec<Route>,
    heavy: Vec<Route>,
    record_content: bool,
}

impl OpenAiChat {
    /// Creates a chat model with the routes of the `fast` and `heavy` tiers.
    ///
    /// # Errors
    /// If a tier refers to an unknown backend.
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

    /// Sends the request to one backend within a new span, and reads until the model starts to answer.
    async fn begin(&self, attempt: Attempt, request: &ChatRequest) -> Result<AnswerStream, ModelError> {
        let span = self.span(&attempt, request);
        let begun = self.start(attempt, request, &span).instrument(span.clone()).await;
        begun.inspect_err(|error| {
            span.record("error.type", error.error_type());
        })
    }

    /// Creates a span with the attributes of the OpenTelemetry GenAI conventions. Includes the messages only if
    /// `record_content` is set.
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
            span.record("gen_ai.input.messages", recorded_prompt(request));
        }
        span
    }
}

#[async_trait]
impl ChatModel for OpenAiChat {
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError> {
        let context = RequestContext { caller: request.caller, classification: request.prompt.class() };
        let tier = Tier { name: request.tier.as_str(), routes: self.routes(request.tier) };
        let routing = RoutingRequest { context, deadline: None };
        let Routed { value: answer, mut served_by } =
            self.router.serve(tier, routing, |attempt| self.begin(attempt, &request)).await?;
        let served = answer.proxy.model.as_ref().unwrap_or(&answer.reader.model);
        if !served.is_empty() {
            served_by.model.clone_from(served);
        }
        served_by.fallback |= answer.proxy.fallback;
        let deltas = stream::unfold(answer, |mut answer| async {
            let next = answer.next().await?;
            Some((next, answer))
        });
        Ok(ChatStream { served_by, deltas: deltas.boxed() })
    }

    fn is_generative(&self) -> bool {
        true
    }

    fn highest_classification(&self, tier: ModelTier, caller: &ModelCaller) -> Classification {
        // Without routes, nothing is sent to any model: the request fails with `NotConfigured`.
        self.router.highest_classification(self.routes(tier), caller).unwrap_or(Classification::Restricted)
    }

    fn highest_price(&self, tier: ModelTier, caller: &ModelCaller) -> Option<Price> {
        self.router.highest_price(self.routes(tier), caller)
    }

    fn has(&self, tier: ModelTier) -> bool {
        !self.routes(tier).is_empty()
    }
}

/// An answer being streamed. Dropping it closes the connection, releases the concurrency permit and ends the span.
struct AnswerStream {
    events: Events,
    reader: AnswerReader,
    attempt: Attempt,
    price: Price,
    proxy: ProxyHeaders,
    prompt_bytes: usize,
    started: Instant,
    /// When the first chunk arrived.
    first_chunk_at: Instant,
    chunks: u32,
    /// Deadline of the whole answer.
    deadline: Instant,
    ended: bool,
    metrics: ModelMetrics,
    record_content: bool,
    answer: String,
    span: Span,
}

impl OpenAiChat {
    async fn start(
        &self,
        mut attempt: Attempt,
        request: &ChatRequest,
        span: &Span,
    ) -> Result<AnswerStream, ModelError> {
        let (started, metrics) = (Instant::now(), &self.router.metrics);
        let opened = open(&attempt, request, started).await;
        let OpenedAnswer { events, reader, proxy } = opened.inspect_err(|error| {
            attempt.failed(error);
            metrics.ended(labels(&attempt), started.elapsed(), Some(error));
        })?;
        attempt.started();
        let first_chunk_at = Instant::now();
        metrics.first_chunk(labels(&attempt), first_chunk_at - started);
        span.record("gen_ai.response.model", proxy.model.as_ref().unwrap_or(&reader.model).as_str());
        span.record("gen_ai.response.time_to_first_chunk", (first_chunk_at - started).as_secs_f64());
        Ok(AnswerStream {
            events,
            reader,
            price: attempt.price(),
            proxy,
            prompt_bytes: prompt_bytes(request),
            started,
            first_chunk_at,
            chunks: 0,
            deadline: started + attempt.backend.server.timeouts.total,
            ended: false,
            metrics: metrics.clone(),
            record_content: self.record_content,
            answer: String::new(),
            span: span.clone(),
            attempt,
        })
    }
}

impl AnswerStream {
    async fn next(&mut self) -> Option<Result<ChatDelta, ModelError>> {
        loop {
            if let Some(delta) = self.reader.next_ready() {
                return Some(Ok(self.deliver(delta)));
            }
            if self.ended || self.reader.has_ended() {
                return None;
            }
            let server = &self.attempt.backend.server;
            let now = Instant::now();
            let wait = EventWait { since: now, deadline: (now + server.timeouts.between_tokens).min(self.deadline) };
            if let Err(error) = read_event(&mut self.events, &mut self.reader, server, wait).await {
                self.attempt.interrupted();
                self.end(Some(&error));
                return Some(Err(error));
            }
            self.chunks += 1;
        }
    }

    /// Records a delta in metrics and span before the caller gets it; completes the usage and cost of the last one.
    fn deliver(&mut self, delta: ChatDelta) -> ChatDelta {
        match delta {
            ChatDelta::Finished { reason, usage, estimated, cost } => {
                let usage = if estimated { self.estimated(usage) } else { usage };
                self.span.record("gen_ai.usage.input_tokens", usage.input_tokens);
                self.span.record("gen_ai.usage.output_tokens", usage.output_tokens);
                self.span.record("gen_ai.response.finish_reasons", reason.as_str());
                self.metrics.tokens(labels(&self.attempt), usage);
                self.attempt.succeeded();
                self.end(None);
                ChatDelta::Finished { reason, usage, estimated, cost: call_cost(self.price, usage, cost) }
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

    /// Adds an estimate of the prompt tokens if the server does not report them: one token per three bytes, as for
    /// budgets.
    fn estimated(&self, usage: TokenUsage) -> TokenUsage {
        let input_tokens = u32::try_from(self.prompt_bytes.div_ceil(3)).unwrap_or(u32::MAX);
        TokenUsage { input_tokens, ..usage }
    }

    fn end(&mut self, error: Option<&ModelError>) {
        if self.ended {
            return;
        }
        self.ended = true;
        let call = labels(&self.attempt);
        self.metrics.ended(call, self.started.elapsed(), error);
        self.metrics.further_chunks(call, self.first_chunk_at.elapsed(), self.chunks);
        if let Some(error) = error {
            self.span.record("error.type", error.error_type());
        }
        if self.record_content {
            self.span.record("gen_ai.output.messages", self.answer.as_str());
        }
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        // Has an effect only if the caller dropped the stream before its end.
        self.end(None);
    }
}

/// Cost of a call: computed from the configured price, or as reported by the server if no price is configured.
pub(super) fn call_cost(price: Price, usage: TokenUsage, reported: MicroCost) -> MicroCost {
    if price == Price::default() { reported } else { price.of(usage) }
}

fn labels(attempt: &Attempt) -> CallLabels<'_> {
    attempt.labels(ModelOperation::Chat)
}

fn prompt_bytes(request: &ChatRequest) -> usize {
    let message_bytes = |message: &PromptMessage| match message {
        PromptMessage::System(text) | PromptMessage::User(text) => text.len(),
        PromptMessage::Assistant { content, tool_calls } => {
            content.len() + tool_calls.iter().map(|call| call.name.len() + call.arguments.len()).sum::<usize>()
        }
        PromptMessage::Tool { content, .. } => content.len(),
    };
    let tools = request.tools.iter();
    let tools = tools.map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len());
    request.prompt.content().iter().map(message_bytes).sum::<usize>() + tools.sum::<usize>()
}

/// A response that contains the start of the model's answer.
struct OpenedAnswer {
    events: Events,
    reader: AnswerReader,
    proxy: ProxyHeaders,
}

/// Sends the request and reads until the model starts to answer.
async fn open(attempt: &Attempt, request: &ChatRequest, started: Instant) -> Result<OpenedAnswer, ModelError> {
    let server = &attempt.backend.server;
    let deadline = started + server.timeouts.first_token;
    let response = post(server, &attempt.model, request, deadline).await?;
    let proxy = ProxyHeaders::of(&response);
    let opened = timeout_at(deadline, sse::events(server, response)).await;
    let mut events = opened.map_err(|_| server.timed_out(started))??;
    let mut reader = AnswerReader::new(server.name());
    while !reader.has_begun() && !reader.has_ended() {
        read_event(&mut events, &mut reader, server, EventWait { since: started, deadline }).await?;
    }
    Ok(OpenedAnswer { events, reader, proxy })
}

async fn post(server: &Server, model: &str, request: &ChatRequest, deadline: Instant) -> Result<Response, ModelError> {
    let context = RequestContext { caller: request.caller, classification: request.prompt.class() };
    let newer = server.wants_max_completion_tokens.load(Ordering::Relaxed);
    let field = if newer { LimitField::MaxCompletionTokens } else { LimitField::MaxTokens };
    let body = ChatBody::new(server, model, request, field);
    match server.post(Endpoint::Chat, model, &body, context, deadline).await {
        Err(Failure { param, .. }) if !newer && param == "max_tokens" => {
            server.wants_max_completion_tokens.store(true, Ordering::Relaxed);
            let body = ChatBody::new(server, model, request, LimitField::MaxCompletionTokens);
            server.post(Endpoint::Chat, model, &body, context, deadline).await
        }
        other => other,
    }
    .map_err(|failure| failure.error)
}

/// Deadline for the next event, and the start of the wait for the timeout error.
struct EventWait {
    since: Instant,
    deadline: Instant,
}

/// Reads and processes one event or the end of the stream.
async fn read_event(
    events: &mut Events,
    reader: &mut AnswerReader,
    server: &Server,
    wait: EventWait,
) -> Result<(), ModelError> {
    match timeout_at(wait.deadline, events.next()).await {
        // If the finish reason has arrived, the answer is complete even if the connection stays open.
        Err(_) => reader.end().map_err(|_| server.timed_out(wait.since)),
        Ok(None) => reader.end(),
        Ok(Some(Ok(data))) => reader.event(&data),
        // If the finish reason has arrived, the answer is complete even if the connection fails afterwards.
        Ok(Some(Err(error))) => reader.end().map_err(|_| error),
    }
}
