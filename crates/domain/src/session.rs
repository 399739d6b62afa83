//! Sessions: where a user is signed in. Tokens of one sign-in at the identity provider belong to one session.
//!
//! Personal access tokens are no sessions and are not listed with them; they have a list of their own
//! ([`crate::access_token`]). Audit rows name a token's id in place of a session.

use crate::ids::{SessionId, UserId};
use crate::time::Timestamp;

/// A session that has neither ended nor been revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Derived from the tokens (`sid`, else `jti`), so that all processes know it without a lookup.
    pub id: SessionId,
    /// User who signed in.
    pub user_id: UserId,
    /// OAuth client that requested the first token, if the token names one.
    pub client: Option<String>,
    /// When the first token was used.
    pub created_at: Timestamp,
    /// When a token was last used, updated at most once a minute.
    pub last_seen_at: Timestamp,
    /// When the last of the tokens seen so far expires.
    pub expires_at: Timestamp,
}

/// A token of a session that is used for the first time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionSighting {
    /// Session that the token belongs to.
    pub id: SessionId,
    /// User whom the token identifies.
    pub user_id: UserId,
    /// OAuth client that requested the token, if the token names it.
    pub client: Option<String>,
    /// When the token expires.
    pub expires_at: Timestamp,
}
