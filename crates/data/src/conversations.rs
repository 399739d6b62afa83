//! Conversations of the transaction's user.

use crate::error::failed;
use crate::rows::{Start, id, optional_word, word};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::conversation::{Conversation, ConversationPatch};
use domain::ids::ConversationId;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{ConversationRepo, StoreError};
use domain::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

#[async_trait]
impl ConversationRepo for PgTenantTx {
    async fn insert(&mut self, conversation: &Conversation) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO conversations (id, tenant_id, user_id, title, model, metadata, created_at, updated_at)
             VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7)",
        )
        .bind(conversation.id.as_uuid())
        .bind(conversation.user_id.as_uuid())
        .bind(&conversation.title)
        .bind(conversation.model.map(|tier| tier.as_str()))
        .bind(&conversation.metadata)
        .bind(conversation.created_at)
        .bind(conversation.updated_at)
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(failed("storing a conversation"))
    }

    async fn get(&mut self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        sqlx::query(
            "SELECT id, user_id, title, model, metadata, classification, created_at, updated_at FROM conversations WHERE id = $1",
        )
        .bind(id.as_uuid())
        .try_map(conversation)
        .fetch_optional(self.connection())
        .await
        .map_err(failed("reading a conversation"))
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<Conversation>, StoreError> {
        let start = Start::of(page);
        let rows = sqlx::query(
            "SELECT id, user_id, title, model, metadata, classification, created_at, updated_at FROM conversations
             WHERE (created_at, id) < (coalesce($1, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3",
        )
        .bind(start.at)
        .bind(start.id)
        .bind(start.fetch)
        .try_map(conversation)
        .fetch_all(self.connection())
        .await
        .map_err(failed("listing conversations"))?;
        Ok(Page::from_rows(rows, page, |row| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn update(
        &mut self,
        id: ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        sqlx::query(
            "UPDATE conversations
             SET title = coalesce($2, title), model = coalesce($3, model), metadata = coalesce($4, metadata),
                 updated_at = $5
             WHERE id = $1
             RETURNING id, user_id, title, model, metadata, classification, created_at, updated_at",
        )
        .bind(id.as_uuid())
        .bind(&patch.title)
        .bind(patch.model.map(|tier| tier.as_str()))
        .bind(&patch.metadata)
        .bind(now)
        .try_map(conversation)
        .fetch_optional(self.connection())
        .await
        .map_err(failed("changing a conversation"))
    }

    async fn delete(&mut self, id: ConversationId) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM conversations WHERE id = $1")
            .bind(id.as_uuid())
            .execute(self.connection())
            .await
            .map(|done| done.rows_affected() > 0)
            .map_err(failed("deleting a conversation"))
    }
}

fn conversation(row: PgRow) -> Result<Conversation, sqlx::Error> {
    Ok(Conversation {
        id: id(&row, "id")?,
        user_id: id(&row, "user_id")?,
        title: row.try_get("title")?,
        model: optional_word(&row, "model")?,
        metadata: row.try_get("metadata")?,
        classification: word(&row, "classification")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
