//! Model calls whose response is not streamed: embeddings and reranking.

use super::chat::call_cost;
use super::http::{ProxyHeaders, RequestContext};
use super::response::WireUsage;
use super::trace::record_error;
use crate::router::{Attempt, Route, RoutedResponse, Router, RoutingRequest, Tier};
use domain::model::{CallUsage, ModelError};
use domain::model_call::ModelOperation;
use domain::run::TokenUsage;
use tokio::time::Instant;
use tracing::{Instrument, Span, field};

/// A parsed response body, with what the server reports about the call.
pub(super) struct ParsedResponse<T> {
    pub(super) value: T,
    /// The model name in the body; empty if not reported.
    pub(super) model: String,
    pub(super) usage: Option<WireUsage>,
    /// What LiteLLM reports in response headers.
    pub(super) proxy_headers: ProxyHeaders,
}

/// A call's operation, routing information and deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnaryCall {
    pub(super) operation: ModelOperation,
    pub(super) tier: &'static str,
    pub(super) context: RequestContext,
    pub(super) deadline: Instant,
    /// Estimated input tokens, used if the server reports no usage.
    pub(super) estimated_input_tokens: u32,
}

impl UnaryCall {
    /// Sends the request to one of `routes` with `send_attempt`; returns the value and its usage.
    pub(super) async fn serve<T, F>(
        self,
        router: &Router,
        routes: &[Route],
        send_attempt: impl Fn(Attempt) -> F,
    ) -> Result<(T, CallUsage), ModelError>
    where
        F: Future<Output = (Attempt, Result<ParsedResponse<T>, ModelError>)>,
    {
        let call = |attempt: Attempt| {
            let span = self.span(&attempt);
            let (started, response) = (Instant::now(), send_attempt(attempt));
            async move {
                let (mut attempt, response) = response.instrument(span.clone()).await;
                let labels = attempt.labels(self.operation);
                router.metrics.record_duration(labels, started.elapsed(), response.as_ref().err());
                match &response {
                    Ok(parsed) => {
                        let (usage, _) = self.usage(parsed.usage);
                        router.metrics.record_tokens(labels, usage);
                        span.record("gen_ai.response.model", parsed.model.as_str());
                        span.record("gen_ai.usage.input_tokens", usage.input_tokens);
                        attempt.record_success();
                    }
                    Err(error) => {
                        record_error(&span, error);
                        attempt.record_failure(error);
                    }
                }
                response
            }
        };
        let routing = RoutingRequest { context: self.context, deadline: Some(self.deadline) };
        let RoutedResponse { value: parsed, mut served_by } =
            router.serve(Tier { name: self.tier, routes }, routing, call).await?;
        let served_model = parsed.proxy_headers.model.unwrap_or_else(|| super::stream::sanitized_name(&parsed.model));
        if !served_model.is_empty() {
            served_by.model = served_model;
        }
        served_by.fallback |= parsed.proxy_headers.fallback;
        let (usage, estimated) = self.usage(parsed.usage);
        let reported_cost =
            parsed.usage.map_or(parsed.proxy_headers.cost, |usage| usage.cost().max(parsed.proxy_headers.cost));
        let cost = call_cost(served_by.price, usage, reported_cost);
        Ok((parsed.value, CallUsage { served_by, token_usage: usage, tokens_estimated: estimated, cost }))
    }

    /// The token counts, as reported or else estimated, and whether they are estimated.
    fn usage(self, reported: Option<WireUsage>) -> (TokenUsage, bool) {
        match reported {
            Some(reported) => (TokenUsage { output_tokens: 0, ..reported.usage() }, false),
            None => (TokenUsage { input_tokens: self.estimated_input_tokens, output_tokens: 0 }, true),
        }
    }

    fn span(self, attempt: &Attempt) -> Span {
        let (client, model) = (&attempt.backend.client, attempt.model.as_str());
        tracing::info_span!(
            "model call",
            otel.name = format!("{} {model}", self.operation),
            otel.kind = "client",
            otel.status_code = field::Empty,
            gen_ai.operation.name = self.operation.as_str(),
            gen_ai.provider.name = client.dialect().provider(),
            gen_ai.request.model = model,
            gen_ai.response.model = field::Empty,
            gen_ai.usage.input_tokens = field::Empty,
            server.address = client.server_address(),
            server.port = client.server_port(),
            backend = client.name(),
            error.type = field::Empty,
        )
    }
}
