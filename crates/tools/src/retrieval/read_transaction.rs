//! The read transaction of one search.

use super::neighbors::positions_around;
use domain::ids::ChunkId;
use domain::ports::{Store, StoreError, TenantTx};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::{Candidate, Passage};

/// Passages that were read by one statement.
pub(super) struct PassageTexts {
    /// The passages that were requested.
    pub(super) requested: Vec<Passage>,
    /// The passages before and after them.
    pub(super) neighbors: Vec<Passage>,
}

/// A read transaction that begins when it is first used, and begins again if it is used after it was ended, for example
/// because of a model call.
pub(super) struct ReadTransaction<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) scope: &'a TenantScope,
    /// The highest classification that the caller may see.
    pub(super) clearance: Classification,
    open_tx: Option<Box<dyn TenantTx>>,
}

impl<'a> ReadTransaction<'a> {
    pub(super) fn new(store: &'a dyn Store, scope: &'a TenantScope, clearance: Classification) -> Self {
        Self { store, scope, clearance, open_tx: None }
    }

    /// The open transaction; begins one if there is none.
    pub(super) async fn tx(&mut self) -> Result<&mut dyn TenantTx, StoreError> {
        match &mut self.open_tx {
            Some(open) => Ok(&mut **open),
            none => Ok(&mut **none.insert(self.store.begin(self.scope).await?)),
        }
    }

    /// The passages with these ids that still exist and that the caller may see.
    pub(super) async fn passages(&mut self, ids: &[ChunkId]) -> Result<Vec<Passage>, StoreError> {
        let clearance = self.clearance;
        self.tx().await?.chunks().get_by_ids(ids, clearance).await
    }

    /// The texts of these candidates and, if `surroundings` is set, of the passages before and after them.
    pub(super) async fn texts(
        &mut self,
        candidates: &[&Candidate],
        surroundings: bool,
    ) -> Result<PassageTexts, StoreError> {
        let ids: Vec<ChunkId> = candidates.iter().map(|candidate| candidate.chunk_id).collect();
        if !surroundings {
            return Ok(PassageTexts { requested: self.passages(&ids).await?, neighbors: Vec::new() });
        }
        let positions =
            positions_around(candidates.iter().map(|candidate| (candidate.document_id, candidate.chunk_index)));
        let clearance = self.clearance;
        let passages = self.tx().await?.chunks().get_by_positions(&positions, clearance).await?;
        let (requested, neighbors) = passages.into_iter().partition(|passage| ids.contains(&passage.chunk_id));
        Ok(PassageTexts { requested, neighbors })
    }

    /// Ends the transaction, if one is open.
    pub(super) async fn end(&mut self) -> Result<(), StoreError> {
        match self.open_tx.take() {
            Some(open) => open.commit().await,
            None => Ok(()),
        }
    }
}
