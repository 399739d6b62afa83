//! The repository of sessions.

use crate::ids::{SessionId, UserId};
use crate::page::{Page, PageRequest};
use crate::session::{FirstSeenToken, Session};
use crate::store_error::StoreError;
use crate::time::Timestamp;
use async_trait::async_trait;

/// Sessions of the tenant's users. Whether the scope's session was revoked is part of a
/// [`Membership`](crate::user::Membership).
#[async_trait]
pub trait SessionRepo: Send {
    /// Records that a token of the session is used for the first time: creates the session, or extends it until the
    /// token expires. A revoked session stays revoked.
    async fn record(&mut self, token: &FirstSeenToken, now: Timestamp) -> Result<(), StoreError>;
    /// The user of a revoked session; `None` if the session is unknown or was not revoked. Keeps the revocation at
    /// least until `token_expires_at`, so that the token stays refused.
    async fn user_of_revoked_session(
        &mut self,
        id: SessionId,
        token_expires_at: Timestamp,
    ) -> Result<Option<UserId>, StoreError>;
    /// Records the use of a session, unless one was recorded within the last minute.
    async fn record_use(&mut self, id: SessionId, now: Timestamp) -> Result<(), StoreError>;
    /// Reads one row; `None` if it does not exist, was revoked, or row security hides it.
    async fn get(&mut self, id: SessionId) -> Result<Option<Session>, StoreError>;
    /// Lists a user's sessions that have neither ended at `now` nor been revoked, newest first.
    async fn list(&mut self, user: UserId, now: Timestamp, page: &PageRequest) -> Result<Page<Session>, StoreError>;
    /// Revokes a session of the user; `false` if there is none that has neither ended nor been revoked.
    async fn revoke(&mut self, id: SessionId, user: UserId, now: Timestamp) -> Result<bool, StoreError>;
}
