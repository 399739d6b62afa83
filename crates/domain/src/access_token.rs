//! Personal access tokens: credentials that let a program act as a user, limited to scopes.

use crate::ids::{AccessTokenId, TenantId, UserId};
use crate::role::{Operation, Resource};
use crate::time::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An operation on a kind of resource that a token allows, in the terms of the policy matrix. The list is closed. No
/// scope covers tokens, sessions, tenants, settings or users' rights, so a token cannot create another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TokenScope {
    resource: Resource,
    operation: Operation,
}

/// The operations that a token may allow, per resource.
const SCOPES: &[(Resource, &[Operation])] = &[
    (
        Resource::Conversations,
        &[Operation::List, Operation::Read, Operation::Create, Operation::Update, Operation::Delete],
    ),
    (Resource::Documents, &[Operation::List, Operation::Read, Operation::Create, Operation::Update, Operation::Delete]),
    (Resource::Search, &[Operation::Read]),
    (Resource::Memories, &[Operation::List, Operation::Create, Operation::Update, Operation::Delete]),
    (Resource::Models, &[Operation::List, Operation::Read, Operation::Create]),
    (Resource::AuditLogs, &[Operation::List, Operation::Export]),
    (Resource::Users, &[Operation::List]),
    (Resource::Account, &[Operation::Read]),
    (Resource::Usage, &[Operation::Read]),
    (Resource::Feedback, &[Operation::List, Operation::Update, Operation::Delete]),
    (Resource::Reasoning, &[Operation::Read]),
];

/// Error: the string is not a known scope.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be one of {}", TokenScope::all().map(|scope| scope.to_string()).collect::<Vec<_>>().join(", "))]
pub struct UnknownScope;

impl TokenScope {
    /// All scopes, in a fixed order.
    pub fn all() -> impl Iterator<Item = Self> {
        SCOPES.iter().flat_map(|(resource, operations)| {
            operations.iter().map(|operation| Self { resource: *resource, operation: *operation })
        })
    }

    /// Whether this scope permits `operation` on `resource`. The `update` scope also covers `declassify`.
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

/// A personal access token, without its secret: that is returned once, at creation, and stored as a keyed hash.
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
    /// End of validity.
    pub expires_at: Timestamp,
    /// Time of the last use, updated at most once a minute; `None` if the token was never used.
    pub last_used_at: Option<Timestamp>,
    /// Time of revocation; `None` if it was not revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A token to insert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccessToken {
    /// UUIDv7, chosen by the application.
    pub id: AccessTokenId,
    /// User that the token acts as.
    pub user_id: UserId,
    /// Name that the user gave it.
    pub name: String,
    /// Keyed hash of the secret, in hex.
    pub hash: String,
    /// Operations that the token allows.
    pub scopes: Vec<TokenScope>,
    /// End of validity.
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

/// A new personal access token with its secret, which is returned once and never stored. Deliberately not `Debug`, so
/// that the secret cannot end up in a log.
pub struct IssuedAccessToken {
    /// The token's row, without its secret.
    pub token: AccessToken,
    /// The value that its owner sends as the bearer token.
    pub secret: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_use_the_matrix_names_and_exclude_tokens_and_tenants() {
        assert_eq!(
            "documents:read".parse::<TokenScope>().map(|scope| scope.to_string()),
            Ok("documents:read".to_owned())
        );
        for bad in ["documents", "documents:share", "documents.read", "access_tokens:create", "tenants:list", "*", ""] {
            assert_eq!(bad.parse::<TokenScope>(), Err(UnknownScope), "{bad}");
        }
        let forbidden = [
            Resource::Sessions,
            Resource::AccessTokens,
            Resource::Tenants,
            Resource::TenantMappings,
            Resource::TenantSettings,
        ];
        assert!(TokenScope::all().all(|scope| !forbidden.contains(&scope.resource)));
    }
}
