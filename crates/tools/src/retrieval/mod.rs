//! Retrieval: hybrid search for the passages that answer a question, with an estimate of whether they do.
//!
//! Vector search finds paraphrases, BM25 finds part numbers and tags. Both apply the caller's clearance and filters in
//! the database, before anything is ranked.

mod answerable;
mod compare;
mod fuse;
mod fused;
mod neighbours;
mod params;
mod rank;
mod reciprocal_rank;
mod rerank;
#[cfg(test)]
mod testing;
mod words;

pub use answerable::{Evidence, QueryTerms, weigh};
pub use compare::Comparison;
pub use fuse::fuse;
pub use fused::Fused;
pub use params::{Confidence, Fusion, RetrievalParams};
pub use rank::{page_aggregate, select};
pub use rerank::Reranking;

use crate::calls::CallRecorder;
use domain::model::{EmbedPurpose, EmbedRequest, ModelError};
use domain::model_call::ModelCaller;
use domain::ports::{Embedder, Embedders, Store, StoreError};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::{Hit, RankedPassage, Retrieval, SearchScope, Surroundings};
use std::sync::Arc;

/// Hybrid search: vector search and BM25, fused. Cheap to clone.
#[derive(Clone)]
pub struct HybridSearch {
    store: Arc<dyn Store>,
    embedders: Embedders,
    params: RetrievalParams,
    reranking: Option<Reranking>,
    limits: ModelLimits,
    /// Records the model calls.
    models: CallRecorder,
}

/// The highest classifications that models may see, from the tenant's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModelLimits {
    /// For every model, wherever it runs.
    pub any: Classification,
    /// For models outside the site, in addition to `any`.
    pub cloud: Classification,
}

impl Default for ModelLimits {
    fn default() -> Self {
        Self { any: Classification::Restricted, cloud: Classification::Internal }
    }
}

