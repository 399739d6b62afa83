//! Reranking through OpenAI-compatible servers: `POST /v1/rerank` as in vLLM, LiteLLM, Jina, Cohere and llama.cpp.

use super::http::{Endpoint, OpenAiClient, ProxyHeaders, RequestContext, read_limited};
use super::request::RerankBody;
use super::response::{RerankResponse, ScoredPassage, ServerError};
use super::unary::{ParsedResponse, UnaryCall};
use crate::config::{ModelSettings, RerankSettings};
use crate::error::SetupError;
use crate::estimate;
use crate::router::{Attempt, Route, Router};
use async_trait::async_trait;
use domain::model::{CallUsage, ModelError, RerankRequest, RerankScores};
use domain::model_call::ModelOperation;
use domain::ports::Reranker;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::{Instant, timeout_at};

/// Maximum size of a response in bytes; many servers include the passages.
const MAX_RESPONSE_BYTES: usize = 4 << 20;
/// The query may use a quarter of the model's input limit.
const QUERY_LIMIT_DIVISOR: usize = 4;
/// Special tokens that a model adds to a query with its passage.
const SPECIAL_TOKENS: usize = 4;

/// A reranking model that is served by OpenAI-compatible servers. A call never takes longer than
/// [`RerankSettings::timeout`], including the time in the queue.
pub struct OpenAiReranker {
    router: Arc<Router>,
    routes: Vec<Route>,
    settings: RerankSettings,
}

impl OpenAiReranker {
    /// Creates a reranker with the routes of the `rerank` tier; `None` if the tier has none.
    ///
    /// # Errors
    /// If the tier refers to an unknown backend.
    pub fn new(router: &Arc<Router>, settings: &ModelSettings) -> Result<Option<Self>, SetupError> {
        let routes = router.routes(&settings.tiers.rerank)?;
        let reranker = Self { router: Arc::clone(router), routes, settings: settings.rerank.clone() };
        Ok(Some(reranker).filter(|reranker| !reranker.routes.is_empty()))
    }

    async fn request_scores(&self, request: &RerankRequest) -> Result<(Vec<f32>, CallUsage), ModelError> {
        let started = Instant::now();
        let token_counts =
            request.passages.iter().map(|passage| estimate::tokens(passage) + estimate::tokens(&request.query));
        let call = UnaryCall {
            operation: ModelOperation::Rerank,
            tier: "rerank",
            context: RequestContext::new(&request.caller, request.classification),
            deadline: started + self.settings.timeout,
            estimated_input_tokens: u32::try_from(token_counts.sum::<usize>()).unwrap_or(u32::MAX),
        };
        let call_future = call.serve(&self.router, &self.routes, |attempt| async move {
            let response = self.send_request(&attempt, request, call).await;
            (attempt, response)
        });
        // This timeout also covers the time in the queue, which `serve` does not limit by itself.
        let timed_out = |_| ModelError::Timeout { backend: self.name(), waited_s: started.elapsed().as_secs() };
        timeout_at(call.deadline, call_future).await.map_err(timed_out)?
    }

    async fn send_request(
        &self,
        attempt: &Attempt,
        request: &RerankRequest,
        UnaryCall { context, deadline, .. }: UnaryCall,
    ) -> Result<ParsedResponse<Vec<f32>>, ModelError> {
        let (client, model) = (&attempt.backend.client, attempt.model.as_str());
        let query = estimate::truncate(&request.query, self.settings.max_tokens / QUERY_LIMIT_DIVISOR);
        let max_passage_tokens = self.settings.max_tokens.saturating_sub(estimate::tokens(query) + SPECIAL_TOKENS);
        let body = RerankBody {
            model,
            query,
            documents: request.passages.iter().map(|passage| estimate::truncate(passage, max_passage_tokens)).collect(),
            top_n: request.passages.len(),
            disable_fallbacks: client.forbids_fallbacks(context),
        };
        let uses_bare_path = client.has_only_unversioned_rerank.load(Ordering::Relaxed);
        let endpoint = if uses_bare_path { Endpoint::UnversionedRerank } else { Endpoint::Rerank };
        let response = match client.post(endpoint, model, &body, context, deadline).await {
            Err(first_failure) if first_failure.status == Some(404) && !uses_bare_path => {
                // If both paths return 404, the model is unknown, which the error of the first path describes.
                let response = client.post(Endpoint::UnversionedRerank, model, &body, context, deadline).await;
                let response = response.map_err(|_| first_failure.error)?;
                client.has_only_unversioned_rerank.store(true, Ordering::Relaxed);
                response
            }
            other => other.map_err(|failure| failure.error)?,
        };
        let proxy = ProxyHeaders::from_response(&response);
        let body = read_limited(client, response, MAX_RESPONSE_BYTES).await?;
        Ok(ParsedResponse { proxy_headers: proxy, ..parse(client, &body, request.passages.len())? })
    }
}

/// Parses a response for `passage_count` passages and returns their scores in the order of the passages, 0 to 1.
///
/// A server may omit up to half of the passages, which then get 0. If a passage has two scores, the first one counts;
/// scores without a valid index or value are ignored.
fn parse(client: &OpenAiClient, body: &[u8], passage_count: usize) -> Result<ParsedResponse<Vec<f32>>, ModelError> {
    let parsed_body: RerankResponse =
        serde_json::from_slice(body).map_err(|_| client.invalid_response("the body is not a ranking"))?;
    if let Some(error) = parsed_body.error() {
        return Err(ServerError::from_value(error).into_model_error(client.name()));
    }
    let mut scores: Vec<Option<f32>> = vec![None; passage_count];
    for (index, score) in parsed_body.results().iter().filter_map(ScoredPassage::index_and_score) {
        if let Some(slot @ None) = scores.get_mut(index) {
            *slot = Some(score);
        }
    }
    if scores.iter().flatten().count() * 2 < passage_count {
        return Err(client.invalid_response("most passages have no score"));
    }
    let (value, model) = (probabilities(&scores), parsed_body.model().to_owned());
    Ok(ParsedResponse { value, model, usage: parsed_body.usage(), proxy_headers: ProxyHeaders::default() })
}

/// Maps the scores to 0..=1 without changing their order. Models return either probabilities or logits without
/// indicating which: if any score is outside 0..=1, all are treated as logits.
fn probabilities(scores: &[Option<f32>]) -> Vec<f32> {
    let are_logits = scores.iter().flatten().any(|score| !(0.0..=1.0).contains(score));
    let probability = |score: f32| if are_logits { 1.0 / (1.0 + (-score).exp()) } else { score };
    scores.iter().map(|score| score.map_or(0.0, probability)).collect()
}

#[async_trait]
impl Reranker for OpenAiReranker {
    fn name(&self) -> String {
        self.routes.first().map(|route| route.model.clone()).unwrap_or_default()
    }

    async fn rerank(&self, request: RerankRequest) -> Result<RerankScores, ModelError> {
        if request.passages.is_empty() {
            return Ok(RerankScores { scores: Vec::new(), usage: CallUsage::default() });
        }
        let (scores, usage) = self.request_scores(&request).await?;
        Ok(RerankScores { scores, usage })
    }
}
