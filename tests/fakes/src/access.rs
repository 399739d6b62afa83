//! Access rules and permits for tests of the layers below policy.

use domain::authorized::{AuditReceipt, Authorized, DataSpace, GrantedAccess, Permit};
use domain::command::Command;
use domain::credential::Credential;
use domain::decision::RefusalCode;
use domain::ports::{AccessRules, StandingWork};
use domain::rights::{Permission, Reach, Rights};
use domain::role::{Classification, Operation, Resource, Role};
use domain::scope::TenantScope;
use domain::transaction::SharedTransaction;
use domain::user::Membership;
use std::sync::Arc;

/// The permissions that layers below policy check. For these, [`rights`] agrees with the policy matrix; a test in the
/// policy crate compares the two.
pub const CHECKED_BELOW_POLICY: &[Permission] = &[
    Permission::new(Resource::Search, Operation::Read),
    Permission::new(Resource::Documents, Operation::List),
    Permission::new(Resource::Documents, Operation::Read),
    Permission::new(Resource::Documents, Operation::Create),
    Permission::new(Resource::Documents, Operation::Update),
    Permission::new(Resource::Documents, Operation::Declassify),
    Permission::new(Resource::Memories, Operation::List),
    Permission::new(Resource::AuditLogs, Operation::List),
    Permission::new(Resource::AuditLogs, Operation::Export),
    Permission::new(Resource::AccessTokens, Operation::List),
    Permission::new(Resource::Usage, Operation::Read),
    Permission::new(Resource::Reasoning, Operation::Read),
    Permission::new(Resource::Users, Operation::List),
    Permission::new(Resource::Conversations, Operation::Create),
    Permission::new(Resource::Models, Operation::Create),
    Permission::new(Resource::WorkOrders, Operation::Create),
    Permission::new(Resource::ForeignTools, Operation::Read),
    Permission::new(Resource::ForeignTools, Operation::Create),
    Permission::new(Resource::Approvals, Operation::List),
    Permission::new(Resource::Approvals, Operation::Read),
    Permission::new(Resource::Approvals, Operation::Update),
    Permission::new(Resource::Readings, Operation::List),
    Permission::new(Resource::Readings, Operation::Read),
    Permission::new(Resource::Tools, Operation::Create),
    Permission::new(Resource::Goals, Operation::Create),
];

/// The rights of a role, limited to the permissions in [`CHECKED_BELOW_POLICY`].
#[must_use]
pub fn rights(role: Role, clearance: Classification) -> Rights {
    let is_admin = role == Role::Admin;
    let tenant_reach_if = |allowed: bool| allowed.then_some(Reach::Tenant);
    let tenant_or_own = Some(if is_admin { Reach::Tenant } else { Reach::Own });
    Rights::from_fn(clearance, |permission| {
        if !CHECKED_BELOW_POLICY.contains(&permission) {
            return None;
        }
        match (permission.resource, permission.operation) {
            (Resource::Search | Resource::Models, _) | (Resource::Documents, Operation::List | Operation::Read) => {
                Some(Reach::Tenant)
            }
            (Resource::Readings, Operation::List) | (Resource::Tools, _) => Some(Reach::Tenant),
            (Resource::Goals, _) => Some(Reach::Own),
            (Resource::Documents, Operation::Create)
            | (Resource::Readings | Resource::ForeignTools, Operation::Read) => tenant_reach_if(role >= Role::User),
            (Resource::Documents, Operation::Update) => tenant_or_own.filter(|_| role >= Role::User),
            (Resource::Memories | Resource::Conversations, _) => Some(Reach::Own),
            (Resource::AuditLogs, Operation::List) | (Resource::AccessTokens | Resource::Usage, _) => tenant_or_own,
            (Resource::Approvals, Operation::Update) => Some(Reach::Own),
            (Resource::Approvals, _) => tenant_or_own,
            _ => tenant_reach_if(is_admin),
        }
    })
}

/// The access that the gate would grant to an interactive user with these rights, in the user's own tenant.
#[must_use]
pub fn access_grant(rights: Rights) -> GrantedAccess {
    let (credential, tenant) = (Arc::new(Credential::interactive()), Arc::default());
    GrantedAccess { rights, credential, space: DataSpace::OwnTenant, tenant }
}

/// Authorizes a command as the gate would.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a fake of the gate")]
pub fn authorized<C: Command>(
    scope: TenantScope,
    access_grant: GrantedAccess,
    receipt: AuditReceipt,
    command: C,
) -> Authorized<C> {
    let permission = Permission::new(C::RESOURCE, C::OPERATION);
    Authorized::mint(
        Permit::mint(scope, permission, access_grant, receipt),
        command,
        SharedTransaction::intent_committed(),
    )
}

/// [`AccessRules`] that evaluates [`rights`] for the user's current role.
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeAccessRules;

impl AccessRules for FakeAccessRules {
    fn remaining_rights(&self, permit: &Permit, membership: Option<&Membership>) -> Result<Rights, RefusalCode> {
        let member = membership.ok_or(RefusalCode::UserDisabled)?;
        if let Some(code) = member.refusal() {
            return Err(code);
        }
        let role = member.user.role;
        Ok(permit.rights().intersection(&rights(role, member.settings.clearance(role))))
    }

    fn current_rights(&self, membership: Option<&Membership>) -> Result<Rights, RefusalCode> {
        let member = membership.ok_or(RefusalCode::UserDisabled)?;
        if let Some(code) = member.refusal() {
            return Err(code);
        }
        let role = member.user.role;
        Ok(rights(role, member.settings.clearance(role)))
    }

    fn standing_permit(
        &self,
        work: StandingWork<'_>,
        membership: Option<&Membership>,
        receipt: AuditReceipt,
    ) -> Result<Permit, RefusalCode> {
        let rights = self.current_rights(membership)?;
        if !rights.allows(work.permission) {
            return Err(RefusalCode::InsufficientRights);
        }
        #[expect(clippy::disallowed_methods, reason = "a fake of the rules")]
        let permit = Permit::mint(work.scope.clone(), work.permission, access_grant(rights), receipt);
        Ok(permit)
    }
}
