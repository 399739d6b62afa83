//! Evaluates a permit again while its work is in progress, with the user's current role and state.

use crate::matrix;
use domain::authorized::{AuditReceipt, DataSpace, GrantedAccess, Permit, TenantProfile};
use domain::credential::{Credential, CredentialKind};
use domain::decision::RefusalCode;
use domain::ports::{AccessRules, StandingWork};
use domain::rights::Rights;
use domain::user::Membership;
use std::sync::Arc;

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

    fn current_rights(&self, membership: Option<&Membership>) -> Result<Rights, RefusalCode> {
        let member = membership.ok_or(RefusalCode::UserDisabled)?;
        if let Some(code) = member.refusal() {
            return Err(code);
        }
        Ok(matrix::rights(&member.entitlements(&[]), &Credential::interactive()))
    }

    fn standing_permit(
        &self,
        work: StandingWork<'_>,
        membership: Option<&Membership>,
        receipt: AuditReceipt,
    ) -> Result<Permit, RefusalCode> {
        let member = membership.ok_or(RefusalCode::UserDisabled)?;
        if let Some(code) = member.refusal() {
            return Err(code);
        }
        let credential = standing_credential(work);
        let rights = matrix::rights(&member.entitlements(&[]), &credential);
        if !rights.allows(work.permission) {
            return Err(RefusalCode::InsufficientRights);
        }
        let tenant = TenantProfile { name: member.tenant_name.clone(), settings: member.settings.clone() };
        let access = GrantedAccess {
            rights,
            credential: Arc::new(credential),
            space: DataSpace::OwnTenant,
            tenant: Arc::new(tenant),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "minted from the user's current rights, with the receipt of an intent"
        )]
        let permit = Permit::mint(work.scope.clone(), work.permission, access, receipt);
        Ok(permit)
    }
}

/// The credential that the work was ordered with. A sign-in is too old by now to decide on anything.
fn standing_credential(work: StandingWork<'_>) -> Credential {
    let kind = match work.credential.access_token {
        Some(id) => CredentialKind::PersonalAccessToken { id, scopes: work.credential.scopes.clone() },
        None => CredentialKind::Interactive { auth_time: None, acr: None },
    };
    Credential { kind, client: None, session: work.credential.session }
}
