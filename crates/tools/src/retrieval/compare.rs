//! Ranks the same candidates with several parameter sets, for the `eval` command, which measures search quality.

use super::doc_type::prefer_doc_types;
use super::fused_hit::CandidateLists;
use super::read_transaction::ReadTransaction;
use super::select::PassagesById;
use super::{FusedHit, HybridSearch, QueryVector, Ranking, RetrievalParams, fuse};
use domain::ids::{ChunkId, DocumentId};
use domain::ports::StoreError;
use domain::scope::TenantScope;
use domain::search::{Passage, Retrieval, SearchFilters, SearchScope};

/// The `k` of recall@k when the vector index is measured.
const RECALL_K: usize = 5;
/// Cosine similarities that differ by at most this much count as equal.
const SIMILARITY_TOLERANCE: f32 = 1e-6;

/// Results of several rankings for one query.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// All candidates of vector and lexical search with their scores, ordered by the search's own parameters.
    pub candidates: Vec<FusedHit<Passage>>,
    /// One result per parameter set, in the order of the argument `parameter_sets`.
    pub results: Vec<Retrieval>,
}

impl HybridSearch {
    /// The parameters of this search.
    #[must_use]
    pub fn params(&self) -> RetrievalParams {
        self.params
    }

    /// Ranks the `top_k` passages for `query` with each parameter set of `parameter_sets`. The candidates are fetched
    /// from the database only once, so [`RetrievalParams::candidates`] of `parameter_sets` has no effect.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn compare(
        &self,
        scope: &TenantScope,
        query: &str,
        search_scope: &SearchScope,
        top_k: usize,
        parameter_sets: &[RetrievalParams],
    ) -> Result<Comparison, StoreError> {
        let vector = self.embed(scope, query).await?;
        let degraded = vector.is_err();
        let mut read_tx = ReadTransaction::new(&*self.store, scope, search_scope.clearance);
        let query = self.expand(&mut read_tx, query).await?;
        let CandidateLists { nearest, lexical } =
            self.candidates(&mut read_tx, &query, vector.ok(), search_scope).await?;
        let mut results = Vec::with_capacity(parameter_sets.len());
        for params in parameter_sets {
            let search = Self { params: *params, ..self.clone() };
            let fused = prefer_doc_types(fuse(nearest.clone(), lexical.clone(), params), query.text, params);
            let ranked = Ranking { fused, texts: PassagesById::new(), scores: None };
            results.push(Retrieval { degraded, ..search.select(&mut read_tx, &query, ranked, top_k).await? });
        }
        let candidates = prefer_doc_types(fuse(nearest, lexical, &self.params), query.text, &self.params);
        let ids: Vec<ChunkId> = candidates.iter().map(FusedHit::id).collect();
        let passages = read_tx.passages(&ids).await?;
        read_tx.end().await?;
        let mut texts: PassagesById = passages.into_iter().map(|passage| (passage.chunk_id, passage)).collect();
        let with_text =
            |candidate: FusedHit<_>| texts.remove(&candidate.id()).map(|passage| candidate.with_passage(passage));
        Ok(Comparison { candidates: candidates.into_iter().filter_map(with_text).collect(), results })
    }

    /// Recall@5 of the vector index: the share of the five passages nearest to `query` that it finds, 0 to 1. The exact
    /// neighbors are determined document by document, because the database scans exactly when the filter is narrow;
    /// `documents` must list all documents within the scope. `None` if there is no query vector or no passage.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn index_recall(
        &self,
        scope: &TenantScope,
        query: &str,
        search_scope: &SearchScope,
        documents: &[DocumentId],
    ) -> Result<Option<f32>, StoreError> {
        let Ok(QueryVector { components: vector, model }) = self.embed(scope, query).await? else { return Ok(None) };
        let mut tx = self.store.begin(scope).await?;
        let mut found = tx.chunks().search_vector(&vector, &model, search_scope, self.params.candidates).await?;
        let mut exact_similarities = Vec::new();
        for document in documents {
            let filters = SearchFilters { document_ids: vec![*document], ..search_scope.filters.clone() };
            let document_scope = SearchScope { filters, ..search_scope.clone() };
            let passages = tx.chunks().search_vector(&vector, &model, &document_scope, RECALL_K as u32).await?;
            exact_similarities.extend(passages.into_iter().map(|ranked| ranked.score));
        }
        tx.commit().await?;
        exact_similarities.sort_by(|a, b| b.total_cmp(a));
        exact_similarities.truncate(RECALL_K);
        let Some(last) = exact_similarities.last() else { return Ok(None) };
        found.truncate(exact_similarities.len());
        let correct = found.iter().filter(|ranked| ranked.score >= last - SIMILARITY_TOLERANCE).count();
        Ok(Some(correct as f32 / exact_similarities.len() as f32))
    }
}
