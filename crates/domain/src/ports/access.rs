//! What layers below policy ask of it: what remains of a permit, and secrets that only policy can verify.

use crate::authorized::Permit;
use crate::decision::RefusalCode;
use crate::rights::Rights;
use crate::user::Membership;

/// Says what remains of a permit once user and tenant were read again.
///
/// A turn or an upload lasts longer than the decision that let it begin. Before each tool call, and while an answer is
/// written or a file comes in, the membership is read again and this is asked. Policy implements it with the matrix.
pub trait AccessRules: Send + Sync {
    /// The rights that the user has by now, never more than the permit gave. `None` is a user who is not there.
    ///
    /// # Errors
    /// Where user or tenant are switched off.
    fn remaining(&self, permit: &Permit, membership: Option<&Membership>) -> Result<Rights, RefusalCode>;
}

/// A new secret of a personal access token. Not `Debug`, so that it cannot reach a log.
pub struct TokenSecret {
    /// What the owner sends as the bearer token.
    pub secret: String,
    /// Its keyed hash, lower-case hex, which is stored in its place.
    pub hash: String,
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// Generates secrets of personal access tokens. Policy, which verifies them, implements it.
pub trait TokenSecrets: Send + Sync {
    /// A new secret.
    ///
    /// # Errors
    /// Where the operating system gives no random bytes.
    fn generate(&self) -> Result<TokenSecret, NoRandomness>;
}
