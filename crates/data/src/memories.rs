//! Memories of the current user: facts to include in later prompts.

use crate::rows::{KeysetParams, TextEnum, visible_classifications};
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::{ConversationId, MemoryId, MessageId};
use domain::memory::{Memory, MemoryOrigin, MemoryPatch, MemorySource, MemoryStatus, MemoryVector};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{MemoryRepo, QueryVector, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use pgvector::Vector;
use uuid::Uuid;

row! {
    struct MemoryRow {
        id: Uuid,
        content: String,
        importance: f64,
        tags: Vec<String>,
        origin: TextEnum<MemoryOrigin>,
        status: TextEnum<MemoryStatus>,
        classification: TextEnum<Classification>,
        source_conversation_id: Option<Uuid>,
        source_message_id: Option<Uuid>,
        expires_at: Option<Timestamp>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

/// The columns of a [`MemoryRow`].
macro_rules! memory_columns {
    () => {
        "id, content, importance, tags, source_type AS origin, status, classification, source_conversation_id,
         source_message_id, expires_at, created_at, updated_at"
    };
}

statements! {
    INSERT: () = Statement::insert(
        "memories",
        "storing a memory",
        "INSERT INTO memories
             (id, tenant_id, user_id, content, importance, tags, classification, expires_at, created_at, updated_at)
         VALUES ($1, app_tenant(), app_user(), $2, $3, $4, $5, $6, $7, $7)",
    );
    /// If the limit `$10` is given, inserts nothing if the user already has a memory with this content or `$10` open
    /// suggestions.
    SUGGEST: () = Statement::insert(
        "memories",
        "storing a suggested memory",
        "INSERT INTO memories
             (id, tenant_id, user_id, content, importance, tags, classification, source_type, status,
              source_conversation_id, source_message_id, created_at, updated_at)
         SELECT $1, app_tenant(), app_user(), $2, $3, $4, $5, $6, 'suggested', s.id, s.message_id, $7, $7
         FROM (SELECT) AS one LEFT JOIN (SELECT c.id, $9::uuid AS message_id FROM conversations c WHERE c.id = $8) AS s
              ON true
         WHERE $10::bigint IS NULL
            OR (NOT EXISTS (SELECT FROM memories known WHERE known.content = $2)
                AND (SELECT count(*) FROM memories open WHERE open.status = 'suggested') < $10)
         ON CONFLICT (tenant_id, id) DO NOTHING",
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
             WHERE ($4::text IS NULL OR status = $4) AND classification = ANY($5)
               AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    UPDATE: MemoryRow = Statement::update(
        "memories",
        "changing a memory",
        concat!(
            "UPDATE memories
             SET content = coalesce($2, content), importance = coalesce($3, importance), tags = coalesce($4, tags),
                 expires_at = CASE WHEN $5 THEN $6 ELSE expires_at END,
                 status = CASE WHEN $7 THEN 'active' ELSE status END,
                 embedding = CASE WHEN $2 <> content THEN NULL ELSE embedding END,
                 embedding_model = CASE WHEN $2 <> content THEN NULL ELSE embedding_model END,
                 updated_at = $8
             WHERE id = $1 RETURNING ",
            memory_columns!()
        ),
    );
    MOST_IMPORTANT: MemoryRow = Statement::select(
        "memories",
        "recalling memories",
        concat!(
            "SELECT ",
            memory_columns!(),
            " FROM memories
             WHERE status = 'active' AND (expires_at IS NULL OR expires_at > $1) AND classification = ANY($2)
             ORDER BY importance DESC, created_at DESC, id DESC LIMIT $3"
        ),
    );
    WITHOUT_VECTOR: MemoryRow = Statement::select(
        "memories",
        "reading memories to embed",
        concat!(
            "SELECT ",
            memory_columns!(),
            " FROM memories
             WHERE status = 'active' AND (expires_at IS NULL OR expires_at > $1) AND classification = ANY($2)
               AND embedding_model IS DISTINCT FROM $4
             ORDER BY importance DESC, created_at DESC, id DESC LIMIT $3"
        ),
    );
    STORE_VECTOR: () = Statement::update(
        "memories",
        "storing the vector of a memory",
        "UPDATE memories SET embedding = $2, embedding_model = $3 WHERE id = $1 AND content = $4",
    );
    /// A user has few memories, so this compares all of their vectors without an index.
    NEAREST: MemoryRow = Statement::select(
        "memories",
        "searching memories",
        concat!(
            "SELECT ",
            memory_columns!(),
            " FROM memories
             WHERE status = 'active' AND (expires_at IS NULL OR expires_at > $1) AND classification = ANY($2)
               AND embedding_model = $4
             ORDER BY embedding <=> $5, importance DESC, id DESC LIMIT $3"
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
            .bind(memory.expires_at)
            .bind(memory.created_at)
            .execute(self.connection())
            .await
    }

    async fn suggest(&mut self, memory: &Memory, max_open: Option<u32>) -> Result<bool, StoreError> {
        let suggest = SUGGEST
            .query()
            .bind(memory.id.as_uuid())
            .bind(&memory.content)
            .bind(memory.importance)
            .bind(&memory.tags)
            .bind(memory.classification.as_str())
            .bind(memory.origin.as_str())
            .bind(memory.created_at)
            .bind(memory.source.map(|source| source.conversation.as_uuid()))
            .bind(memory.source.map(|source| source.message.as_uuid()))
            .bind(max_open.map(i64::from));
        Ok(suggest.rows_affected(self.connection()).await? > 0)
    }

    async fn get(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn list(
        &mut self,
        status: Option<MemoryStatus>,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Memory>, StoreError> {
        let keyset = KeysetParams::new(page);
        let rows = LIST
            .query()
            .bind(keyset.created_at)
            .bind(keyset.id)
            .bind(keyset.limit)
            .bind(status.map(MemoryStatus::as_str))
            .bind(visible_classifications(clearance))
            .fetch_all(self.connection())
            .await?;
        Ok(Page::from_rows(rows, page, |row: &Memory| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn update(
        &mut self,
        id: MemoryId,
        patch: &MemoryPatch,
        now: Timestamp,
    ) -> Result<Option<Memory>, StoreError> {
        UPDATE
            .query()
            .bind(id.as_uuid())
            .bind(&patch.content)
            .bind(patch.importance)
            .bind(&patch.tags)
            .bind(patch.expires_at.is_some())
            .bind(patch.expires_at.flatten())
            .bind(patch.activate)
            .bind(now)
            .fetch_optional(self.connection())
            .await
    }

    async fn without_vector(
        &mut self,
        model: &str,
        now: Timestamp,
        max_classification: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError> {
        let query = WITHOUT_VECTOR.query().bind(now).bind(visible_classifications(max_classification));
        query.bind(i64::from(limit)).bind(model).fetch_all(self.connection()).await
    }

    async fn store_vectors(&mut self, model: &str, vectors: &[MemoryVector]) -> Result<(), StoreError> {
        for MemoryVector { memory, components } in vectors {
            STORE_VECTOR
                .query()
                .bind(memory.id.as_uuid())
                .bind(Vector::from(components.clone()))
                .bind(model)
                .bind(&memory.content)
                .execute(self.connection())
                .await?;
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
        NEAREST
            .query()
            .bind(now)
            .bind(visible_classifications(clearance))
            .bind(i64::from(limit))
            .bind(vector.model)
            .bind(Vector::from(vector.components.to_vec()))
            .fetch_all(self.connection())
            .await
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
        let conversation = row.source_conversation_id.map(ConversationId::from_uuid);
        let message = row.source_message_id.map(MessageId::from_uuid);
        let source = conversation.zip(message);
        Self {
            id: row.id.into(),
            content: row.content,
            importance: row.importance,
            tags: row.tags,
            origin: row.origin.0,
            status: row.status.0,
            classification: row.classification.0,
            source: source.map(|(conversation, message)| MemorySource { conversation, message }),
            expires_at: row.expires_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
