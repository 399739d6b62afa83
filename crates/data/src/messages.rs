//! Messages in the conversations of the current user.

use crate::rows::TextEnum;
use crate::statement::{Scalar, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::conversation::{
    BranchSummary, Citation, FinishedAnswer, Message, MessageAuthor, MessageRole, MessageStatus, NewMessage, Sources,
    TextRange,
};
use domain::ids::{ConversationId, MessageId, TeamId};
use domain::ports::{MessageRepo, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use sqlx::types::Json;
use std::iter;
use uuid::Uuid;

row! {
    struct MessageRow {
        id: Uuid,
        conversation_id: Uuid,
        parent_id: Option<Uuid>,
        seq: i64,
        role: TextEnum<MessageRole>,
        content: String,
        status: TextEnum<MessageStatus>,
        token_count: Option<i32>,
        citations: Json<Vec<Citation>>,
        model: Option<String>,
        classification: TextEnum<Classification>,
        sources: Json<Sources>,
        degraded: bool,
        unsupported: Json<Vec<TextRange>>,
        summary: Option<Json<BranchSummary>>,
        author_id: Option<Uuid>,
        author_name: Option<String>,
        source_teams: Json<Vec<TeamId>>,
        created_at: Timestamp,
    }
}

/// The columns of [`MessageRow`] in a statement on `messages`, or on a table with the same columns.
macro_rules! message_columns {
    ($table:literal) => {
        concat!(
            "id, conversation_id, parent_id, seq, role, content, status, token_count, citations, model, classification,
             sources, coalesce(metadata -> 'degraded' = 'true', false) AS degraded,
             coalesce(metadata -> 'unsupported', '[]') AS unsupported, summary,
             coalesce(metadata -> 'teams', '[]') AS source_teams,
             CASE WHEN team_id IS NOT NULL AND role = 'user' THEN author_id END AS author_id,
             CASE WHEN team_id IS NOT NULL AND role = 'user' THEN
                 (SELECT coalesce(nullif(u.display_name, ''), u.email) FROM users AS u
                  WHERE u.tenant_id = ",
            $table,
            ".tenant_id AND u.id = ",
            $table,
            ".author_id) END AS author_name,
             created_at"
        )
    };
}

statements! {
    /// Inserts the messages with the conversation's next sequence numbers, and returns those numbers. The row lock on
    /// the conversation is held until the transaction ends, so concurrent turns get later numbers.
    APPEND: Scalar<i64> = Statement::insert(
        "messages",
        "appending messages",
        "WITH new AS (
             SELECT *, lag(id, 1, $9) OVER (ORDER BY number) AS parent_id
             FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[])
                  WITH ORDINALITY AS new (id, role, content, status, token_count, classification, number)
         ), numbered AS (
             UPDATE conversations
             SET next_seq = next_seq + cardinality($3), updated_at = greatest(updated_at, $2),
                 active_message_id = coalesce(($3::uuid[])[cardinality($3)], active_message_id)
             WHERE id = $1 RETURNING next_seq - cardinality($3) - 1 AS previous_seq, user_id
         )
         INSERT INTO messages
             (id, tenant_id, conversation_id, user_id, parent_id, seq, role, content, status, token_count,
              classification, instance, created_at)
         SELECT new.id, app_tenant(), $1, numbered.user_id, new.parent_id, numbered.previous_seq + new.number, new.role,
                new.content, new.status, new.token_count, new.classification,
                CASE WHEN new.status = 'streaming' THEN app_instance() END, $2
         FROM numbered, new
         RETURNING seq",
    );
    /// Also finishes an abandoned answer: its process may be alive and only have lost its liveness lock, as after a
    /// restart of the database.
    FINISH: () = Statement::update(
        "messages",
        "finishing an answer",
        "WITH finished AS (
             UPDATE messages
             SET content = $2, status = $3, token_count = $4, citations = $5, model = $6, metadata = $7,
                 classification = $8, sources = $9
             WHERE id = $1 AND (status = 'streaming' OR metadata ? 'abandoned')
             RETURNING tenant_id, conversation_id
         ), raised AS (
             UPDATE conversations AS c SET classification = higher_classification(c.classification, $8)
             FROM finished WHERE c.tenant_id = finished.tenant_id AND c.id = finished.conversation_id)
         SELECT 1 FROM finished",
    );
    NEWEST: MessageRow = Statement::select(
        "messages",
        "reading messages",
        concat!(
            "SELECT ",
            message_columns!("messages"),
            " FROM messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT $2"
        ),
    );
    GET: MessageRow = Statement::select(
        "messages",
        "reading a message",
        concat!("SELECT ", message_columns!("messages"), " FROM messages WHERE id = $1"),
    );
    /// Each step of the recursion finds one message by its key. A message has a higher `seq` than its parent, so
    /// ordering by `seq` returns the branch from its first message to its last.
    BRANCH: MessageRow = Statement::select(
        "messages",
        "reading a branch",
        concat!(
            "WITH RECURSIVE branch AS (
                 SELECT m.*, 1 AS length FROM messages AS m WHERE m.id = $2 AND m.conversation_id = $1
                 UNION ALL
                 SELECT earlier.*, branch.length + 1
                 FROM branch JOIN messages AS earlier
                     ON earlier.tenant_id = branch.tenant_id AND earlier.id = branch.parent_id
                 WHERE branch.length < $3)
             SELECT ",
            message_columns!("branch"),
            " FROM branch ORDER BY seq"
        ),
    );
    SUMMARIZE: () = Statement::update(
        "messages",
        "summarizing a branch",
        "UPDATE messages SET summary = $2 WHERE id = $1",
    );
    FAIL_ABANDONED_ANSWERS: () = Statement::update(
        "messages",
        "failing abandoned answers",
        "UPDATE messages SET status = 'error', metadata = metadata || '{\"abandoned\": true}'
         WHERE status = 'streaming'
           AND (created_at < $1 OR instance IS NOT NULL AND NOT instance_is_alive(instance))",
    );
}

