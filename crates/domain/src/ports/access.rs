//! Ports that policy implements for the layers below it: the remaining rights of a permit, and the secrets of access
//! tokens.

use crate::authorized::Permit;
use crate::refusal::RefusalCode;
use crate::rights::Rights;
use crate::user::Membership;

/// Re-evaluates a permit against the current state of user and tenant.
///
/// Chat turns and uploads outlive the decision that allowed them. Before each tool call, and periodically while an
/// answer is written or a file is received, the membership is read again and passed to this trait. Policy implements it
/// with the matrix.
pub trait AccessRules: Send + Sync {
    /// The user's current rights, never more than the permit granted. `membership` is `None` if the user no longer
    /// exists.
    ///
    /// # Errors
    /// If the user or the tenant is deactivated.
    fn remaining_rights(&self, permit: &Permit, membership: Option<&Membership>) -> Result<Rights, RefusalCode>;
}

/// A new secret of a personal access token. Deliberately not `Debug`, so that it cannot end up in a log.
pub struct TokenSecret {
    /// The value that the owner sends as the bearer token.
    pub secret: String,
    /// Keyed hash of the secret, lower-case hex; stored instead of the secret.
    pub hash: String,
}

/// Error: the operating system provided no random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the operating system provided no random bytes")]
pub struct RandomSourceError;

/// Generates secrets of personal access tokens. Implemented by policy, which also verifies them.
pub trait TokenSecrets: Send + Sync {
    /// Generates a new secret and its hash.
    ///
    /// # Errors
    /// If the operating system provides no random bytes.
    fn generate(&self) -> Result<TokenSecret, RandomSourceError>;
}
