//! Memories of the transaction's user.

use crate::error::failed;
use crate::rows::{Start, id, word, words_up_to};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::MemoryId;
use domain::memory::Memory;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{MemoryRepo, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

#[async_trait]
impl MemoryRepo for PgTenantTx {
    async fn insert(&mut self, memory: &Memory) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO memories (id, tenant_id, user_id, content, importance, tags, classification, created_at, updated_at)
             VALUES ($1, app_tenant(), app_user(), $2, $3, $4, $5, $6, $6)",
        )
        .bind(memory.id.as_uuid())
        .bind(&memory.content)
        .bind(memory.importance)
        .bind(&memory.tags)
        .bind(memory.classification.as_str())
        .bind(memory.created_at)
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(failed("storing a memory"))
    }

    async fn get(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError> {
        sqlx::query("SELECT id, content, importance, tags, classification, created_at FROM memories WHERE id = $1")
            .bind(id.as_uuid())
            .try_map(memory)
            .fetch_optional(self.connection())
            .await
            .map_err(failed("reading a memory"))
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<Memory>, StoreError> {
        let start = Start::of(page);
        let rows = sqlx::query(
            "SELECT id, content, importance, tags, classification, created_at FROM memories
             WHERE (created_at, id) < (coalesce($1, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3",
        )
        .bind(start.at)
        .bind(start.id)
        .bind(start.fetch)
        .try_map(memory)
        .fetch_all(self.connection())
        .await
        .map_err(failed("listing memories"))?;
        Ok(Page::from_rows(rows, page, |row| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn most_important(
        &mut self,
        now: Timestamp,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError> {
        sqlx::query(
            "SELECT id, content, importance, tags, classification, created_at FROM memories
             WHERE (expires_at IS NULL OR expires_at > $1) AND classification = ANY($2)
             ORDER BY importance DESC, created_at DESC, id DESC LIMIT $3",
        )
        .bind(now)
        .bind(words_up_to(clearance))
        .bind(i64::from(limit))
        .try_map(memory)
        .fetch_all(self.connection())
        .await
        .map_err(failed("recalling memories"))
    }

    async fn delete(&mut self, id: MemoryId) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM memories WHERE id = $1")
            .bind(id.as_uuid())
            .execute(self.connection())
            .await
            .map(|done| done.rows_affected() > 0)
            .map_err(failed("deleting a memory"))
    }
}

fn memory(row: PgRow) -> Result<Memory, sqlx::Error> {
    Ok(Memory {
        id: id(&row, "id")?,
        content: row.try_get("content")?,
        importance: row.try_get("importance")?,
        tags: row.try_get("tags")?,
        classification: word(&row, "classification")?,
        created_at: row.try_get("created_at")?,
    })
}
