//! Proof that a command was decided and recorded before it runs.

use crate::credential::Credential;
use crate::ids::AuditId;
use crate::rights::{Permission, Reach, Rights};
use crate::role::Classification;
use crate::scope::TenantScope;
use crate::time::Timestamp;
use std::sync::Arc;

/// Proof that the intent row stands in the audit log. Minted by `data::audit`, by inserting the row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditReceipt {
    intent: AuditId,
    at: Timestamp,
}

impl AuditReceipt {
    /// Makes a receipt. Banned by clippy outside `data::audit` and the in-memory fake.
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

/// The space that work acts in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// The user's own tenant.
    Home,
}

/// What the gate granted: for whom, with which rights and credential, in which space, under which audit record.
///
/// Use cases and tools decide by it. They ask no role: what the policy matrix says is in the rights already.
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
    /// Makes a permit. Banned by clippy outside `policy::gate` and the fakes.
    #[must_use]
    pub fn mint(scope: TenantScope, permission: Permission, granted: AccessGrant, receipt: AuditReceipt) -> Self {
        let AccessGrant { rights, credential, space } = granted;
        Self { scope, permission, rights, credential, space, receipt }
    }

    /// The tenant and actor.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// What was permitted.
    #[must_use]
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// How far it reaches.
    #[must_use]
    pub fn reach(&self) -> Option<Reach> {
        self.rights.reach(self.permission)
    }

    /// Whether it reaches the things of everybody in the tenant, not only the user's own.
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

    /// What the caller proved who they are with.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The space that it is valid in.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// The intent row under which this runs.
    #[must_use]
    pub fn receipt(&self) -> AuditReceipt {
        self.receipt
    }
}

/// The part of a permit that the decision is about.
#[derive(Clone, Debug)]
pub struct AccessGrant {
    /// What the user may do through the credential.
    pub rights: Rights,
    /// What the caller proved who they are with.
    pub credential: Arc<Credential>,
    /// Where.
    pub space: Space,
}

/// A command that passed the gate. Runtime services take nothing else.
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

    /// The command.
    #[must_use]
    pub fn command(&self) -> &C {
        &self.command
    }

    /// The permit, which outlives the command.
    #[must_use]
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The tenant and actor.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.permit.scope
    }

    /// Takes both apart.
    #[must_use]
    pub fn into_parts(self) -> (Permit, C) {
        (self.permit, self.command)
    }
}
