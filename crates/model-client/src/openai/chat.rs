//! Chat completions through OpenAI-compatible servers.

use super::http::{Endpoint, Failure, OpenAiClient, ProxyHeaders, RequestContext};
use super::request::{ChatBody, TokenLimitField, recorded_prompt};
use super::sse::{self, Events};
use super::stream::AnswerAssembler;
use super::tokenizer::{HighestCount, tokenizer};
use super::trace::record_error;
use crate::config::{ModelSettings, RouteSettings};
use crate::error::SetupError;
use crate::metrics::{CallLabels, ModelMetrics};
use crate::router::{Attempt, Route, RoutedResponse, Router, RoutingRequest, Tier};
use async_trait::async_trait;
use domain::backend_health::BackendHealth;
use domain::model::{ChatDelta, ChatRequest, ChatStream, ModelError, ModelTier, PromptMessage};
use domain::model_call::{MicroCost, ModelCaller, ModelOperation, Price};
use domain::ports::{ChatModel, Tokenizer};
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
    fast: ServedTier,
    heavy: ServedTier,
    record_content: bool,
}

/// The routes of a tier, and how their models count tokens.
struct ServedTier {
    routes: Vec<Route>,
    /// `None` if the tokenizer of one of the routes is not known.
    tokenizer: Option<Arc<dyn Tokenizer>>,
}

impl ServedTier {
    fn new(router: &Router, settings: &[RouteSettings]) -> Result<Self, SetupError> {
        let tokenizers = settings.iter().map(|route| tokenizer(&route.model, route.tokenizer.as_ref()));
        let tokenizers: Option<Vec<_>> = tokenizers.collect::<Result<_, _>>()?;
        let tokenizer = tokenizers.filter(|all| !all.is_empty()).map(|all| Arc::new(HighestCount(all)) as _);
        Ok(Self { routes: router.routes(settings)?, tokenizer })
    }
}

impl OpenAiChat {
    /// Creates a chat model with the routes of the `fast` and `heavy` tiers.
    ///
    /// # Errors
    /// If a tier refers to an unknown backend, or a tokenizer cannot be loaded.
    pub fn new(router: &Arc<Router>, settings: &ModelSettings) -> Result<Self, SetupError> {
        Ok(Self {
            fast: ServedTier::new(router, &settings.tiers.fast)?,
            heavy: ServedTier::new(router, &settings.tiers.heavy)?,
            router: Arc::clone(router),
            record_content: settings.record_content,
        })
    }

    fn tier(&self, tier: ModelTier) -> &ServedTier {
        match tier {
            ModelTier::Fast => &self.fast,
            ModelTier::Heavy => &self.heavy,
        }
    }

    fn routes(&self, tier: ModelTier) -> &[Route] {
        &self.tier(tier).routes
    }

    /// Sends the request to one backend within a new span, and reads until the model starts to answer.
    async fn start_in_span(&self, attempt: Attempt, request: &ChatRequest) -> Result<AnswerStream, ModelError> {
        let span = self.span(&attempt, request);
        let result = self.start_answer(attempt, request, &span).instrument(span.clone()).await;
        result.inspect_err(|error| record_error(&span, error))
    }