impl HybridSearch {
    /// Creates a search of `store` with query vectors from `embedders`, without a reranker.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, embedders: Embedders, params: RetrievalParams) -> Self {
        Self {
            store,
            embedders,
            params,
            reranking: None,
            limits: ModelLimits::default(),
            models: CallRecorder::default(),
        }
    }

    /// Sets the reranker that reorders the best candidates; `None` disables reranking.
    #[must_use]
    pub fn with_reranking(self, reranking: Option<Reranking>) -> Self {
        Self { reranking, ..self }
    }

    /// Sets the classification limits for the models that the search calls.
    #[must_use]
    pub fn with_model_limits(self, limits: ModelLimits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the recorder of the search's model calls.
    #[must_use]
    pub fn recording_calls(self, models: CallRecorder) -> Self {
        Self { models, ..self }
    }

    fn caller(&self, scope: &TenantScope) -> ModelCaller {
        ModelCaller { tenant: scope.tenant(), user: scope.user(), cloud_limit: self.limits.cloud }
    }

    /// Returns the `top_k` best passages for `query`, best first. If the embedder fails, only the lexical search runs,
    /// and the result is marked as degraded.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn search(
        &self,
        scope: &TenantScope,
        query: &str,
        within: &SearchScope,
        top_k: usize,
    ) -> Result<Retrieval, StoreError> {
        // Embed before the transaction starts: no transaction may be open during a model call.
        let vector = self.embed(scope, query).await?;
        if let Err(error) = &vector {
            tracing::warn!(%error, "query embedding failed; searching by words only");
        }
        let degraded = vector.is_err();
        let (near, lexical) = self.candidates(scope, query, vector.ok(), within).await?;
        let mut fused = fuse(near, lexical, &self.params);
        // Rerank after the transaction has ended, for the same reason.
        let ranking = match &self.reranking {
            Some(reranking) => {
                let (limit, caller) = (self.limits.any, self.caller(scope));
                reranking.apply(query, &mut fused, limit, caller, &self.models).await
            }
            None => None,
        };
        let mut found = Retrieval { degraded, ..self.rank(query, fused, top_k) };
        if let Some(ranking) = ranking {
            ranking.annotate(&mut found);
        }
        Ok(found)
    }

    /// Adds to each hit the text before and after it, as far as `clearance` allows. The cited passages do not change.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn surround(
        &self,
        scope: &TenantScope,
        found: &mut Retrieval,
        clearance: Classification,
    ) -> Result<(), StoreError> {
        neighbours::surround(&*self.store, scope, &mut found.hits, clearance).await
    }

    /// Embeds the query with the model that the tenant's passages were embedded with. The outer error is the
    /// database's, the inner one the model's.
    async fn embed(&self, scope: &TenantScope, query: &str) -> Result<Result<QueryVector, ModelError>, StoreError> {
        let embedder = self.embedder(scope).await?;
        let model = embedder.model().name;
        // Every question is treated as internal content.
        let caller = self.caller(scope);
        if embedder.highest_classification(&caller) < Classification::Internal {
            return Ok(Err(ModelError::NotConfigured { wanted: "internal content".to_owned() }));
        }
        let invalid = |reason: &str| ModelError::InvalidResponse { backend: model.clone(), reason: reason.to_owned() };
        let (texts, classification) = (vec![query.to_owned()], Classification::Internal);
        let request = EmbedRequest { caller, purpose: EmbedPurpose::Query, texts, classification };
        let embedded = self.models.embed(&*embedder, request).await;
        Ok(embedded.and_then(|embedded| {
            let numbers = embedded.vectors.into_iter().next().ok_or_else(|| invalid("no vector"))?;
            if numbers.iter().all(|number| number.is_finite()) {
                // Read the name again: it contains the dimension, which may only be known after the first call.
                Ok(QueryVector { numbers, model: embedder.model().name })
            } else {
                Err(invalid("a vector component is not finite"))
            }
        }))
    }

    /// The embedder that the tenant's passages were embedded with. Queries the database only while a reindex to another
    /// model is configured.
    async fn embedder(&self, scope: &TenantScope) -> Result<Arc<dyn Embedder>, StoreError> {
        if self.embedders.next.is_none() {
            return Ok(Arc::clone(&self.embedders.current));
        }
        let mut tx = self.store.begin(scope).await?;
        let in_use = tx.chunks().model_in_use().await?;
        tx.commit().await?;
        Ok(Arc::clone(self.embedders.for_tenant(in_use.as_deref())))
    }

    async fn candidates(
        &self,
        scope: &TenantScope,
        query: &str,
        vector: Option<QueryVector>,
        within: &SearchScope,
    ) -> Result<(Vec<RankedPassage>, Vec<RankedPassage>), StoreError> {
        let limit = self.params.candidates;
        let mut tx = self.store.begin(scope).await?;
        let near = match vector {
            Some(QueryVector { numbers, model }) => tx.chunks().nearest(&numbers, &model, within, limit).await?,
            None => Vec::new(),
        };
        let lexical = tx.chunks().lexical(query, within, limit).await?;
        tx.commit().await?;
        Ok((near, lexical))
    }

    /// Selects the best passages and estimates whether they answer the query.
    fn rank(&self, query: &str, fused: Vec<Fused>, top_k: usize) -> Retrieval {
        let terms = QueryTerms::new(query, fused.iter().map(|one| &one.passage));
        let chosen = select(page_aggregate(fused, &self.params), top_k, &self.params);
        let Evidence { confidence, answerable, .. } = weigh(&terms, &chosen, &self.params);
        let hits = chosen.into_iter().map(|one| hit(one, confidence)).collect();
        Retrieval { hits, confidence, answerable, ..Retrieval::default() }
    }
}

/// A query vector and the name of the model that computed it.
struct QueryVector {
    numbers: Vec<f32>,
    model: String,
}

/// Converts a candidate to a hit. The score is multiplied by the overall confidence, so that hits of an unanswerable
/// query score low.
fn hit(one: Fused, confidence: f32) -> Hit {
    Hit {
        passage: one.passage,
        score: (one.score * confidence).clamp(0.0, 1.0),
        similarity: one.similarity,
        bm25: one.bm25,
        rerank: None,
        surroundings: Surroundings::default(),
    }
}