#[async_trait]
impl MessageRepo for PgTenantTx {
    async fn append(
        &mut self,
        conversation: ConversationId,
        parent: Option<MessageId>,
        messages: &[NewMessage],
        now: Timestamp,
    ) -> Result<Option<Vec<Message>>, StoreError> {
        let append = APPEND
            .query()
            .bind(conversation.as_uuid())
            .bind(now)
            .bind(messages.iter().map(|m| m.id.as_uuid()).collect::<Vec<_>>())
            .bind(messages.iter().map(|m| m.role.as_str()).collect::<Vec<_>>())
            .bind(messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>())
            .bind(messages.iter().map(|m| m.status.as_str()).collect::<Vec<_>>())
            .bind(messages.iter().map(|m| m.token_count).collect::<Vec<_>>())
            .bind(messages.iter().map(|m| m.classification.as_str()).collect::<Vec<_>>())
            .bind(parent.map(|parent| parent.as_uuid()));
        let seqs: Vec<i64> = append.scalars(self.connection()).await?;
        let Some(first) = seqs.into_iter().min() else { return Ok(None) };
        let parents = iter::once(parent).chain(messages.iter().map(|message| Some(message.id)));
        let appended = (first..).zip(messages).zip(parents);
        Ok(Some(
            appended
                .map(|((seq, new), parent_id)| Message { parent_id, ..to_message(conversation, seq, new, now) })
                .collect(),
        ))
    }

    async fn get(&mut self, id: MessageId) -> Result<Option<Message>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn branch(
        &mut self,
        conversation: ConversationId,
        last: MessageId,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        let branch = BRANCH.query().bind(conversation.as_uuid()).bind(last.as_uuid()).bind(i64::from(limit));
        branch.fetch_all(self.connection()).await
    }

    async fn finish(&mut self, id: MessageId, answer: &FinishedAnswer) -> Result<bool, StoreError> {
        let finish = FINISH
            .query()
            .bind(id.as_uuid())
            .bind(&answer.content)
            .bind(answer.status.as_str())
            .bind(answer.token_count)
            .bind(Json(&answer.citations))
            .bind(&answer.model)
            .bind(&answer.metadata)
            .bind(answer.classification.as_str())
            .bind(Json(&answer.sources));
        Ok(finish.rows_affected(self.connection()).await? > 0)
    }

    async fn summarize(&mut self, last: MessageId, summary: &BranchSummary) -> Result<bool, StoreError> {
        let summarize = SUMMARIZE.query().bind(last.as_uuid()).bind(Json(summary));
        Ok(summarize.rows_affected(self.connection()).await? > 0)
    }

    async fn newest(&mut self, conversation: ConversationId, limit: u32) -> Result<Vec<Message>, StoreError> {
        let newest = NEWEST.query().bind(conversation.as_uuid()).bind(i64::from(limit));
        let mut messages = newest.fetch_all(self.connection()).await?;
        messages.reverse();
        Ok(messages)
    }

    async fn fail_abandoned_answers(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        FAIL_ABANDONED_ANSWERS.query().bind(before).rows_affected(self.connection()).await
    }
}

fn to_message(conversation_id: ConversationId, seq: i64, new: &NewMessage, now: Timestamp) -> Message {
    Message {
        id: new.id,
        conversation_id,
        parent_id: None,
        seq,
        role: new.role,
        content: new.content.clone(),
        status: new.status,
        token_count: new.token_count,
        citations: Vec::new(),
        model: None,
        classification: new.classification,
        sources: Sources::default(),
        unsupported_statements: Vec::new(),
        withheld: false,
        degraded: false,
        summary: None,
        author: None,
        source_teams: Vec::new(),
        created_at: now,
    }
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        Self {
            id: row.id.into(),
            conversation_id: row.conversation_id.into(),
            parent_id: row.parent_id.map(Into::into),
            seq: row.seq,
            role: row.role.0,
            content: row.content,
            status: row.status.0,
            token_count: row.token_count,
            citations: row.citations.0,
            model: row.model,
            classification: row.classification.0,
            sources: row.sources.0,
            unsupported_statements: row.unsupported.0,
            withheld: false,
            degraded: row.degraded,
            summary: row.summary.map(|summary| summary.0),
            author: row.author_id.map(|id| MessageAuthor { id: id.into(), name: row.author_name.unwrap_or_default() }),
            source_teams: row.source_teams.0,
            created_at: row.created_at,
        }
    }
}
