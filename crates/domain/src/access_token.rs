//! Personal access tokens: what a machine acts with as a user, within scopes.

use crate::ids::{AccessTokenId, TenantId, UserId};
use crate::role::{Operation, Resource};
use crate::time::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An operation on a kind of resource that a token allows, in the terms of the policy matrix. The list is closed. No
/// scope covers tokens, tenants, settings or users' rights, so a token cannot create another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TokenScope {
    resource: Resource,
    operation: Operation,
}

/// What a token may be used for.
const SCOPES: &[(Resource, &[Operation])] = &[
    (
        Resource::Conversations,
        &[Operation::List, Operation::Read, Operation::Create, Operation::Update, Operation::Delete],
    ),
    (Resource::Documents, &[Operation::List, Operation::Read, Operation::Create, Operation::Update, Operation::Delete]),
    (Resource::Search, &[Operation::Read]),
    (Resource::Memories, &[Operation::List, Operation::Create, Operation::Delete]),
    (Resource::Models, &[Operation::List, Operation::Read, Operation::Create]),
    (Resource::AuditLogs, &[Operation::List, Operation::Export]),
    (Resource::Users, &[Operation::List]),
    (Resource::Account, &[Operation::Read]),
    (Resource::Usage, &[Operation::Read]),
    (Resource::Reasoning, &[Operation::Read]),
];

/// A text that is not a scope.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be one of {}", TokenScope::all().map(|scope| scope.to_string()).collect::<Vec<_>>().join(", "))]
pub struct UnknownScope;

impl TokenScope {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        SCOPES.iter().flat_map(|(resource, operations)| {
            operations.iter().map(|operation| Self { resource: *resource, operation: *operation })
        })
    }

    /// Whether this is about `operation` on `resource`. A change of the classification is an update, also downwards.
    #[must_use]
    pub fn covers(self, resource: Resource, operation: Operation) -> bool {
        let operation = if operation == Operation::Declassify { Operation::Update } else { operation };
        self.resource == resource && self.operation == operation
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource, self.operation)
    }
}

impl FromStr for TokenScope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::all().find(|scope| scope.to_string() == text).ok_or(UnknownScope)
    }
}

impl Serialize for TokenScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A personal access token. Its secret is not here: it is shown once and kept as a keyed hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessToken {
    /// UUIDv7, chosen by the application.
    pub id: AccessTokenId,
    /// User that the token acts as.
    pub user_id: UserId,
    /// Name that the user gave it.
    pub name: String,
    /// Operations that the token allows.
    pub scopes: Vec<TokenScope>,
    /// When the row was inserted.
    pub created_at: Timestamp,
    /// Time of expiry.
    pub expires_at: Timestamp,
    /// Time of the last use, to a minute.
    pub last_used_at: Option<Timestamp>,
    /// Time of revocation.
    pub revoked_at: Option<Timestamp>,
}

/// A token to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccessToken {
    /// UUIDv7, chosen by the application.
    pub id: AccessTokenId,
    /// User that the token acts as.
    pub user_id: UserId,
    /// Name that the user gave it.
    pub name: String,
    /// Keyed hash of its secret.
    pub hash: String,
    /// Operations that the token allows.
    pub scopes: Vec<TokenScope>,
    /// Time of expiry.
    pub expires_at: Timestamp,
}

/// An access token with the tenant that it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantAccessToken {
    /// Tenant of the token.
    pub tenant: TenantId,
    /// The token's row, without its secret.
    pub token: AccessToken,
}

/// A new personal access token with its secret, which is shown once and stored nowhere. Not `Debug`, so that it cannot
/// reach a log.
pub struct IssuedAccessToken {
    /// The token's row, without its secret.
    pub token: AccessToken,
    /// What its owner sends as the bearer token.
    pub secret: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_the_matrix_words_and_none_is_about_tokens_or_tenants() {
        assert_eq!(
            "documents:read".parse::<TokenScope>().map(|scope| scope.to_string()),
            Ok("documents:read".to_owned())
        );
        for bad in ["documents", "documents:share", "documents.read", "access_tokens:create", "tenants:list", "*", ""] {
            assert_eq!(bad.parse::<TokenScope>(), Err(UnknownScope), "{bad}");
        }
        let forbidden = [Resource::AccessTokens, Resource::Tenants, Resource::TenantMappings, Resource::TenantSettings];
        assert!(TokenScope::all().all(|scope| !forbidden.contains(&scope.resource)));
    }
}
