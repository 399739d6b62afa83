//! Evaluates a permit again while its work is in progress, with the user's current role and state.

use crate::matrix;
use domain::authorized::Permit;
use domain::decision::RefusalCode;
use domain::ports::AccessRules;
use domain::rights::Rights;
use domain::user::Membership;

/// Implements [`AccessRules`] with the policy matrix.
///
/// Grants from the configuration (`platform_admin`) are ignored here, since no long-running work needs them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatrixRules;

impl AccessRules for MatrixRules {
    fn remaining_rights(&self, permit: &Permit, membership: Option<&Membership>) -> Result<Rights, RefusalCode> {
        let member = membership.ok_or(RefusalCode::UserDisabled)?;
        if let Some(code) = member.refusal() {
            return Err(code);
        }
        let entitlements = member.entitlements(&[]);
        Ok(permit.rights().intersection(&matrix::rights(&entitlements, permit.credential())))
    }
}
