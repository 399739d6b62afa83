//! The credential with which a caller authenticated.

use crate::access_token::TokenScope;
use crate::ids::{AccessTokenId, SessionId};
use crate::role::{Operation, Resource};
use crate::time::Timestamp;

/// How the caller of a request authenticated, with the details that later decisions may need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// Kind of holder: a person or a program.
    pub kind: CredentialKind,
    /// OAuth client that requested the token (`azp`, `client_id`, …), if the token contains it.
    pub client: Option<String>,
    /// Session that the token belongs to; for a personal access token, the token's own id.
    pub session: Option<SessionId>,
}

/// Whether a person or a program holds a credential, and which kind of credential it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialKind {
    /// A person who signed in at the identity provider.
    Interactive {
        /// Time of the last authentication (`auth_time` claim), if present.
        auth_time: Option<Timestamp>,
        /// Authentication context class (`acr` claim, OpenID Connect Core §2), if present.
        acr: Option<String>,
    },
    /// A program with its own token from the identity provider (client credentials).
    Application,
    /// A program with a user's personal access token.
    PersonalAccessToken {
        /// UUIDv7 of the token.
        id: AccessTokenId,
        /// Operations that the token allows.
        scopes: Vec<TokenScope>,
    },
}

impl Credential {
    /// An interactive credential without details of the sign-in. For tests and examples.
    #[must_use]
    pub const fn interactive() -> Self {
        let kind = CredentialKind::Interactive { auth_time: None, acr: None };
        Self { kind, client: None, session: None }
    }

    /// Whether a program holds it, rather than a person.
    #[must_use]
    pub const fn is_machine(&self) -> bool {
        !matches!(self.kind, CredentialKind::Interactive { .. })
    }

    /// The scopes that limit it; `None` if it allows everything that its user may do.
    #[must_use]
    pub fn scopes(&self) -> Option<&[TokenScope]> {
        match &self.kind {
            CredentialKind::PersonalAccessToken { scopes, .. } => Some(scopes),
            CredentialKind::Interactive { .. } | CredentialKind::Application => None,
        }
    }

    /// Whether its scopes permit `operation` on `resource`. The user's rights are checked separately.
    #[must_use]
    pub fn covers(&self, resource: Resource, operation: Operation) -> bool {
        self.scopes().is_none_or(|scopes| scopes.iter().any(|scope| scope.covers(resource, operation)))
    }
}
