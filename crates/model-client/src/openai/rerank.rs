//! The reranking model behind a server: `POST /v1/rerank` as vLLM, LiteLLM, Jina, Cohere and llama.cpp have it.

use super::http::{About, Path, Server, Told, read_limited};
use super::once::{Once, Read};
use super::request::RerankBody;
use super::response::{Judged, Rerank, ServerError};
use crate::config::{ModelSettings, RerankSettings};
use crate::error::SetupError;
use crate::estimate;
use crate::router::{Attempt, Route, Router};
use async_trait::async_trait;
use domain::model::{CallUsage, ModelError, RerankRequest, Reranked};
use domain::model_call::ModelOperation;
use domain::ports::Reranker;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::{Instant, timeout_at};

/// Most bytes of one answer; many servers send the passages back.
const MOST_BYTES: usize = 4 << 20;
/// The query gets at most this part of what the model reads.
const QUERY_SHARE: usize = 4;
/// Tokens that a model adds to query and passage.
const SPECIAL_TOKENS: usize = 4;

/// Reranks through OpenAI-compatible servers. It never waits longer than its time limit.
pub struct OpenAiReranker {
    router: Arc<Router>,
    routes: Vec<Route>,
    settings: RerankSettings,
}

impl OpenAiReranker {
    /// The reranking model of the backends that serve the tier; `None` where none does.
    ///
    /// # Errors
    /// Where the tier names a backend that there is not.
    pub fn new(router: &Arc<Router>, settings: &ModelSettings) -> Result<Option<Self>, SetupError> {
        let routes = router.routes(&settings.tiers.rerank)?;
        let reranker = Self { router: Arc::clone(router), routes, settings: settings.rerank.clone() };
        Ok(Some(reranker).filter(|reranker| !reranker.routes.is_empty()))
    }

    async fn scores(&self, request: &RerankRequest) -> Result<(Vec<f32>, CallUsage), ModelError> {
        let started = Instant::now();
        let texts = request.passages.iter().map(|passage| estimate::tokens(passage) + estimate::tokens(&request.query));
        let once = Once {
            operation: ModelOperation::Rerank,
            tier: "rerank",
            about: About { caller: request.caller, classification: request.classification },
            deadline: started + self.settings.timeout,
            estimated: u32::try_from(texts.sum::<usize>()).unwrap_or(u32::MAX),
        };
        let served = once.serve(&self.router, &self.routes, |attempt| async move {
            let answer = self.ask(&attempt, request, once).await;
            (attempt, answer)
        });
        // The wait for a place is within the limit too.
        let late = |_| ModelError::Timeout { backend: self.name(), waited_s: started.elapsed().as_secs() };
        timeout_at(once.deadline, served).await.map_err(late)?
    }

    async fn ask(
        &self,
        attempt: &Attempt,
        request: &RerankRequest,
        Once { about, deadline, .. }: Once,
    ) -> Result<Read<Vec<f32>>, ModelError> {
        let (server, model) = (&attempt.backend.server, attempt.model.as_str());
        let query = estimate::cut(&request.query, self.settings.max_tokens / QUERY_SHARE);
        let room = self.settings.max_tokens.saturating_sub(estimate::tokens(query) + SPECIAL_TOKENS);
        let body = RerankBody {
            model,
            query,
            documents: request.passages.iter().map(|passage| estimate::cut(passage, room)).collect(),
            top_n: request.passages.len(),
            disable_fallbacks: server.forbids_fallbacks(about),
        };
        let bare = server.bare_rerank.load(Ordering::Relaxed);
        let path = if bare { Path::BareRerank } else { Path::Rerank };
        let response = match server.post((path, model), &body, about, deadline).await {
            Err(unknown) if unknown.status == Some(404) && !bare => {
                // Where both are unknown it is rather the model that is, and the usual path says so.
                let response = server.post((Path::BareRerank, model), &body, about, deadline).await;
                let response = response.map_err(|_| unknown.error)?;
                server.bare_rerank.store(true, Ordering::Relaxed);
                response
            }
            other => other.map_err(|failure| failure.error)?,
        };
        let told = Told::by(&response);
        let body = read_limited(server, response, MOST_BYTES).await?;
        Ok(Read { told, ..read(server, &body, request.passages.len())? })
    }
}

/// The scores in an answer, `count` of them, in the order of the passages.
///
/// A server may leave the worst out, which then have 0, but not most of them. Of two scores for one passage the
/// first counts; a score without a passage, or that is no number, is passed over.
fn read(server: &Server, body: &[u8], count: usize) -> Result<Read<Vec<f32>>, ModelError> {
    let answer: Rerank =
        serde_json::from_slice(body).map_err(|_| server.garbled("the answer is not the JSON of a ranking"))?;
    if let Some(error) = answer.error() {
        return Err(ServerError::from_value(error).into_model_error(server.name()));
    }
    let mut scores: Vec<Option<f32>> = vec![None; count];
    for (index, score) in answer.judged().iter().filter_map(Judged::score) {
        if let Some(slot @ None) = scores.get_mut(index) {
            *slot = Some(score);
        }
    }
    if scores.iter().flatten().count() * 2 < count {
        return Err(server.garbled("most passages have no score"));
    }
    let (value, model) = (probabilities(&scores), answer.model().to_owned());
    Ok(Read { value, model, usage: answer.usage(), told: Told::default() })
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
        self.routes.first().map(|route| route.model.clone()).unwrap_or_default()
    }

    async fn rerank(&self, request: RerankRequest) -> Result<Reranked, ModelError> {
        if request.passages.is_empty() {
            return Ok(Reranked { scores: Vec::new(), spent: CallUsage::default() });
        }
        let (scores, spent) = self.scores(&request).await?;
        Ok(Reranked { scores, spent })
    }
}
