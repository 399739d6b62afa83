//! Feedback on answers. Users rate the answers in their own conversations; the tenant's admins list the feedback.

use crate::rows::{KeysetParams, TextEnum};
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::feedback::{Feedback, Rating};
use domain::ids::MessageId;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{FeedbackRepo, StoreError};
use domain::time::Timestamp;
use uuid::Uuid;

row! {
    struct FeedbackRow, columns = feedback_columns {
        message_id: Uuid,
        user_id: Uuid,
        rating: TextEnum<Rating>,
        comment: Option<String>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

statements! {
    /// Row security hides the messages of other users.
    RATE: FeedbackRow = Statement::insert(
        "message_feedback",
        "storing feedback",
        concat!(
            "INSERT INTO message_feedback (tenant_id, message_id, user_id, rating, comment, created_at, updated_at)
             SELECT tenant_id, id, user_id, $2, $3, $4, $4 FROM messages WHERE id = $1 AND role = 'assistant'
             ON CONFLICT (tenant_id, message_id)
             DO UPDATE SET rating = excluded.rating, comment = excluded.comment, updated_at = excluded.updated_at
             RETURNING ",
            feedback_columns!()
        ),
    );
    DELETE: () = Statement::delete(
        "message_feedback",
        "deleting feedback",
        "DELETE FROM message_feedback WHERE message_id = $1",
    );
    LIST: FeedbackRow = Statement::select(
        "message_feedback",
        "listing feedback",
        concat!(
            "SELECT ",
            feedback_columns!(),
            " FROM message_feedback
             WHERE ($4::text IS NULL OR rating = $4)
               AND (created_at, message_id) < (coalesce($1::timestamptz, 'infinity'),
                                               coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, message_id DESC LIMIT $3"
        ),
    );
}

#[async_trait]
impl FeedbackRepo for PgTenantTx {
    async fn rate(
        &mut self,
        message: MessageId,
        rating: Rating,
        comment: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Feedback>, StoreError> {
        let rate = RATE.query().bind(message.as_uuid()).bind(rating.as_str()).bind(comment).bind(now);
        rate.fetch_optional(self.connection()).await
    }

    async fn delete(&mut self, message: MessageId) -> Result<bool, StoreError> {
        Ok(DELETE.query().bind(message.as_uuid()).rows_affected(self.connection()).await? > 0)
    }

    async fn list(&mut self, rating: Option<Rating>, page: &PageRequest) -> Result<Page<Feedback>, StoreError> {
        let keyset = KeysetParams::new(page);
        let query = LIST.query().bind(keyset.created_at).bind(keyset.id).bind(keyset.limit);
        let rows = query.bind(rating.map(Rating::as_str)).fetch_all(self.connection()).await?;
        Ok(Page::from_rows(rows, page, |row: &Feedback| PageKey {
            created_at: row.created_at,
            id: row.message_id.as_uuid(),
        }))
    }
}

impl From<FeedbackRow> for Feedback {
    fn from(row: FeedbackRow) -> Self {
        Self {
            message_id: row.message_id.into(),
            user_id: row.user_id.into(),
            rating: row.rating.0,
            comment: row.comment,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
