//! The policy's answer for work that is under way, for layers below it.

use crate::authorized::Permit;
use crate::refusal::RefusalCode;
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
    /// If user or tenant are deactivated.
    fn remaining(&self, permit: &Permit, membership: Option<&Membership>) -> Result<Rights, RefusalCode>;
}
