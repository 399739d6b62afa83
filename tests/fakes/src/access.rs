//! Access rules for tests of the layers below policy, and permits that they would get.

use domain::authorized::{AccessGrant, AuditReceipt, Authorized, Permit, Space};
use domain::command::Command;
use domain::credential::Credential;
use domain::decision::RefusalCode;
use domain::ports::AccessRules;
use domain::rights::{Permission, Reach, Rights};
use domain::role::{Classification, Operation, Resource, Role};
use domain::scope::TenantScope;
use domain::user::Membership;
use std::sync::Arc;

/// The permissions that layers below policy ask a permit for. For these, [`rights`] says what the policy matrix says; a
/// test of policy compares them.
pub const ASKED_BELOW_POLICY: &[Permission] = &[
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
];

/// What a role may do, as far as layers below policy ask.
#[must_use]
pub fn rights(role: Role, clearance: Classification) -> Rights {
    let is_admin = role == Role::Admin;
    let tenant_if = |yes: bool| yes.then_some(Reach::Tenant);
    let tenant_or_own = Some(if is_admin { Reach::Tenant } else { Reach::Own });
    Rights::by(clearance, |permission| {
        if !ASKED_BELOW_POLICY.contains(&permission) {
            return None;
        }
        match (permission.resource, permission.operation) {
            (Resource::Search | Resource::Models, _) | (Resource::Documents, Operation::List | Operation::Read) => {
                Some(Reach::Tenant)
            }
            (Resource::Documents, Operation::Create) => tenant_if(role >= Role::User),
            (Resource::Documents, Operation::Update) => tenant_or_own.filter(|_| role >= Role::User),
            (Resource::Memories | Resource::Conversations, _) => Some(Reach::Own),
            (Resource::AuditLogs, Operation::List) | (Resource::AccessTokens | Resource::Usage, _) => tenant_or_own,
            _ => tenant_if(is_admin),
        }
    })
}

/// What the gate would grant an interactive user with these rights, at home.
#[must_use]
pub fn granted(rights: Rights) -> AccessGrant {
    AccessGrant { rights, credential: Arc::new(Credential::interactive()), space: Space::Home }
}

/// What the gate would hand to a use case.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a fake of the gate")]
pub fn authorized<C: Command>(
    scope: TenantScope,
    granted: AccessGrant,
    receipt: AuditReceipt,
    command: C,
) -> Authorized<C> {
    let permission = Permission::new(C::RESOURCE, C::OPERATION);
    Authorized::mint(Permit::mint(scope, permission, granted, receipt), command)
}

/// [`AccessRules`] by [`rights`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeAccessRules;

impl AccessRules for FakeAccessRules {
    fn remaining(&self, permit: &Permit, membership: Option<&Membership>) -> Result<Rights, RefusalCode> {
        let member = membership.ok_or(RefusalCode::UserDisabled)?;
        if let Some(code) = member.refusal() {
            return Err(code);
        }
        let role = member.user.role;
        Ok(permit.rights().intersection(&rights(role, member.settings.clearance(role))))
    }
}
