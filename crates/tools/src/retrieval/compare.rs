//! Ranks the same candidates with several parameter sets, for `eval` runs.

use super::fused::CandidateLists;
use super::read_transaction::ReadTransaction;
use super::select::TextsById;
use super::{Fused, HybridSearch, QueryVector, Ranked, RetrievalParams, fuse};
use domain::ids::{ChunkId, DocumentId};
use domain::ports::StoreError;
use domain::scope::TenantScope;
use domain::search::{Passage, Retrieval, SearchFilters, SearchScope};

/// The `k` of recall@k when the vector index is measured.
const RECALL_AT: usize = 5;
/// Cosine similarities that differ by at most this much count as equal.
const SIMILARITY_TOLERANCE: f32 = 1e-6;

/// Results of several rankings for one query.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// All candidates of vector and lexical search with their scores, ordered by the search's own parameters.
    pub candidates: Vec<Fused<Passage>>,
    /// One result per parameter set, in the order of the argument `rankings`.
    pub results: Vec<Retrieval>,
}

impl HybridSearch {
    /// The parameters of this search.
    #[must_use]
    pub fn params(&self) -> RetrievalParams {
        self.params
    }

    /// Ranks the `top_k` passages for `query` with each parameter set of `rankings`. The candidates are fetched from
    /// the database only once, so [`RetrievalParams::candidates`] of `rankings` has no effect.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn compare(
        &self,
        scope: &TenantScope,
        query: &str,
        within: &SearchScope,
        top_k: usize,
        rankings: &[RetrievalParams],
    ) -> Result<Comparison, StoreError> {
        let vector = self.embed(scope, query).await?;
        let degraded = vector.is_err();
        let mut reads = ReadTransaction::new(&*self.store, scope, within.clearance);
        let CandidateLists { near, lexical } = self.candidates(&mut reads, query, vector.ok(), within).await?;
        let mut results = Vec::with_capacity(rankings.len());
        for params in rankings {
            let other = Self { params: *params, ..self.clone() };
            let fused = fuse(near.clone(), lexical.clone(), params);
            let ranked = Ranked { fused, texts: TextsById::new(), scores: None };
            results.push(Retrieval { degraded, ..other.select(&mut reads, query, ranked, top_k).await? });
        }
        let candidates = fuse(near, lexical, &self.params);
        let ids: Vec<ChunkId> = candidates.iter().map(Fused::id).collect();
        let passages = reads.passages(&ids).await?;
        reads.end().await?;
        let mut texts: TextsById = passages.into_iter().map(|passage| (passage.chunk_id, passage)).collect();
        let with_text = |one: Fused<_>| texts.remove(&one.id()).map(|passage| one.with(passage));
        Ok(Comparison { candidates: candidates.into_iter().filter_map(with_text).collect(), results })
    }

    /// Recall@5 of the vector index: the share of the five passages nearest to `query` that it finds, 0 to 1. The exact
    /// neighbours are determined document by document, because the database scans exactly when the filter is narrow;
    /// `documents` must list all documents within the scope. `None` if there is no query vector or no passage.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn index_recall(
        &self,
        scope: &TenantScope,
        query: &str,
        within: &SearchScope,
        documents: &[DocumentId],
    ) -> Result<Option<f32>, StoreError> {
        let Ok(QueryVector { numbers: vector, model }) = self.embed(scope, query).await? else { return Ok(None) };
        let mut tx = self.store.begin(scope).await?;
        let mut found = tx.chunks().nearest(&vector, &model, within, self.params.candidates).await?;
        let mut nearest = Vec::new();
        for document in documents {
            let filters = SearchFilters { document_ids: vec![*document], ..within.filters.clone() };
            let one = SearchScope { filters, ..within.clone() };
            let passages = tx.chunks().nearest(&vector, &model, &one, RECALL_AT as u32).await?;
            nearest.extend(passages.into_iter().map(|ranked| ranked.score));
        }
        tx.commit().await?;
        nearest.sort_by(|a, b| b.total_cmp(a));
        nearest.truncate(RECALL_AT);
        let Some(last) = nearest.last() else { return Ok(None) };
        found.truncate(nearest.len());
        let correct = found.iter().filter(|ranked| ranked.score >= last - SIMILARITY_TOLERANCE).count();
        Ok(Some(correct as f32 / nearest.len() as f32))
    }
}
