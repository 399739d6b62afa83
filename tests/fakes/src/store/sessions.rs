//! The in-memory repository of sessions.

use super::{InMemoryTx, Row, State, page_of};
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::ids::{SessionId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{SessionRepo, StoreError};
use domain::scope::TenantScope;
use domain::session::{FirstSeenToken, Session};
use domain::time::Timestamp;

/// A session, and when it was revoked.
#[derive(Clone, Debug)]
pub(super) struct StoredSession {
    session: Session,
    revoked_at: Option<Timestamp>,
}

impl StoredSession {
    fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.session.expires_at > now
    }

    /// Whether the row can be deleted: one hour after the session expired, or 90 days if it was revoked.
    fn can_be_deleted(&self, now: Timestamp) -> bool {
        let retained_until = self.revoked_at.map(|at| at.max(self.session.expires_at) + TimeDelta::days(90));
        self.session.expires_at < now - TimeDelta::hours(1) && retained_until.is_none_or(|until| until < now)
    }
}

impl State {
    /// Whether the scope's session, or its personal access token, was revoked.
    pub(super) fn is_session_revoked(&self, scope: &TenantScope) -> bool {
        let Some(id) = scope.session() else { return false };
        let is_revoked_session = |row: &Row<StoredSession>| {
            row.tenant == scope.tenant() && row.value.session.id == id && row.value.revoked_at.is_some()
        };
        let mut tokens = self.access_tokens.values().filter(|row| row.tenant == scope.tenant());
        self.sessions.iter().any(is_revoked_session)
            || tokens.any(|row| row.value.id.as_uuid() == id.as_uuid() && row.value.revoked_at.is_some())
    }

    pub(super) fn sweep_sessions(&mut self, now: Timestamp) -> u64 {
        let count_before = self.sessions.len();
        self.sessions.retain(|row| !row.value.can_be_deleted(now));
        (count_before - self.sessions.len()) as u64
    }
}

impl InMemoryTx {
    async fn stored_session(&mut self, id: SessionId) -> Result<Option<&mut StoredSession>, StoreError> {
        let in_tenant = self.tenant_filter();
        let row = self.write().await?.sessions.iter_mut().find(|row| in_tenant(row) && row.value.session.id == id);
        Ok(row.map(|row| &mut row.value))
    }
}

#[async_trait]
impl SessionRepo for InMemoryTx {
    async fn record(&mut self, token: &FirstSeenToken, now: Timestamp) -> Result<(), StoreError> {
        if let Some(stored) = self.stored_session(token.session_id).await? {
            let session = &mut stored.session;
            session.client = session.client.take().or_else(|| token.client.clone());
            session.last_seen_at = session.last_seen_at.max(now);
            session.expires_at = session.expires_at.max(token.expires_at);
            return Ok(());
        }
        let FirstSeenToken { session_id: id, user_id, client, expires_at } = token.clone();
        let session = Session { id, user_id, client, created_at: now, last_seen_at: now, expires_at };
        let (in_tenant, tenant) = (self.tenant_filter(), self.tenant());
        let state = self.write().await?;
        if !state.users.iter().any(|row| in_tenant(row) && row.value.id == user_id) {
            return Err(StoreError::Conflict { reason: "A referenced object does not exist." });
        }
        let value = StoredSession { session, revoked_at: None };
        state.sessions.push(Row { tenant, user: Some(user_id), value });
        Ok(())
    }

    async fn user_of_revoked_session(
        &mut self,
        id: SessionId,
        token_expires_at: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let Some(stored) = self.stored_session(id).await?.filter(|stored| stored.revoked_at.is_some()) else {
            return Ok(None);
        };
        stored.session.expires_at = stored.session.expires_at.max(token_expires_at);
        Ok(Some(stored.session.user_id))
    }

    async fn record_use(&mut self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        let is_due = |stored: &&mut StoredSession| stored.session.last_seen_at < now - TimeDelta::minutes(1);
        if let Some(stored) = self.stored_session(id).await?.filter(is_due) {
            stored.session.last_seen_at = now;
        }
        Ok(())
    }

    async fn get(&mut self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_match = |row: &&Row<StoredSession>| in_tenant(row) && row.value.session.id == id;
        let found = self.read(|state| state.sessions.iter().find(is_match).map(|row| row.value.clone()));
        Ok(found.filter(|stored| stored.revoked_at.is_none()).map(|stored| stored.session))
    }

    async fn list(&mut self, user: UserId, now: Timestamp, page: &PageRequest) -> Result<Page<Session>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_listed =
            |row: &&Row<StoredSession>| in_tenant(row) && row.value.session.user_id == user && row.value.is_live(now);
        let rows = self.read(|s| s.sessions.iter().filter(is_listed).map(|row| row.value.session.clone()).collect());
        Ok(page_of(rows, page, |row: &Session| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn revoke(&mut self, id: SessionId, user: UserId, now: Timestamp) -> Result<bool, StoreError> {
        let is_live = |stored: &&mut StoredSession| stored.session.user_id == user && stored.is_live(now);
        let Some(stored) = self.stored_session(id).await?.filter(is_live) else { return Ok(false) };
        stored.revoked_at = Some(now);
        Ok(true)
    }
}
