//! One question, ranked in several ways from the same candidates: for the evaluation, which says what the ranking that
//! the platform uses is worth.

use super::{Fused, HybridSearch, QueryVector, RetrievalParams, fuse};
use domain::ids::DocumentId;
use domain::ports::StoreError;
use domain::scope::TenantScope;
use domain::search::{Retrieval, SearchFilters, SearchScope};

/// How many of the nearest passages the index is checked for.
const CHECKED: usize = 5;
/// Cosine similarities closer than this are the same: the order of such passages is chance.
const SAME: f32 = 1e-6;

/// What several ways to rank make of one question.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// Everything that either side found, with both scores, in the configured order.
    pub candidates: Vec<Fused>,
    /// A result for each of the ways, in their order.
    pub results: Vec<Retrieval>,
}

impl HybridSearch {
    /// The numbers that this search works with.
    #[must_use]
    pub fn params(&self) -> RetrievalParams {
        self.params
    }

    /// The `top_k` passages for `query` in each of these ways, from one look at the database. A way cannot have more
    /// candidates than the search itself.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn compare(
        &self,
        scope: &TenantScope,
        query: &str,
        (within, top_k): (&SearchScope, usize),
        ways: &[RetrievalParams],
    ) -> Result<Comparison, StoreError> {
        let vector = self.embed(scope, query).await?;
        let degraded = vector.is_err();
        let (near, lexical) = self.candidates(scope, query, vector.ok(), within).await?;
        let results = ways.iter().map(|params| {
            let other = Self { params: *params, ..self.clone() };
            Retrieval { degraded, ..other.rank(query, fuse(near.clone(), lexical.clone(), params), top_k) }
        });
        Ok(Comparison { results: results.collect(), candidates: fuse(near, lexical, &self.params) })
    }

    /// Share of the five passages nearest to `query` that the vector side finds: what a vector index loses. The truth
    /// comes from asking document by document, since a narrow filter makes the database compare all that it leaves.
    /// `None` where there is no vector to ask with, or nothing to find.
    ///
    /// # Errors
    /// Where the database fails.
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
            let passages = tx.chunks().nearest(&vector, &model, &one, CHECKED as u32).await?;
            nearest.extend(passages.into_iter().map(|ranked| ranked.score));
        }
        tx.commit().await?;
        nearest.sort_by(|a, b| b.total_cmp(a));
        nearest.truncate(CHECKED);
        let Some(last) = nearest.last() else { return Ok(None) };
        found.truncate(nearest.len());
        let right = found.iter().filter(|ranked| ranked.score >= last - SAME).count();
        Ok(Some(right as f32 / nearest.len() as f32))
    }
}
