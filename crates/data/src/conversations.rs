//! Conversations of the current user, or of the current team. Row-level security hides all others.

use crate::rows::{KeysetParams, TextEnum, visible_classifications};
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::conversation::{Conversation, ConversationFilter, ConversationPatch};
use domain::ids::ConversationId;
use domain::model::TierChoice;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{ConversationRepo, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

row! {
    struct ConversationRow {
        id: Uuid,
        user_id: Uuid,
        team_id: Option<Uuid>,
        title: Option<String>,
        model: Option<TextEnum<TierChoice>>,
        metadata: Value,
        classification: TextEnum<Classification>,
        archived: bool,
        active_message_id: Option<Uuid>,
        is_busy: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

/// The columns of [`ConversationRow`] in a statement on `conversations`.
macro_rules! conversation_columns {
    () => {
        "id, user_id, team_id, title, model, metadata, classification, archived, active_message_id,
         EXISTS (SELECT FROM messages AS m
                 WHERE m.tenant_id = conversations.tenant_id AND m.conversation_id = conversations.id
                   AND m.status = 'streaming') AS is_busy,
         created_at, updated_at"
    };
}

/// The SQL that lists conversations. `$5` is searched in titles, in questions, and in those answers of which neither
/// the answer nor a source is classified above the clearance, and that are not written from a team's documents. In a
/// team's space, titles and questions of other members are searched within the clearance only. `$6` lists the
/// classifications within the clearance.
macro_rules! list {
    ($owner:literal) => {
        concat!(
            "SELECT ",
            conversation_columns!(),
            " FROM conversations
             WHERE ",
            $owner,
            " AND ($4::boolean IS NULL OR archived = $4)
               AND ($5::text IS NULL
                    OR strpos(lower(coalesce(title, '')), lower($5)) > 0
                       AND (team_id IS NULL OR user_id = app_user()
                            OR classification = ANY($6) AND 'internal' = ANY($6))
                    OR EXISTS (
                   SELECT FROM messages AS m
                   WHERE m.tenant_id = conversations.tenant_id AND m.conversation_id = conversations.id
                     AND strpos(lower(m.content), lower($5)) > 0
                     AND (m.role = 'user' AND (m.team_id IS NULL OR m.author_id = app_user()
                                               OR m.classification = ANY($6))
                          OR m.role <> 'user' AND m.classification = ANY($6) AND NOT m.metadata ? 'teams'
                             AND NOT EXISTS (
                         SELECT FROM jsonb_each_text(m.sources) AS source (document, recorded)
                         LEFT JOIN documents AS d ON d.tenant_id = m.tenant_id AND d.id = source.document::uuid
                         LEFT JOIN document_tombstones AS t
                             ON t.tenant_id = m.tenant_id AND t.document_id = source.document::uuid
                         WHERE coalesce(d.classification, t.classification, source.recorded) <> ALL ($6)))))
               AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        )
    };
}

statements! {
    INSERT: () = Statement::insert(
        "conversations",
        "storing a conversation",
        "INSERT INTO conversations (id, tenant_id, user_id, title, model, metadata, created_at, updated_at)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7)",
    );
    GET: ConversationRow = Statement::select(
        "conversations",
        "reading a conversation",
        concat!("SELECT ", conversation_columns!(), " FROM conversations WHERE id = $1"),
    );
    /// The owner is named beside the policy, so that its index is used.
    LIST: ConversationRow = Statement::select("conversations", "listing conversations", list!("user_id = app_user()"));
    LIST_TEAM: ConversationRow = Statement::select(
        "conversations",
        "listing a team's conversations",
        list!("team_id = app_team()"),
    );
    UPDATE: ConversationRow = Statement::update(
        "conversations",
        "changing a conversation",
        concat!(
            "UPDATE conversations
             SET title = coalesce($2, title), model = coalesce($3, model), metadata = coalesce($4, metadata),
                 archived = coalesce($5, archived), active_message_id = coalesce($6, active_message_id),
                 updated_at = $7
             WHERE id = $1
             RETURNING ",
            conversation_columns!()
        ),
    );
    SET_FIRST_TITLE: () = Statement::update(
        "conversations",
        "giving a conversation a title",
        "UPDATE conversations SET title = $2 WHERE id = $1 AND title IS NULL",
    );
    DELETE: () = Statement::delete(
        "conversations",
        "deleting a conversation",
        "DELETE FROM conversations WHERE id = $1",
    );
}

#[async_trait]
impl ConversationRepo for PgTenantTx {
    async fn insert(&mut self, conversation: &Conversation) -> Result<(), StoreError> {
        INSERT
            .query()
            .bind(conversation.id.as_uuid())
            .bind(conversation.user_id.as_uuid())
            .bind(&conversation.title)
            .bind(conversation.model.map(|tier| tier.as_str()))
            .bind(&conversation.metadata)
            .bind(conversation.created_at)
            .bind(conversation.updated_at)
            .execute(self.connection())
            .await
    }

    async fn get(&mut self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn list(
        &mut self,
        filter: &ConversationFilter,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Conversation>, StoreError> {
        let keyset = KeysetParams::new(page);
        let list = if self.scope().team().is_some() { LIST_TEAM } else { LIST };
        let query = list
            .query()
            .bind(keyset.created_at)
            .bind(keyset.id)
            .bind(keyset.limit)
            .bind(filter.archived)
            .bind(&filter.text)
            .bind(visible_classifications(clearance));
        let rows = query.fetch_all(self.connection()).await?;
        Ok(Page::from_rows(rows, page, |row: &Conversation| PageKey {
            created_at: row.created_at,
            id: row.id.as_uuid(),
        }))
    }

    async fn update(
        &mut self,
        id: ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        UPDATE
            .query()
            .bind(id.as_uuid())
            .bind(&patch.title)
            .bind(patch.model.map(|tier| tier.as_str()))
            .bind(&patch.metadata)
            .bind(patch.archived)
            .bind(patch.active_message_id.map(|message| message.as_uuid()))
            .bind(now)
            .fetch_optional(self.connection())
            .await
    }

    async fn set_first_title(&mut self, id: ConversationId, title: &str) -> Result<bool, StoreError> {
        Ok(SET_FIRST_TITLE.query().bind(id.as_uuid()).bind(title).rows_affected(self.connection()).await? > 0)
    }

    async fn delete(&mut self, id: ConversationId) -> Result<bool, StoreError> {
        Ok(DELETE.query().bind(id.as_uuid()).rows_affected(self.connection()).await? > 0)
    }
}

impl From<ConversationRow> for Conversation {
    fn from(row: ConversationRow) -> Self {
        Self {
            id: row.id.into(),
            user_id: row.user_id.into(),
            team_id: row.team_id.map(Into::into),
            title: row.title,
            model: row.model.map(|TextEnum(model)| model),
            metadata: row.metadata,
            classification: row.classification.0,
            archived: row.archived,
            active_message_id: row.active_message_id.map(Into::into),
            is_busy: row.is_busy,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