    /// Creates a span with the attributes of the OpenTelemetry GenAI conventions. Includes the messages only if
    /// `record_content` is set.
    fn span(&self, attempt: &Attempt, request: &ChatRequest) -> Span {
        let (client, model) = (&attempt.backend.client, attempt.model.as_str());
        let span = tracing::info_span!(
            "chat",
            otel.name = format!("chat {model}"),
            otel.kind = "client",
            otel.status_code = field::Empty,
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = client.dialect().provider(),
            gen_ai.request.model = model,
            gen_ai.response.model = field::Empty,
            gen_ai.response.finish_reasons = field::Empty,
            gen_ai.response.time_to_first_chunk = field::Empty,
            gen_ai.usage.input_tokens = field::Empty,
            gen_ai.usage.output_tokens = field::Empty,
            gen_ai.input.messages = field::Empty,
            gen_ai.output.messages = field::Empty,
            server.address = client.server_address(),
            server.port = client.server_port(),
            backend = client.name(),
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
        let context = RequestContext::new(&request.caller, request.prompt.classification());
        let tier = Tier { name: request.tier.as_str(), routes: self.routes(request.tier) };
        let routing = RoutingRequest { context, deadline: None };
        let RoutedResponse { value: answer, mut served_by } =
            self.router.serve(tier, routing, |attempt| self.start_in_span(attempt, &request)).await?;
        let reported_model = answer.proxy_headers.model.as_ref().unwrap_or(&answer.reader.model);
        if !reported_model.is_empty() {
            served_by.model.clone_from(reported_model);
        }
        served_by.fallback |= answer.proxy_headers.fallback;
        let deltas = stream::unfold(answer, |mut answer| async {
            let next = answer.next().await?;
            Some((next, answer))
        });
        Ok(ChatStream { served_by, deltas: deltas.boxed() })
    }

    fn is_language_model(&self) -> bool {
        true
    }

    fn max_input_classification(&self, tier: ModelTier, caller: &ModelCaller) -> Classification {
        // Without routes, nothing is sent to any model: the request fails with `NotConfigured`.
        self.router.max_input_classification(self.routes(tier), caller).unwrap_or(Classification::Restricted)
    }

    fn highest_price(&self, tier: ModelTier, caller: &ModelCaller) -> Option<Price> {
        self.router.highest_price(self.routes(tier), caller)
    }

    fn is_configured(&self, tier: ModelTier) -> bool {
        !self.routes(tier).is_empty()
    }

    fn backends(&self) -> Vec<BackendHealth> {
        self.router.health()
    }

    fn tokenizer(&self, tier: ModelTier, _: &ModelCaller) -> Option<Arc<dyn Tokenizer>> {
        self.tier(tier).tokenizer.clone()
    }
}

/// An answer being streamed. Dropping it closes the connection, releases the concurrency permit and ends the span.
struct AnswerStream {
    events: Events,
    reader: AnswerAssembler,
    attempt: Attempt,
    price: Price,
    proxy_headers: ProxyHeaders,
    prompt_bytes: usize,
    started: Instant,
    /// When the first chunk arrived.
    first_chunk_at: Instant,
    chunk_count: u32,
    /// Deadline of the whole answer.
    deadline: Instant,
    is_ended: bool,
    metrics: ModelMetrics,
    record_content: bool,
    recorded_answer: String,
    span: Span,
}

impl OpenAiChat {
    async fn start_answer(
        &self,
        mut attempt: Attempt,
        request: &ChatRequest,
        span: &Span,
    ) -> Result<AnswerStream, ModelError> {
        let (started, metrics) = (Instant::now(), &self.router.metrics);
        let result = open_answer(&attempt, request, started).await;
        let StartedAnswer { events, reader, proxy_headers: proxy } = result.inspect_err(|error| {
            attempt.record_failure(error);
            metrics.record_duration(labels(&attempt), started.elapsed(), Some(error));
        })?;
        attempt.record_start();
        let first_chunk_at = Instant::now();
        metrics.record_time_to_first_chunk(labels(&attempt), first_chunk_at - started);
        span.record("gen_ai.response.model", proxy.model.as_ref().unwrap_or(&reader.model).as_str());
        span.record("gen_ai.response.time_to_first_chunk", (first_chunk_at - started).as_secs_f64());
        Ok(AnswerStream {
            events,
            reader,
            price: attempt.price(),
            proxy_headers: proxy,
            prompt_bytes: prompt_bytes(request),
            started,
            first_chunk_at,
            chunk_count: 0,
            deadline: started + attempt.backend.client.timeouts.total,
            is_ended: false,
            metrics: metrics.clone(),
            record_content: self.record_content,
            recorded_answer: String::new(),
            span: span.clone(),
            attempt,
        })
    }
}

impl AnswerStream {
    async fn next(&mut self) -> Option<Result<ChatDelta, ModelError>> {
        loop {
            if let Some(delta) = self.reader.pop_delta() {
                return Some(Ok(self.record_delta(delta)));
            }
            if self.is_ended || self.reader.has_ended() {
                return None;
            }
            let client = &self.attempt.backend.client;
            let now = Instant::now();
            let event_wait =
                EventWait { wait_started: now, deadline: (now + client.timeouts.between_tokens).min(self.deadline) };
            if let Err(error) = read_event(&mut self.events, &mut self.reader, client, event_wait).await {
                self.attempt.record_interruption();
                self.record_end(Some(&error));
                return Some(Err(error));
            }
            self.chunk_count += 1;
        }
    }

    /// Records a delta in metrics and span before the caller gets it; completes usage and cost in the final delta.
    fn record_delta(&mut self, delta: ChatDelta) -> ChatDelta {
        match delta {
            ChatDelta::Finished { reason, usage, tokens_estimated: estimated, cost } => {
                let usage = if estimated { self.with_estimated_input(usage) } else { usage };
                self.span.record("gen_ai.usage.input_tokens", usage.input_tokens);
                self.span.record("gen_ai.usage.output_tokens", usage.output_tokens);
                self.span.record("gen_ai.response.finish_reasons", reason.as_str());
                self.metrics.record_tokens(labels(&self.attempt), usage);
                self.attempt.record_success();
                self.record_end(None);
                ChatDelta::Finished {
                    reason,
                    usage,
                    tokens_estimated: estimated,
                    cost: call_cost(self.price, usage, cost),
                }
            }
            ChatDelta::Text(text) => {
                if self.record_content {
                    self.recorded_answer.push_str(&text);
                }
                ChatDelta::Text(text)
            }
            other => other,
        }
    }

