//! The in-memory repository of memories.

use super::{InMemoryTx, Row, constraint_error, page_of};
use async_trait::async_trait;
use domain::ids::MemoryId;
use domain::memory::{Memory, MemoryPatch, MemoryStatus, MemoryVector};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{MemoryRepo, QueryVector, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use std::cmp::Reverse;

/// A memory with its vector.
#[derive(Clone, Debug)]
pub(super) struct StoredMemory {
    memory: Memory,
    vector: Option<StoredVector>,
}

#[derive(Clone, Debug)]
struct StoredVector {
    model: String,
    components: Vec<f32>,
}

impl StoredMemory {
    fn is_usable(&self, now: Timestamp, clearance: Classification) -> bool {
        let Memory { status, expires_at, classification, .. } = &self.memory;
        *status == MemoryStatus::Active
            && expires_at.is_none_or(|expires_at| expires_at > now)
            && *classification <= clearance
    }
}

impl InMemoryTx {
    /// The user's active, unexpired memories within a clearance, most important first.
    fn usable_memories(&self, now: Timestamp, clearance: Classification) -> Vec<StoredMemory> {
        let is_owned = self.owner_filter();
        let is_usable = |row: &&Row<StoredMemory>| is_owned(row) && row.value.is_usable(now, clearance);
        let mut found: Vec<StoredMemory> =
            self.read(|s| s.memories.iter().filter(is_usable).map(|row| row.value.clone()).collect());
        found.sort_by_key(|stored| Reverse((stored.memory.created_at, stored.memory.id)));
        found.sort_by(|a, b| b.memory.importance.total_cmp(&a.memory.importance));
        found
    }

    async fn push_memory(&mut self, memory: Memory) -> Result<(), StoreError> {
        let (tenant, user) = (self.tenant(), self.scope.user());
        if user.is_none() {
            return Err(constraint_error("storing a memory", "it has no user"));
        }
        let value = StoredMemory { memory, vector: None };
        self.write().await?.memories.push(Row { tenant, user, value });
        Ok(())
    }
}

#[async_trait]
impl MemoryRepo for InMemoryTx {
    async fn insert(&mut self, memory: &Memory) -> Result<(), StoreError> {
        self.push_memory(memory.clone()).await
    }

    async fn suggest(&mut self, memory: &Memory, max_open: Option<u32>) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let existing: Vec<Memory> =
            self.read(|s| s.memories.iter().filter(|r| is_owned(r)).map(|r| r.value.memory.clone()).collect());
        let open = existing.iter().filter(|other| other.status == MemoryStatus::Suggested).count();
        let is_surplus = max_open
            .is_some_and(|max| open >= max as usize || existing.iter().any(|other| other.content == memory.content));
        if is_surplus || existing.iter().any(|other| other.id == memory.id) {
            return Ok(false);
        }
        let is_own_conversation = self.owner_filter();
        let exists = |id| self.read(|s| s.conversations.iter().any(|r| is_own_conversation(r) && r.value.id == id));
        let source = memory.source.filter(|source| exists(source.conversation));
        self.push_memory(Memory { source, status: MemoryStatus::Suggested, ..memory.clone() }).await?;
        Ok(true)
    }

    async fn get(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError> {
        let is_owned = self.owner_filter();
        let is_match = |row: &&Row<StoredMemory>| is_owned(row) && row.value.memory.id == id;
        Ok(self.read(|s| s.memories.iter().find(is_match).map(|row| row.value.memory.clone())))
    }

    async fn list(
        &mut self,
        status: Option<MemoryStatus>,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Memory>, StoreError> {
        let is_owned = self.owner_filter();
        let is_listed = |row: &&Row<StoredMemory>| {
            let memory = &row.value.memory;
            is_owned(row) && memory.classification <= clearance && status.is_none_or(|status| memory.status == status)
        };
        let rows = self.read(|s| s.memories.iter().filter(is_listed).map(|row| row.value.memory.clone()).collect());
        Ok(page_of(rows, page, |row: &Memory| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn update(
        &mut self,
        id: MemoryId,
        patch: &MemoryPatch,
        now: Timestamp,
    ) -> Result<Option<Memory>, StoreError> {
        let is_owned = self.owner_filter();
        let rows = &mut self.write().await?.memories;
        let Some(row) = rows.iter_mut().find(|row| is_owned(row) && row.value.memory.id == id) else { return Ok(None) };
        let StoredMemory { memory, vector } = &mut row.value;
        if patch.content.as_ref().is_some_and(|content| *content != memory.content) {
            *vector = None;
        }
        let MemoryPatch { content, importance, tags, expires_at, activate } = patch.clone();
        memory.content = content.unwrap_or_else(|| std::mem::take(&mut memory.content));
        memory.importance = importance.unwrap_or(memory.importance);
        memory.tags = tags.unwrap_or_else(|| std::mem::take(&mut memory.tags));
        memory.expires_at = expires_at.unwrap_or(memory.expires_at);
        memory.status = if activate { MemoryStatus::Active } else { memory.status };
        memory.updated_at = now;
        Ok(Some(memory.clone()))
    }

    async fn without_vector(
        &mut self,
        model: &str,
        now: Timestamp,
        max_class: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError> {
        let usable = self.usable_memories(now, max_class).into_iter();
        let missing = usable.filter(|stored| stored.vector.as_ref().is_none_or(|vector| vector.model != model));
        Ok(missing.map(|stored| stored.memory).take(limit as usize).collect())
    }

    async fn store_vectors(&mut self, model: &str, vectors: &[MemoryVector]) -> Result<(), StoreError> {
        let is_owned = self.owner_filter();
        let rows = &mut self.write().await?.memories;
        for MemoryVector { memory, components } in vectors {
            let is_same = |stored: &Memory| stored.id == memory.id && stored.content == memory.content;
            if let Some(row) = rows.iter_mut().find(|row| is_owned(row) && is_same(&row.value.memory)) {
                let components = components.clone();
                row.value.vector = Some(StoredVector { model: model.to_owned(), components });
            }
        }
        Ok(())
    }

    async fn nearest(
        &mut self,
        vector: &QueryVector<'_>,
        now: Timestamp,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError> {
        // Vectors have unit length, so the inner product is the cosine.
        let similarity = |stored: &StoredVector| -> f32 {
            stored.components.iter().zip(vector.components).map(|(a, b)| a * b).sum()
        };
        let mut found: Vec<(f32, Memory)> = self
            .usable_memories(now, clearance)
            .into_iter()
            .filter_map(|stored| {
                let vector = stored.vector.filter(|stored| stored.model == vector.model)?;
                Some((similarity(&vector), stored.memory))
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(found.into_iter().map(|(_, memory)| memory).take(limit as usize).collect())
    }

    async fn most_important(
        &mut self,
        now: Timestamp,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError> {
        let usable = self.usable_memories(now, clearance).into_iter();
        Ok(usable.map(|stored| stored.memory).take(limit as usize).collect())
    }

    async fn delete(&mut self, id: MemoryId) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let memories = &mut self.write().await?.memories;
        let count_before = memories.len();
        memories.retain(|row| !(is_owned(row) && row.value.memory.id == id));
        Ok(memories.len() < count_before)
    }
}
