//! Sessions: where a user is signed in. Tokens of one sign-in at the identity provider belong to one session.
//!
//! Personal access tokens are not sessions and are listed separately ([`crate::access_token`]). In audit rows, a
//! token's id takes the place of the session id.

use crate::ids::{SessionId, UserId};
use crate::time::Timestamp;

/// A session that has neither ended nor been revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Derived from a token claim (`sid`, else `jti`), so that all processes compute the same id without a lookup.
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

/// A token that is used for the first time, with its session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstSeenToken {
    /// Session that the token belongs to.
    pub session_id: SessionId,
    /// User whom the token identifies.
    pub user_id: UserId,
    /// OAuth client that requested the token, if the token names it.
    pub client: Option<String>,
    /// When the token expires.
    pub expires_at: Timestamp,
}
