//! What a user's last interactive login said: personal access tokens, which say nothing of the kind, are held to it.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The facts of a login that decide whether its bearer gets in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Login {
    /// The value that the tenant was looked up by.
    pub tenant_claim: Option<String>,
    /// The home directory of a guest; empty where the token does not tell; `None` for everybody else.
    pub guest_of: Option<String>,
    /// The token left out its groups because they were too many.
    pub groups_left_out: bool,
    /// It was a program's token, not a person's.
    pub is_application: bool,
    /// Values of the token's `scp` or `scope` claim.
    pub scopes: Vec<String>,
    /// Its role values; `None` where it has no such claim.
    pub roles: Option<Vec<String>>,
    /// Its groups, of a stored login those that something is mapped from; `None` where it has no such claim.
    pub groups: Option<Vec<String>>,
    /// The value of the claim that the issuer's tokens must have, where the settings name one.
    pub required_claim: Option<String>,
    /// When the user proved who they are, if the token says so.
    pub authenticated_at: Option<Timestamp>,
    /// When the token was issued, if it says so.
    pub issued_at: Option<Timestamp>,
    /// When the token was first seen.
    pub seen_at: Timestamp,
}

impl Login {
    /// When the user logged in, as far as is known: when they proved who they are, or when the token was issued or
    /// first seen.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.authenticated_at.or(self.issued_at).unwrap_or(self.seen_at).min(self.seen_at)
    }

    /// Whether this token was issued before the one of `other`: what it says is out of date.
    #[must_use]
    pub fn is_older_than(&self, other: &Self) -> bool {
        matches!((self.issued_at, other.issued_at), (Some(this), Some(that)) if this < that)
    }
}
