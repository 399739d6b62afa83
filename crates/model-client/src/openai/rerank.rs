//! The reranking model behind a server: `POST /v1/rerank` as vLLM, LiteLLM, Jina, Cohere and llama.cpp have it.

use super::http::{Server, read_limited};
use super::request::RerankBody;
use super::response::{Judged, Rerank, ServerError};
use crate::config::{ModelSettings, RerankSettings};
use crate::error::SetupError;
use crate::estimate;
use async_trait::async_trait;
use domain::model::{ModelError, RerankRequest, Reranked, Spent};
use domain::ports::Reranker;
use domain::role::Classification;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span, field};

const PATH: &str = "/v1/rerank";
/// Where servers have it that count reranking among their own endpoints rather than OpenAI's.
const BARE_PATH: &str = "/rerank";
/// Most bytes of one answer; many servers send the passages back.
const MOST_BYTES: usize = 4 << 20;
/// The query gets at most this part of what the model reads.
const QUERY_SHARE: usize = 4;
/// Tokens that a model adds to query and passage.
const SPECIAL_TOKENS: usize = 4;

/// Reranks through a server. It never waits longer than its time limit.
pub struct OpenAiReranker {
    server: Server,
    settings: RerankSettings,
    highest: Classification,
    /// The server does not know the usual path.
    bare_path: AtomicBool,
}

impl OpenAiReranker {
    /// The reranking model of the server that `settings` name.
    ///
    /// # Errors
    /// Where there is no base URL, or none of use.
    pub fn new(settings: &ModelSettings) -> Result<Self, SetupError> {
        Ok(Self {
            server: Server::new(settings)?,
            settings: settings.rerank.clone(),
            highest: settings.highest_classification,
            bare_path: AtomicBool::new(false),
        })
    }

    async fn scores(&self, request: &RerankRequest) -> Result<Vec<f32>, ModelError> {
        let started = Instant::now();
        let deadline = started + self.server.timeouts.rerank;
        let scores = timeout_at(deadline, async {
            let _place = self.server.place().await?;
            let body = self.ask(request, deadline).await?;
            self.read(&body, request.passages.len())
        });
        scores.await.unwrap_or_else(|_| Err(self.server.timed_out(started)))
    }

    async fn ask(&self, request: &RerankRequest, deadline: Instant) -> Result<Vec<u8>, ModelError> {
        let query = estimate::cut(&request.query, self.settings.max_tokens / QUERY_SHARE);
        let room = self.settings.max_tokens.saturating_sub(estimate::tokens(query) + SPECIAL_TOKENS);
        let body = RerankBody {
            model: &self.settings.alias,
            query,
            documents: request.passages.iter().map(|passage| estimate::cut(passage, room)).collect(),
            top_n: request.passages.len(),
        };
        let bare = self.bare_path.load(Ordering::Relaxed);
        let response = match self.server.post(if bare { BARE_PATH } else { PATH }, &body, deadline).await {
            Err(unknown) if unknown.status == Some(404) && !bare => {
                // Where both are unknown it is rather the model that is, and the usual path says so.
                let response = self.server.post(BARE_PATH, &body, deadline).await.map_err(|_| unknown.error)?;
                self.bare_path.store(true, Ordering::Relaxed);
                response
            }
            other => other.map_err(|failure| failure.error)?,
        };
        read_limited(&self.server, response, MOST_BYTES).await
    }

    /// The scores in an answer, `count` of them, in the order of the passages.
    ///
    /// A server may leave the worst out, which then have 0, but not most of them. Of two scores for one passage the
    /// first counts; a score without a passage, or that is no number, is passed over.
    fn read(&self, body: &[u8], count: usize) -> Result<Vec<f32>, ModelError> {
        let answer: Rerank =
            serde_json::from_slice(body).map_err(|_| self.server.garbled("the answer is not the JSON of a ranking"))?;
        if let Some(error) = answer.error() {
            return Err(ServerError::from_value(error).into_model_error(self.server.name()));
        }
        Span::current().record("gen_ai.response.model", answer.model());
        let mut scores: Vec<Option<f32>> = vec![None; count];
        for (index, score) in answer.judged().iter().filter_map(Judged::score) {
            if let Some(slot @ None) = scores.get_mut(index) {
                *slot = Some(score);
            }
        }
        if scores.iter().flatten().count() * 2 < count {
            return Err(self.server.garbled("most passages have no score"));
        }
        Ok(probabilities(&scores))
    }
}

/// The scores as 0 to 1. Some models answer with probabilities, others with logits, and none says which: what goes
/// beyond 0 and 1 is taken for logits. The order is the same either way.
fn probabilities(scores: &[Option<f32>]) -> Vec<f32> {
    let logits = scores.iter().flatten().any(|score| !(0.0..=1.0).contains(score));
    let probability = |score: f32| if logits { 1.0 / (1.0 + (-score).exp()) } else { score };
    scores.iter().map(|score| score.map_or(0.0, probability)).collect()
}

#[async_trait]
impl Reranker for OpenAiReranker {
    fn name(&self) -> String {
        self.settings.alias.clone()
    }

    async fn rerank(&self, request: RerankRequest) -> Result<Reranked, ModelError> {
        if request.classification > self.highest {
            return Err(ModelError::NotConfigured { wanted: format!("{} content", request.classification) });
        }
        if request.passages.is_empty() {
            return Ok(Reranked { scores: Vec::new(), spent: Spent::default() });
        }
        let span = tracing::info_span!(
            "rerank",
            otel.name = format!("rerank {}", self.settings.alias),
            otel.kind = "client",
            gen_ai.operation.name = "rerank",
            gen_ai.provider.name = self.server.name(),
            gen_ai.request.model = self.settings.alias,
            gen_ai.response.model = field::Empty,
            error.type = field::Empty,
        );
        let scores = self.scores(&request).instrument(span.clone()).await;
        scores.map(|scores| Reranked { scores, spent: Spent::default() }).inspect_err(|error| {
            span.record("error.type", error.word());
        })
    }
}
