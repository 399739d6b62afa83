//! The repository of sessions.

use crate::ids::{SessionId, UserId};
use crate::page::{Page, PageRequest};
use crate::session::{Session, SessionSighting};
use crate::store_error::StoreError;
use crate::time::Timestamp;
use async_trait::async_trait;

/// Sessions of the tenant's users. Whether the scope's own session was revoked is part of a [`Membership`].
#[async_trait]
pub trait SessionRepo: Send {
    /// Records that a token of the session is used for the first time: creates the session, or extends it to the end of
    /// the token. A revoked session stays revoked.
    async fn record(&mut self, sighting: &SessionSighting, now: Timestamp) -> Result<(), StoreError>;
    /// The user of a session that was revoked; `None` for any other. The revocation is remembered for as long as a
    /// token that ends at `token_expires_at`.
    async fn revoked_user(&mut self, id: SessionId, token_expires_at: Timestamp) -> Result<Option<UserId>, StoreError>;
    /// Records the use of a session, unless one was recorded within the last minute.
    async fn record_use(&mut self, id: SessionId, now: Timestamp) -> Result<(), StoreError>;
    /// Reads one row; `None` if it does not exist, was revoked, or row security hides it.
    async fn get(&mut self, id: SessionId) -> Result<Option<Session>, StoreError>;
    /// Lists a user's sessions that have neither ended at `now` nor been revoked, newest first.
    async fn list(&mut self, user: UserId, now: Timestamp, page: &PageRequest) -> Result<Page<Session>, StoreError>;
    /// Revokes a session of the user; `false` if there is none that has neither ended nor been revoked.
    async fn revoke(&mut self, id: SessionId, user: UserId, now: Timestamp) -> Result<bool, StoreError>;
}
