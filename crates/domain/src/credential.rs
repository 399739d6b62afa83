//! What a caller proved who they are with.

use crate::access_token::TokenScope;
use crate::ids::AccessTokenId;
use crate::role::{Operation, Resource};
use crate::time::Timestamp;

/// The credential of a request, as far as later decisions may need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// Who holds it.
    pub kind: CredentialKind,
    /// The client that asked for the token (`azp`, `client_id`, …), where the token says so.
    pub client: Option<String>,
    /// The session at the identity provider: `sid`, or the token's own id where there is none.
    pub session: Option<String>,
}

/// Who holds a credential.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialKind {
    /// A person, who signed in at the identity provider.
    Interactive {
        /// When they last proved who they are (`auth_time`), where the token says so.
        auth_time: Option<Timestamp>,
        /// How they did (`acr`, OpenID Connect Core §2), where the token says so.
        acr: Option<String>,
    },
    /// A program with a token of its own from the identity provider.
    Application,
    /// A program with a personal access token of its user.
    AccessToken {
        /// UUIDv7 of the token.
        id: AccessTokenId,
        /// Operations that the token allows.
        scopes: Vec<TokenScope>,
    },
}

impl Credential {
    /// Of a person of whose sign-in nothing is known. For tests and examples.
    #[must_use]
    pub const fn interactive() -> Self {
        let kind = CredentialKind::Interactive { auth_time: None, acr: None };
        Self { kind, client: None, session: None }
    }

    /// Whether a program holds it, not a person.
    #[must_use]
    pub const fn is_machine(&self) -> bool {
        !matches!(self.kind, CredentialKind::Interactive { .. })
    }

    /// What it may be used for; `None`: whatever its user may do.
    #[must_use]
    pub fn scopes(&self) -> Option<&[TokenScope]> {
        match &self.kind {
            CredentialKind::AccessToken { scopes, .. } => Some(scopes),
            CredentialKind::Interactive { .. } | CredentialKind::Application => None,
        }
    }

    /// Whether it may be used for `operation` on `resource`. What its user may do is another question.
    #[must_use]
    pub fn covers(&self, resource: Resource, operation: Operation) -> bool {
        self.scopes().is_none_or(|scopes| scopes.iter().any(|scope| scope.covers(resource, operation)))
    }
}
