//! Retrieval: the passages that bear on a question, found by meaning and by words, and whether they answer it.
//!
//! Vectors find paraphrases, BM25 finds part numbers and tags; each misses what the other finds. Both sides look only
//! at what the caller's filters and clearance allow, in the database, before anything is ranked.

mod answerable;
mod compare;
mod fuse;
mod fusion;
mod neighbours;
mod params;
mod rank;
mod rerank;
#[cfg(test)]
mod testing;
mod words;

pub use answerable::{Evidence, QueryTerms, weigh};
pub use compare::Comparison;
pub use fuse::{Fused, fuse};
pub use fusion::Fusion;
pub use params::{Confidence, RetrievalParams};
pub use rank::{page_aggregate, select};
pub use rerank::Reranking;

use crate::calls::CallSheet;
use domain::model::{EmbedPurpose, EmbedRequest, ModelError};
use domain::model_call::ModelCaller;
use domain::ports::{Embedder, Embedders, Store, StoreError};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::{Hit, RankedPassage, Retrieval, SearchScope, Surroundings};
use std::sync::Arc;

/// The hybrid search.
#[derive(Clone)]
pub struct HybridSearch {
    store: Arc<dyn Store>,
    embedders: Embedders,
    params: RetrievalParams,
    reranking: Option<Reranking>,
    limits: ModelLimits,
    /// Where calls to models are noted.
    models: CallSheet,
}

/// What models may see of a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModelLimits {
    /// The highest classification for any model.
    pub any: Classification,
    /// The highest for a model outside the site.
    pub cloud: Classification,
}

impl Default for ModelLimits {
    fn default() -> Self {
        Self { any: Classification::Restricted, cloud: Classification::Internal }
    }
}

impl HybridSearch {
    /// Searches `store` with vectors of `embedders`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, embedders: Embedders, params: RetrievalParams) -> Self {
        Self { store, embedders, params, reranking: None, limits: ModelLimits::default(), models: CallSheet::default() }
    }

    /// The same search, with the best candidates put in order by a reranker.
    #[must_use]
    pub fn with_reranking(self, reranking: Option<Reranking>) -> Self {
        Self { reranking, ..self }
    }

    /// The same search, in which models see nothing above `limits`.
    #[must_use]
    pub fn showing_models(self, limits: ModelLimits) -> Self {
        Self { limits, ..self }
    }

    /// The same search, which notes its calls to models on `models`.
    #[must_use]
    pub fn noting(self, models: CallSheet) -> Self {
        Self { models, ..self }
    }

    fn caller(&self, scope: &TenantScope) -> ModelCaller {
        ModelCaller { tenant: scope.tenant(), user: scope.user(), cloud_limit: self.limits.cloud }
    }

    /// The `top_k` passages that bear most on `query`. Where the embedder fails the words alone decide, and the result
    /// says that it is degraded.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn search(
        &self,
        scope: &TenantScope,
        query: &str,
        within: &SearchScope,
        top_k: usize,
    ) -> Result<Retrieval, StoreError> {
        // Before the transaction: none is open while a model works.
        let vector = self.embed(scope, query).await?;
        if let Err(error) = &vector {
            tracing::warn!(%error, "query embedding failed, searching by words alone");
        }
        let degraded = vector.is_err();
        let (near, lexical) = self.candidates(scope, query, vector.ok(), within).await?;
        let mut fused = fuse(near, lexical, &self.params);
        // After the transaction, for the same reason.
        let verdict = match &self.reranking {
            Some(reranking) => {
                let caller = (self.limits.any, self.caller(scope));
                reranking.apply(query, &mut fused, caller, &self.models).await
            }
            None => None,
        };
        let mut found = Retrieval { degraded, ..self.rank(query, fused, top_k) };
        if let Some(verdict) = verdict {
            verdict.note(&mut found);
        }
        Ok(found)
    }

    /// Gives the hits of a search what stands around them in their documents, as far as `clearance` allows. Citations
    /// stay those of the hits.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn surround(
        &self,
        scope: &TenantScope,
        found: &mut Retrieval,
        clearance: Classification,
    ) -> Result<(), StoreError> {
        neighbours::surround(&*self.store, scope, &mut found.hits, clearance).await
    }

    /// The query as a vector of the model that the tenant's passages are embedded with.
    async fn embed(&self, scope: &TenantScope, query: &str) -> Result<Result<QueryVector, ModelError>, StoreError> {
        let embedder = self.embedder(scope).await?;
        let model = embedder.model().name;
        // A question is the tenant's own at least.
        let caller = self.caller(scope);
        if embedder.highest_classification(&caller) < Classification::Internal {
            return Ok(Err(ModelError::NotConfigured { wanted: "internal content".to_owned() }));
        }
        let garbled = |reason: &str| ModelError::InvalidResponse { backend: model.clone(), reason: reason.to_owned() };
        let (texts, classification) = (vec![query.to_owned()], Classification::Internal);
        let request = EmbedRequest { caller, purpose: EmbedPurpose::Query, texts, classification };
        let embedded = self.models.embed(&*embedder, request).await;
        Ok(embedded.and_then(|embedded| {
            let numbers = embedded.vectors.into_iter().next().ok_or_else(|| garbled("no vector"))?;
            if numbers.iter().all(|number| number.is_finite()) {
                // Its name may have been settled by this very call: it has the dimension, which a server tells.
                Ok(QueryVector { numbers, model: embedder.model().name })
            } else {
                Err(garbled("a vector with a number that is none"))
            }
        }))
    }

    /// The embedder of the tenant's passages. Only while tenants move from one model to the next is there a question.
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

    /// The best of what was found, and whether it answers.
    fn rank(&self, query: &str, fused: Vec<Fused>, top_k: usize) -> Retrieval {
        let terms = QueryTerms::of(query, fused.iter().map(|one| &one.passage));
        let chosen = select(page_aggregate(fused, &self.params), top_k, &self.params);
        let Evidence { confidence, answerable, .. } = weigh(&terms, &chosen, &self.params);
        let hits = chosen.into_iter().map(|one| hit(one, confidence)).collect();
        Retrieval { hits, confidence, answerable, ..Retrieval::default() }
    }
}

/// A query as a vector, with the name of the model that made it.
struct QueryVector {
    numbers: Vec<f32>,
    model: String,
}

/// A hit as returned. Its score is scaled by the confidence in the whole: what a search found that has no answer must not
/// look as good as what answers.
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
