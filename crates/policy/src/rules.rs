//! What remains of a permit once its user was read again: the matrix's answer for work that is under way.

use crate::matrix;
use domain::authorized::Permit;
use domain::decision::RefusalCode;
use domain::ports::AccessRules;
use domain::rights::Rights;
use domain::user::Membership;

/// [`AccessRules`] by the policy matrix.
///
/// Grants that come from the configuration (`platform_admin`) do not count here: no work that lasts needs them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatrixRules;

impl AccessRules for MatrixRules {
    fn remaining(&self, permit: &Permit, membership: Option<&Membership>) -> Result<Rights, RefusalCode> {
        let member = membership.ok_or(RefusalCode::UserDisabled)?;
        if !member.tenant_active {
            return Err(RefusalCode::TenantSuspended);
        }
        if !member.user.is_active {
            return Err(RefusalCode::UserDisabled);
        }
        let standing = member.standing(&[]);
        Ok(permit.rights().intersection(&matrix::rights(&standing, permit.credential())))
    }
}
