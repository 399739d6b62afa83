//! One question, ranked in several ways from the same candidates: for the evaluation, which says what the ranking that
//! the platform uses is worth.

use super::{Fused, HybridSearch, RetrievalParams, fuse};
use domain::ports::StoreError;
use domain::scope::TenantScope;
use domain::search::{Retrieval, SearchScope};

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
        let vector = self.embed(query).await;
        let degraded = vector.is_err();
        let (near, lexical) = self.candidates(scope, query, vector.ok(), within).await?;
        let results = ways.iter().map(|params| {
            let other = Self { params: *params, ..self.clone() };
            Retrieval { degraded, ..other.rank(query, fuse(near.clone(), lexical.clone(), params), top_k) }
        });
        Ok(Comparison { results: results.collect(), candidates: fuse(near, lexical, &self.params) })
    }
}
