//! Messages of the transaction's user.

use crate::error::failed;
use crate::rows::{id, json, word};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::conversation::{FinishedAnswer, Message, NewMessage, Sources};
use domain::ids::{ConversationId, MessageId};
use domain::ports::{MessageRepo, StoreError};
use domain::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

#[async_trait]
impl MessageRepo for PgTenantTx {
    async fn append(
        &mut self,
        conversation: ConversationId,
        messages: &[NewMessage],
        now: Timestamp,
    ) -> Result<Option<Vec<Message>>, StoreError> {
        // Locks the conversation until the transaction ends: the next turn's numbers come after these.
        let count = i64::try_from(messages.len()).unwrap_or(i64::MAX);
        let first: Option<i64> = sqlx::query_scalar(
            "UPDATE conversations SET next_seq = next_seq + $2, updated_at = greatest(updated_at, $3)
             WHERE id = $1 RETURNING next_seq - $2",
        )
        .bind(conversation.as_uuid())
        .bind(count)
        .bind(now)
        .fetch_optional(self.connection())
        .await
        .map_err(failed("numbering messages"))?;
        let Some(first) = first else { return Ok(None) };
        let numbered: Vec<Message> =
            (first..).zip(messages).map(|(seq, new)| message_of(conversation, seq, new, now)).collect();
        insert(self, conversation, &numbered, now).await?;
        Ok(Some(numbered))
    }

    async fn finish(&mut self, id: MessageId, answer: &FinishedAnswer) -> Result<bool, StoreError> {
        sqlx::query(
            "WITH closed AS (
                 UPDATE messages
                 SET content = $2, status = $3, token_count = $4, citations = $5, model = $6, metadata = $7,
                     classification = $8, sources = $9
                 WHERE id = $1 AND status = 'streaming'
                 RETURNING tenant_id, conversation_id
             ), raised AS (
                 UPDATE conversations AS c SET classification = higher_classification(c.classification, $8)
                 FROM closed WHERE c.tenant_id = closed.tenant_id AND c.id = closed.conversation_id)
             SELECT 1 FROM closed",
        )
        .bind(id.as_uuid())
        .bind(&answer.content)
        .bind(answer.status.as_str())
        .bind(answer.token_count)
        .bind(Json(&answer.citations))
        .bind(&answer.model)
        .bind(&answer.metadata)
        .bind(answer.classification.as_str())
        .bind(Json(&answer.sources))
        .execute(self.connection())
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("closing an answer"))
    }

    async fn newest(&mut self, conversation: ConversationId, limit: u32) -> Result<Vec<Message>, StoreError> {
        let mut messages = sqlx::query(
            "SELECT id, conversation_id, seq, role, content, status, token_count, citations, model, classification,
                    sources, coalesce(metadata -> 'degraded' = 'true', false) AS degraded, created_at
             FROM messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(conversation.as_uuid())
        .bind(i64::from(limit))
        .try_map(message)
        .fetch_all(self.connection())
        .await
        .map_err(failed("reading messages"))?;
        messages.reverse();
        Ok(messages)
    }

    async fn fail_stale_answers(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        sqlx::query("UPDATE messages SET status = 'error' WHERE status = 'streaming' AND created_at < $1")
            .bind(before)
            .execute(self.connection())
            .await
            .map(|done| done.rows_affected())
            .map_err(failed("closing abandoned answers"))
    }
}

async fn insert(
    tx: &mut PgTenantTx,
    conversation: ConversationId,
    messages: &[Message],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO messages
             (id, tenant_id, conversation_id, user_id, seq, role, content, status, token_count, classification, created_at)
         SELECT id, app_tenant(), $1, app_user(), seq, role, content, status, token_count, classification, $2
         FROM unnest($3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::integer[], $9::text[])
              AS new (id, seq, role, content, status, token_count, classification)",
    )
    .bind(conversation.as_uuid())
    .bind(now)
    .bind(messages.iter().map(|m| m.id.as_uuid()).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.seq).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.role.as_str()).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.status.as_str()).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.token_count).collect::<Vec<_>>())
    .bind(messages.iter().map(|m| m.classification.as_str()).collect::<Vec<_>>())
    .execute(tx.connection())
    .await
    .map(drop)
    .map_err(failed("appending messages"))
}

fn message_of(conversation_id: ConversationId, seq: i64, new: &NewMessage, now: Timestamp) -> Message {
    Message {
        id: new.id,
        conversation_id,
        seq,
        role: new.role,
        content: new.content.clone(),
        status: new.status,
        token_count: new.token_count,
        citations: Vec::new(),
        model: None,
        classification: new.classification,
        sources: Sources::default(),
        withheld: false,
        degraded: false,
        created_at: now,
    }
}

fn message(row: PgRow) -> Result<Message, sqlx::Error> {
    Ok(Message {
        id: id(&row, "id")?,
        conversation_id: id(&row, "conversation_id")?,
        seq: row.try_get("seq")?,
        role: word(&row, "role")?,
        content: row.try_get("content")?,
        status: word(&row, "status")?,
        token_count: row.try_get("token_count")?,
        citations: json(&row, "citations")?,
        model: row.try_get("model")?,
        classification: word(&row, "classification")?,
        sources: json(&row, "sources")?,
        withheld: false,
        degraded: row.try_get("degraded")?,
        created_at: row.try_get("created_at")?,
    })
}
