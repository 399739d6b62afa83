//! Memories of the current user: facts that the user asked the platform to remember, which go into later prompts.

use crate::rows::{KeysetParams, TextEnum, visible_classifications};
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::MemoryId;
use domain::memory::Memory;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{MemoryRepo, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use uuid::Uuid;

row! {
    struct MemoryRow, columns = memory_columns {
        id: Uuid,
        content: String,
        importance: f64,
        tags: Vec<String>,
        classification: TextEnum<Classification>,
        created_at: Timestamp,
    }
}

statements! {
    INSERT: () = Statement::insert(
        "memories",
        "storing a memory",
        "INSERT INTO memories
             (id, tenant_id, user_id, content, importance, tags, classification, created_at, updated_at)
         VALUES ($1, app_tenant(), app_user(), $2, $3, $4, $5, $6, $6)",
    );
    GET: MemoryRow = Statement::select(
        "memories",
        "reading a memory",
        concat!("SELECT ", memory_columns!(), " FROM memories WHERE id = $1"),
    );
    LIST: MemoryRow = Statement::select(
        "memories",
        "listing memories",
        concat!(
            "SELECT ",
            memory_columns!(),
            " FROM memories
             WHERE (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    MOST_IMPORTANT: MemoryRow = Statement::select(
        "memories",
        "recalling memories",
        concat!(
            "SELECT ",
            memory_columns!(),
            " FROM memories
             WHERE (expires_at IS NULL OR expires_at > $1) AND classification = ANY($2)
             ORDER BY importance DESC, created_at DESC, id DESC LIMIT $3"
        ),
    );
    DELETE: () = Statement::delete("memories", "deleting a memory", "DELETE FROM memories WHERE id = $1");
}

#[async_trait]
impl MemoryRepo for PgTenantTx {
    async fn insert(&mut self, memory: &Memory) -> Result<(), StoreError> {
        INSERT
            .query()
            .bind(memory.id.as_uuid())
            .bind(&memory.content)
            .bind(memory.importance)
            .bind(&memory.tags)
            .bind(memory.classification.as_str())
            .bind(memory.created_at)
            .execute(self.connection())
            .await
    }

    async fn get(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<Memory>, StoreError> {
        let keyset = KeysetParams::new(page);
        let query = LIST.query().bind(keyset.created_at).bind(keyset.id).bind(keyset.limit);
        let rows = query.fetch_all(self.connection()).await?;
        Ok(Page::from_rows(rows, page, |row: &Memory| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn most_important(
        &mut self,
        now: Timestamp,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError> {
        let query = MOST_IMPORTANT.query().bind(now).bind(visible_classifications(clearance)).bind(i64::from(limit));
        query.fetch_all(self.connection()).await
    }

    async fn delete(&mut self, id: MemoryId) -> Result<bool, StoreError> {
        Ok(DELETE.query().bind(id.as_uuid()).rows_affected(self.connection()).await? > 0)
    }
}

impl From<MemoryRow> for Memory {
    fn from(row: MemoryRow) -> Self {
        Self {
            id: row.id.into(),
            content: row.content,
            importance: row.importance,
            tags: row.tags,
            classification: row.classification.0,
            created_at: row.created_at,
        }
    }
}
