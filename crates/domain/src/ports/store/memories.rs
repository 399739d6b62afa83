//! The repository of memories.

use crate::ids::MemoryId;
use crate::memory::{Memory, MemoryPatch, MemoryStatus, MemoryVector};
use crate::page::{Page, PageRequest};
use crate::role::Classification;
use crate::store_error::StoreError;
use crate::time::Timestamp;
use async_trait::async_trait;

/// Memories of the scope's user.
#[async_trait]
pub trait MemoryRepo: Send {
    /// Inserts a memory.
    async fn insert(&mut self, memory: &Memory) -> Result<(), StoreError>;
    /// Inserts a suggestion; `false` if it already exists. With `max_open`, also `false` if the user has that many
    /// suggestions, or any memory with the same content. If the source was deleted, the row has no source.
    async fn suggest(&mut self, memory: &Memory, max_open: Option<u32>) -> Result<bool, StoreError>;
    /// Reads one row; `None` if it does not exist or row security hides it.
    async fn get(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError>;
    /// Lists a page of the memories within `clearance`, newest first; only those with `status` if one is given.
    async fn list(
        &mut self,
        status: Option<MemoryStatus>,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Memory>, StoreError>;
    /// Changes one row; `None` if it does not exist. Its vector is deleted if the content changes.
    async fn update(&mut self, id: MemoryId, patch: &MemoryPatch, now: Timestamp)
    -> Result<Option<Memory>, StoreError>;
    /// The most important active memories up to `max_classification` that have no vector of `model`, at most `limit`.
    async fn without_vector(
        &mut self,
        model: &str,
        now: Timestamp,
        max_classification: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError>;
    /// Stores the vectors that `model` has computed.
    async fn store_vectors(&mut self, model: &str, vectors: &[MemoryVector]) -> Result<(), StoreError>;
    /// The active memories within `clearance` with a vector of `model`, the nearest to `vector` first, at most `limit`.
    async fn nearest(
        &mut self,
        vector: &QueryVector<'_>,
        now: Timestamp,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError>;
    /// The most important active memories within `clearance` that have not expired, at most `limit`.
    async fn most_important(
        &mut self,
        now: Timestamp,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError>;
    /// Deletes a memory; `false` if it does not exist.
    async fn delete(&mut self, id: MemoryId) -> Result<bool, StoreError>;
}

/// A query's vector, and the model that computed it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct QueryVector<'a> {
    /// Components of the vector, of unit length.
    pub components: &'a [f32],
    /// Name of the model; only vectors of the same model can be compared.
    pub model: &'a str,
}