    /// Adds an estimate of the prompt tokens if the server does not report them: one token per three bytes, the same
    /// estimate as for budgets.
    fn with_estimated_input(&self, usage: TokenUsage) -> TokenUsage {
        let input_tokens = u32::try_from(self.prompt_bytes.div_ceil(3)).unwrap_or(u32::MAX);
        TokenUsage { input_tokens, ..usage }
    }

    fn record_end(&mut self, error: Option<&ModelError>) {
        if self.is_ended {
            return;
        }
        self.is_ended = true;
        let call = labels(&self.attempt);
        self.metrics.record_duration(call, self.started.elapsed(), error);
        self.metrics.record_time_per_chunk(call, self.first_chunk_at.elapsed(), self.chunk_count);
        if let Some(error) = error {
            record_error(&self.span, error);
        }
        if self.record_content {
            self.span.record("gen_ai.output.messages", self.recorded_answer.as_str());
        }
        // An exported span ends when it was last left, which would otherwise be at the first chunk.
        self.span.in_scope(|| ());
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        // Has an effect only if the caller dropped the stream before its end.
        self.record_end(None);
    }
}

/// Cost of a call: computed from the configured price, or as reported by the server if no price is configured.
pub(super) fn call_cost(price: Price, usage: TokenUsage, reported: MicroCost) -> MicroCost {
    if price == Price::default() { reported } else { price.cost(usage) }
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
struct StartedAnswer {
    events: Events,
    reader: AnswerAssembler,
    proxy_headers: ProxyHeaders,
}

/// Sends the request and reads until the model starts to answer.
async fn open_answer(attempt: &Attempt, request: &ChatRequest, started: Instant) -> Result<StartedAnswer, ModelError> {
    let client = &attempt.backend.client;
    let deadline = started + client.timeouts.first_token;
    let response = post(client, &attempt.model, request, deadline).await?;
    let proxy = ProxyHeaders::from_response(&response);
    let result = timeout_at(deadline, sse::events(client, response)).await;
    let mut events = result.map_err(|_| client.timed_out(started))??;
    let mut reader = AnswerAssembler::new(client.name());
    while !reader.has_begun() && !reader.has_ended() {
        read_event(&mut events, &mut reader, client, EventWait { wait_started: started, deadline }).await?;
    }
    Ok(StartedAnswer { events, reader, proxy_headers: proxy })
}

async fn post(
    client: &OpenAiClient,
    model: &str,
    request: &ChatRequest,
    deadline: Instant,
) -> Result<Response, ModelError> {
    let context = RequestContext::new(&request.caller, request.prompt.classification());
    let uses_newer_field = client.wants_max_completion_tokens.load(Ordering::Relaxed);
    let field = if uses_newer_field { TokenLimitField::MaxCompletionTokens } else { TokenLimitField::MaxTokens };
    let body = ChatBody::new(client, model, request, field);
    match client.post(Endpoint::Chat, model, &body, context, deadline).await {
        Err(Failure { param, .. }) if !uses_newer_field && param == "max_tokens" => {
            client.wants_max_completion_tokens.store(true, Ordering::Relaxed);
            let body = ChatBody::new(client, model, request, TokenLimitField::MaxCompletionTokens);
            client.post(Endpoint::Chat, model, &body, context, deadline).await
        }
        other => other,
    }
    .map_err(|failure| failure.error)
}

/// Deadline for the next event, and the start of the wait for the timeout error.
struct EventWait {
    wait_started: Instant,
    deadline: Instant,
}

/// Reads and processes one event or the end of the stream.
async fn read_event(
    events: &mut Events,
    reader: &mut AnswerAssembler,
    client: &OpenAiClient,
    event_wait: EventWait,
) -> Result<(), ModelError> {
    match timeout_at(event_wait.deadline, events.next()).await {
        // If the finish reason has arrived, the answer is complete even if the connection stays open.
        Err(_) => reader.finish().map_err(|_| client.timed_out(event_wait.wait_started)),
        Ok(None) => reader.finish(),
        Ok(Some(Ok(data))) => reader.push_event(&data),
        // If the finish reason has arrived, the answer is complete even if the connection fails afterwards.
        Ok(Some(Err(error))) => reader.finish().map_err(|_| error),
    }
}
