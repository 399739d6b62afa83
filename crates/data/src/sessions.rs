//! Sessions of the current tenant's users: when they were last used, and whether they are revoked.

use crate::rows::KeysetParams;
use crate::statement::{Scalar, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::{SessionId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{SessionRepo, StoreError};
use domain::session::{FirstSeenToken, Session};
use domain::time::Timestamp;
use uuid::Uuid;

row! {
    struct SessionRow, columns = session_columns {
        id: Uuid,
        user_id: Uuid,
        client: Option<String>,
        created_at: Timestamp,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
    }
}

statements! {
    RECORD: () = Statement::insert(
        "sessions",
        "recording a session",
        "INSERT INTO sessions AS known (id, tenant_id, user_id, client, created_at, last_seen_at, expires_at)
         VALUES ($1, app_tenant(), $2, left($3, 255), $4, $4, $5)
         ON CONFLICT (tenant_id, id) DO UPDATE
         SET client = coalesce(known.client, excluded.client),
             last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
             expires_at = greatest(known.expires_at, excluded.expires_at)",
    );
    REVOKED_USER: Scalar<Uuid> = Statement::select(
        "sessions",
        "looking up a session",
        "SELECT user_id FROM sessions WHERE id = $1 AND revoked_at IS NOT NULL",
    );
    /// Expired sessions are deleted, so a revoked session must not expire before the last of its tokens.
    EXTEND_REVOCATION: () = Statement::update(
        "sessions",
        "extending a revocation",
        "UPDATE sessions SET expires_at = $2 WHERE id = $1 AND revoked_at IS NOT NULL AND expires_at < $2",
    );
    RECORD_USE: () = Statement::update(
        "sessions",
        "recording the use of a session",
        "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2::timestamptz - interval '1 minute'",
    );
    GET: SessionRow = Statement::select(
        "sessions",
        "reading a session",
        concat!("SELECT ", session_columns!(), " FROM sessions WHERE id = $1 AND revoked_at IS NULL"),
    );
    LIST: SessionRow = Statement::select(
        "sessions",
        "listing sessions",
        concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions
             WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
               AND (created_at, id) < (coalesce($3::timestamptz, 'infinity'),
                                       coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $5"
        ),
    );
    REVOKE: () = Statement::update(
        "sessions",
        "revoking a session",
        "UPDATE sessions SET revoked_at = $3
         WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3",
    );
}

#[async_trait]
impl SessionRepo for PgTenantTx {
    async fn record(&mut self, token: &FirstSeenToken, now: Timestamp) -> Result<(), StoreError> {
        RECORD
            .query()
            .bind(token.session_id.as_uuid())
            .bind(token.user_id.as_uuid())
            .bind(&token.client)
            .bind(now)
            .bind(token.expires_at)
            .execute(self.connection())
            .await
    }

    async fn user_of_revoked_session(
        &mut self,
        id: SessionId,
        token_expires_at: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let user = REVOKED_USER.query().bind(id.as_uuid()).optional_scalar(self.connection()).await?;
        if user.is_some() {
            let extend = EXTEND_REVOCATION.query().bind(id.as_uuid()).bind(token_expires_at);
            extend.execute(self.connection()).await?;
        }
        Ok(user.map(UserId::from_uuid))
    }

    async fn record_use(&mut self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        RECORD_USE.query().bind(id.as_uuid()).bind(now).execute(self.connection()).await
    }

    async fn get(&mut self, id: SessionId) -> Result<Option<Session>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn list(&mut self, user: UserId, now: Timestamp, page: &PageRequest) -> Result<Page<Session>, StoreError> {
        let keyset = KeysetParams::new(page);
        let rows = LIST
            .query()
            .bind(user.as_uuid())
            .bind(now)
            .bind(keyset.created_at)
            .bind(keyset.id)
            .bind(keyset.limit)
            .fetch_all(self.connection())
            .await?;
        Ok(Page::from_rows(rows, page, |row: &Session| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn revoke(&mut self, id: SessionId, user: UserId, now: Timestamp) -> Result<bool, StoreError> {
        let revoke = REVOKE.query().bind(id.as_uuid()).bind(user.as_uuid()).bind(now);
        Ok(revoke.rows_affected(self.connection()).await? > 0)
    }
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id.into(),
            user_id: row.user_id.into(),
            client: row.client,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        }
    }
}
