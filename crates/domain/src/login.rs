//! Claims from a user's last interactive login. Personal access tokens carry no claims, so requests with one are
//! checked against these.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The claims of a login that decide whether the user may use the platform.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LoginClaims {
    /// Value of the tenant claim.
    pub tenant_claim: Option<String>,
    /// Home directory of a guest user; empty if the token does not contain it; `None` for users who are not guests.
    pub guest_of: Option<String>,
    /// Whether the token omitted its groups because there were too many (groups overage).
    pub groups_left_out: bool,
    /// Whether the token belonged to a program, not to a person.
    pub is_application: bool,
    /// Values of the token's `scp` or `scope` claim.
    pub scopes: Vec<String>,
    /// Values of the role claim; `None` if the token has none.
    pub roles: Option<Vec<String>>,
    /// Values of the groups claim; `None` if the token has none. A stored login contains only the groups that a mapping
    /// refers to.
    pub groups: Option<Vec<String>>,
    /// Value of the claim that the issuer requires, if the configuration names one.
    pub required_claim: Option<String>,
    /// When the user authenticated (`auth_time`), if the token has the claim.
    pub authenticated_at: Option<Timestamp>,
    /// When the token was issued (`iat`), if the token has the claim.
    pub issued_at: Option<Timestamp>,
    /// When the token was first seen.
    pub seen_at: Timestamp,
}

impl LoginClaims {
    /// Best known time of the login: when the user authenticated, else when the token was issued, else when it was
    /// first seen. Never later than `seen_at`.
    #[must_use]
    pub fn logged_in_at(&self) -> Timestamp {
        self.authenticated_at.or(self.issued_at).unwrap_or(self.seen_at).min(self.seen_at)
    }

    /// Whether this login's token was issued before that of `other`, so its claims are outdated. `false` if either has
    /// no `iat`.
    #[must_use]
    pub fn is_older_than(&self, other: &Self) -> bool {
        matches!((self.issued_at, other.issued_at), (Some(this), Some(that)) if this < that)
    }
}
