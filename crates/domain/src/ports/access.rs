//! Ports that policy implements for the layers below it: the remaining rights of a permit, and the secrets of access
//! tokens.

use crate::authorized::{AuditReceipt, Permit};
use crate::goal::GoalCredential;
use crate::refusal::RefusalCode;
use crate::rights::{Permission, Rights};
use crate::scope::TenantScope;
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

    /// The current rights of a user who is not making a request, such as the requester of a write that is executed
    /// later. `membership` is `None` if the user no longer exists.
    ///
    /// # Errors
    /// If the user or the tenant is deactivated.
    fn current_rights(&self, membership: Option<&Membership>) -> Result<Rights, RefusalCode>;

    /// The permit of work that goes on without a request, such as a step of a goal: the user's current rights, within
    /// the credential that the work was ordered with. `membership` is `None` if the user no longer exists.
    ///
    /// # Errors
    /// If the user or the tenant is deactivated, the session was revoked, or the user does not have the permission any
    /// more.
    fn standing_permit(
        &self,
        work: StandingWork<'_>,
        membership: Option<&Membership>,
        receipt: AuditReceipt,
    ) -> Result<Permit, RefusalCode>;
}

/// Work that goes on without a request.
#[derive(Clone, Copy, Debug)]
pub struct StandingWork<'a> {
    /// The user's scope, in the session in which the work was ordered.
    pub scope: &'a TenantScope,
    /// The permission that it needs.
    pub permission: Permission,
    /// The credential that it was ordered with.
    pub credential: &'a GoalCredential,
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
