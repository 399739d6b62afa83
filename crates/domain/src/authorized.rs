//! Proof that a command was decided and recorded before it runs.

use crate::ids::AuditId;
use crate::scope::TenantScope;
use crate::time::Timestamp;
use crate::user::Standing;

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

/// What the gate granted: for whom, with which standing, under which audit record.
#[derive(Clone, Debug)]
pub struct Permit {
    scope: TenantScope,
    standing: Standing,
    receipt: AuditReceipt,
}

impl Permit {
    /// The tenant and actor.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// Role, grants and clearance at the moment of the decision.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The intent row under which this runs.
    #[must_use]
    pub fn receipt(&self) -> AuditReceipt {
        self.receipt
    }
}

/// A command that passed the gate. Runtime services take nothing else.
#[derive(Clone, Debug)]
pub struct Authorized<C> {
    permit: Permit,
    command: C,
}

impl<C> Authorized<C> {
    /// Binds a decision to its command. Banned by clippy outside `policy::gate` and the fakes.
    #[must_use]
    pub fn mint(scope: TenantScope, standing: Standing, receipt: AuditReceipt, command: C) -> Self {
        Self { permit: Permit { scope, standing, receipt }, command }
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
