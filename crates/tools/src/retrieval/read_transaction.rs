//! The reads of one search.

use super::neighbours::around;
use domain::ids::ChunkId;
use domain::ports::{Store, StoreError, TenantTx};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::{Candidate, Passage};

/// Passages that one statement read.
pub(super) struct PassageTexts {
    /// Those that were asked for.
    pub(super) wanted: Vec<Passage>,
    /// Those beside them.
    pub(super) neighbours: Vec<Passage>,
}

/// A read transaction that begins when it is first used, and again if it is used after it was ended, as before the call
/// of a model.
pub(super) struct ReadTransaction<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) scope: &'a TenantScope,
    /// The highest class that the reader may see.
    pub(super) clearance: Classification,
    open: Option<Box<dyn TenantTx>>,
}

impl<'a> ReadTransaction<'a> {
    pub(super) fn new(store: &'a dyn Store, scope: &'a TenantScope, clearance: Classification) -> Self {
        Self { store, scope, clearance, open: None }
    }

    /// The open transaction.
    pub(super) async fn tx(&mut self) -> Result<&mut dyn TenantTx, StoreError> {
        match &mut self.open {
            Some(open) => Ok(&mut **open),
            none => Ok(&mut **none.insert(self.store.begin(self.scope).await?)),
        }
    }

    /// The passages with these ids that still exist and that the reader may see.
    pub(super) async fn passages(&mut self, ids: &[ChunkId]) -> Result<Vec<Passage>, StoreError> {
        let clearance = self.clearance;
        self.tx().await?.chunks().by_ids(ids, clearance).await
    }

    /// The texts of these candidates and, if `surroundings` is set, of the passages before and after them.
    pub(super) async fn texts(
        &mut self,
        wanted: &[&Candidate],
        surroundings: bool,
    ) -> Result<PassageTexts, StoreError> {
        let ids: Vec<ChunkId> = wanted.iter().map(|candidate| candidate.chunk_id).collect();
        if !surroundings {
            return Ok(PassageTexts { wanted: self.passages(&ids).await?, neighbours: Vec::new() });
        }
        let positions = around(wanted.iter().map(|candidate| (candidate.document_id, candidate.chunk_index)));
        let clearance = self.clearance;
        let read = self.tx().await?.chunks().at_positions(&positions, clearance).await?;
        let (wanted, neighbours) = read.into_iter().partition(|passage| ids.contains(&passage.chunk_id));
        Ok(PassageTexts { wanted, neighbours })
    }

    /// Ends the transaction, if one is open.
    pub(super) async fn end(&mut self) -> Result<(), StoreError> {
        match self.open.take() {
            Some(open) => open.commit().await,
            None => Ok(()),
        }
    }
}
