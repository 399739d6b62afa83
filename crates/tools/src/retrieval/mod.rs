//! Retrieval: hybrid search for the passages that answer a question, with an estimate of whether they do.
//!
//! Vector search finds paraphrases, BM25 finds part numbers and tags. Both apply the caller's clearance and filters in
//! the database, before anything is ranked. They return candidates without texts; only the texts of the few that are
//! reranked or can be returned are read (ADR 45).

mod answerable;
mod compare;
mod fingerprint;
mod fuse;
mod fused;
mod neighbours;
mod page;
mod params;
mod read_transaction;
mod reciprocal_rank;
mod rerank;
mod select;
mod terms;
#[cfg(test)]
mod testing;
mod words;

pub use answerable::{Evidence, QueryTerms, weigh};
pub use compare::Comparison;
pub use fuse::fuse;
pub use fused::Fused;
pub use page::page_aggregate;
pub use params::{Confidence, Fusion, RetrievalParams};
pub use rerank::Reranking;
pub use select::Selection;
pub use terms::passage_terms;

use crate::calls::CallRecorder;
use domain::model::{EmbedPurpose, EmbedRequest, ModelError};
use domain::model_call::ModelCaller;
use domain::ports::{Embedder, Embedders, Store, StoreError};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::{Candidate, Hit, Passage, Retrieval, SearchScope, Surroundings};
use fused::CandidateLists;
use read_transaction::ReadTransaction;
use rerank::{RerankCall, RerankScores};
use select::TextsById;
use std::sync::Arc;

/// Hybrid search: vector search and BM25, fused. Cheap to clone.
#[derive(Clone)]
pub struct HybridSearch {
    store: Arc<dyn Store>,
    embedders: Embedders,
    params: RetrievalParams,
    reranking: Option<Reranking>,
    surroundings: bool,
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
            surroundings: false,
            limits: ModelLimits::default(),
            models: CallRecorder::default(),
        }
    }

    /// Sets the reranker that reorders the best candidates; `None` disables reranking.
    #[must_use]
    pub fn with_reranking(self, reranking: Option<Reranking>) -> Self {
        Self { reranking, ..self }
    }

    /// Sets whether each hit comes with the text before and after it, as far as the search's clearance allows. The
    /// cited passages do not change.
    #[must_use]
    pub fn with_surroundings(self, surroundings: bool) -> Self {
        Self { surroundings, ..self }
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
        let mut reads = ReadTransaction::new(&*self.store, scope, within.clearance);
        let lists = self.candidates(&mut reads, query, vector.ok(), within).await?;
        let ranked = self.rerank(&mut reads, query, fuse(lists.near, lists.lexical, &self.params)).await?;
        let found = self.select(&mut reads, query, ranked, top_k).await?;
        reads.end().await?;
        Ok(Retrieval { degraded, ..found })
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

    /// The candidates of both searches. The lexical search runs first, as [`ChunkRepo`](domain::ports::ChunkRepo)
    /// requires.
    async fn candidates(
        &self,
        reads: &mut ReadTransaction<'_>,
        query: &str,
        vector: Option<QueryVector>,
        within: &SearchScope,
    ) -> Result<CandidateLists, StoreError> {
        let limit = self.params.candidates;
        let tx = reads.tx().await?;
        let lexical = tx.chunks().lexical(query, within, limit).await?;
        let near = match vector {
            Some(QueryVector { numbers, model }) => tx.chunks().nearest(&numbers, &model, within, limit).await?,
            None => Vec::new(),
        };
        Ok(CandidateLists { near, lexical })
    }

    /// Reranks the best candidates, if a reranker is set and may see them. Ends the transaction before the call: none
    /// may be open during a model call.
    async fn rerank(
        &self,
        reads: &mut ReadTransaction<'_>,
        query: &str,
        mut fused: Vec<Fused<Candidate>>,
    ) -> Result<Ranked, StoreError> {
        let limit = self.limits.any;
        let mut texts = TextsById::new();
        let mut scores = None;
        if let Some(reranking) = &self.reranking {
            let wanted = reranking.wanted(&fused, limit);
            if !wanted.is_empty() {
                let passages = reads.passages(&wanted).await?;
                reads.end().await?;
                texts.extend(passages.into_iter().map(|passage| (passage.chunk_id, passage)));
                let call = RerankCall { query, limit, caller: self.caller(reads.scope), models: &self.models };
                scores = reranking.apply(&mut fused, &wanted, &texts, call).await;
            }
        }
        Ok(Ranked { fused, texts, scores })
    }

    /// Selects the best passages, reads the texts needed for that, and estimates whether they answer the query.
    async fn select(
        &self,
        reads: &mut ReadTransaction<'_>,
        query: &str,
        ranked: Ranked,
        top_k: usize,
    ) -> Result<Retrieval, StoreError> {
        let Ranked { fused, texts, scores } = ranked;
        let terms = QueryTerms::new(query, fused.iter().map(|one| &one.passage));
        // Texts that were read for the reranker have no neighbours, which must then be loaded separately.
        let together = self.surroundings && texts.is_empty();
        let mut neighbours = Vec::new();
        let mut selection = Selection::new(page_aggregate(fused, &self.params), top_k, &self.params).with_texts(texts);
        loop {
            let wanted = selection.wanted();
            if wanted.is_empty() {
                break;
            }
            let read = reads.texts(&wanted, together).await?;
            selection.supply(read.wanted);
            neighbours.extend(read.neighbours);
        }
        let chosen = selection.finish();
        let Evidence { confidence, answerable, .. } = weigh(&terms, &chosen, &self.params);
        let mut hits: Vec<Hit> = chosen.into_iter().map(|one| hit(one, confidence)).collect();
        if together {
            // A neighbour of a hit may itself be a candidate whose text was read.
            neighbours.extend(selection.into_unselected());
            neighbours::attach_read_together(&mut hits, neighbours);
        } else if self.surroundings {
            let clearance = reads.clearance;
            neighbours::surround(reads.tx().await?, &mut hits, clearance).await?;
        }
        let mut found = Retrieval { hits, confidence, answerable, ..Retrieval::default() };
        if let Some(scores) = scores {
            scores.annotate(&mut found);
        }
        Ok(found)
    }
}

/// The candidates in the order in which they are considered.
struct Ranked {
    fused: Vec<Fused<Candidate>>,
    /// The texts that were read for the reranker.
    texts: TextsById,
    scores: Option<RerankScores>,
}

/// A query vector and the name of the model that computed it.
struct QueryVector {
    numbers: Vec<f32>,
    model: String,
}

/// Converts a candidate to a hit. The score is multiplied by the overall confidence, so that hits of an unanswerable
/// query score low.
fn hit(one: Fused<Passage>, confidence: f32) -> Hit {
    Hit {
        passage: one.passage,
        score: (one.score * confidence).clamp(0.0, 1.0),
        similarity: one.similarity,
        bm25: one.bm25,
        rerank: None,
        surroundings: Surroundings::default(),
    }
}
