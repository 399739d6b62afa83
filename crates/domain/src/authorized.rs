//! Proof that a command was authorized and recorded before it runs.

use crate::credential::Credential;
use crate::ids::AuditId;
use crate::rights::{Permission, Reach, Rights};
use crate::role::Classification;
use crate::scope::TenantScope;
use crate::time::Timestamp;
use std::sync::Arc;

/// Proof that the intent row is in the audit log. `data::audit` mints it by inserting the row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditReceipt {
    intent: AuditId,
    at: Timestamp,
}

impl AuditReceipt {
    /// Mints a receipt. Banned by clippy outside `data::audit` and the in-memory fake.
    #[must_use]
    pub fn mint(intent: AuditId, at: Timestamp) -> Self {
        Self { intent, at }
    }

    /// The intent row's id: the correlation id of its outcome.
    #[must_use]
    pub fn intent(&self) -> AuditId {
        self.intent
    }

    /// When the intent was recorded.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// Where work reads and writes within the tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// The user's own tenant.
    Home,
}

/// What the gate granted: to whom, with which rights and credential, in which space, under which audit record.
///
/// Use cases and tools check it instead of roles: the rights already contain what the policy matrix says.
#[derive(Clone, Debug)]
pub struct Permit {
    scope: TenantScope,
    permission: Permission,
    rights: Rights,
    credential: Arc<Credential>,
    space: Space,
    receipt: AuditReceipt,
}

impl Permit {
    /// Mints a permit. Banned by clippy outside `policy::gate` and the fakes.
    #[must_use]
    pub fn mint(scope: TenantScope, permission: Permission, granted: AccessGrant, receipt: AuditReceipt) -> Self {
        let AccessGrant { rights, credential, space } = granted;
        Self { scope, permission, rights, credential, space, receipt }
    }

    /// Tenant, actor and request.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// The permission that was decided on.
    #[must_use]
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// How far that permission reaches; `None` if the user does not have it.
    #[must_use]
    pub fn reach(&self) -> Option<Reach> {
        self.rights.reach(self.permission)
    }

    /// Whether that permission covers all resources of the tenant instead of only the user's own.
    #[must_use]
    pub fn reaches_tenant(&self) -> bool {
        self.rights.reach_tenant(self.permission)
    }

    /// All rights of the user through this credential, at the moment of the decision.
    #[must_use]
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// The highest classification that the user may see.
    #[must_use]
    pub fn clearance(&self) -> Classification {
        self.rights.clearance()
    }

    /// How the caller authenticated.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Space in which the permit is valid.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// Proof of the intent row under which the work runs.
    #[must_use]
    pub fn receipt(&self) -> AuditReceipt {
        self.receipt
    }
}

/// The part of a permit that the decision determines.
#[derive(Clone, Debug)]
pub struct AccessGrant {
    /// What the user may do with this credential.
    pub rights: Rights,
    /// How the caller authenticated.
    pub credential: Arc<Credential>,
    /// Space in which the permit is valid.
    pub space: Space,
}

/// A command that passed the gate. Use cases take nothing else.
#[derive(Clone, Debug)]
pub struct Authorized<C> {
    permit: Permit,
    command: C,
}

impl<C> Authorized<C> {
    /// Binds a permit to its command. Banned by clippy outside `policy::gate` and the fakes.
    #[must_use]
    pub fn mint(permit: Permit, command: C) -> Self {
        Self { permit, command }
    }

    /// The command as it was decided on.
    #[must_use]
    pub fn command(&self) -> &C {
        &self.command
    }

    /// The permit, which outlives the command.
    #[must_use]
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Tenant, actor and request.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.permit.scope
    }

    /// Splits it into permit and command.
    #[must_use]
    pub fn into_parts(self) -> (Permit, C) {
        (self.permit, self.command)
    }
}
