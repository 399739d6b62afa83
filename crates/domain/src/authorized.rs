//! Types that prove that a command was authorized and its intent recorded before it runs.

use crate::audit::EventType;
use crate::credential::Credential;
use crate::ids::{AuditId, TeamId};
use crate::ports::{Store, StoreError};
use crate::rights::{Permission, Reach, Rights};
use crate::role::Classification;
use crate::scope::TenantScope;
use crate::tenant::TenantSettings;
use crate::tenant_change::{ChangeAuditRow, ChangedBy};
use crate::time::Timestamp;
use crate::transaction::{SharedTransaction, UseCaseTransaction};
use std::sync::Arc;

/// Proof that the commit of the transaction that issued it writes the intent row to the audit log: `data::audit` mints
/// it when it adds the row to the transaction, and a commit without the row fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditReceipt {
    intent_id: AuditId,
    recorded_at: Timestamp,
}

impl AuditReceipt {
    /// Mints a receipt. Banned by clippy outside `data::audit` and the in-memory fake.
    #[must_use]
    pub fn mint(intent_id: AuditId, recorded_at: Timestamp) -> Self {
        Self { intent_id, recorded_at }
    }

    /// The intent row's id: the correlation id of its outcome.
    #[must_use]
    pub fn intent_id(&self) -> AuditId {
        self.intent_id
    }

    /// When the intent was recorded.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }
}

/// The data that a permit covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataSpace {
    /// The home space of the user's own tenant.
    OwnTenant,
    /// The space of this team, in the tenant that owns it.
    Team(TeamId),
}

/// What the policy gate granted: scope, rights, credential and data space, with the receipt of the audit row.
///
/// Use cases and tools check the permit's rights instead of roles. The gate computes the rights from the policy matrix.
#[derive(Clone, Debug)]
pub struct Permit {
    scope: TenantScope,
    permission: Permission,
    rights: Rights,
    credential: Arc<Credential>,
    space: DataSpace,
    tenant: Arc<TenantProfile>,
    receipt: AuditReceipt,
}

/// Name and settings of a tenant, as the gate read them for a decision.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TenantProfile {
    /// The display name.
    pub name: String,
    /// Settings that were in force at the time of the decision.
    pub settings: TenantSettings,
}

impl Permit {
    /// Mints a permit. Banned by clippy outside `policy::gate` and the fakes.
    #[must_use]
    pub fn mint(scope: TenantScope, permission: Permission, access: GrantedAccess, receipt: AuditReceipt) -> Self {
        let GrantedAccess { rights, credential, space, tenant } = access;
        Self { scope, permission, rights, credential, space, tenant, receipt }
    }

    /// Tenant, actor and request.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// The permission that the gate checked.
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
    pub fn covers_tenant(&self) -> bool {
        self.rights.covers_tenant(self.permission)
    }

    /// All rights of the user with this credential, at the time of the decision.
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

    /// The data that the permit covers.
    #[must_use]
    pub fn space(&self) -> DataSpace {
        self.space
    }

    /// The tenant, as it was at the time of the decision.
    #[must_use]
    pub fn tenant(&self) -> &TenantProfile {
        &self.tenant
    }

    /// The author of a change that a platform administrator makes to a tenant. The change is recorded in that tenant's
    /// audit log under `id`.
    #[must_use]
    pub fn tenant_changed_by(&self, event: EventType, id: AuditId, at: Timestamp) -> ChangedBy {
        let (correlation_id, request_id) = (self.receipt.intent_id(), self.scope.request().clone());
        ChangedBy {
            user: self.scope.user(),
            audit_row: Some(ChangeAuditRow { id, correlation_id, request_id, event, at }),
        }
    }

    /// Proof that the intent row of this work was written.
    #[must_use]
    pub fn receipt(&self) -> AuditReceipt {
        self.receipt
    }
}

/// The part of a permit that the decision determines.
#[derive(Clone, Debug)]
pub struct GrantedAccess {
    /// What the user may do with this credential.
    pub rights: Rights,
    /// How the caller authenticated.
    pub credential: Arc<Credential>,
    /// The data that the permit covers.
    pub space: DataSpace,
    /// Name and settings of the tenant.
    pub tenant: Arc<TenantProfile>,
}

/// A command that passed the gate. Use cases accept commands in no other form.
#[derive(Clone, Debug)]
pub struct Authorized<C> {
    permit: Permit,
    command: C,
    transaction: SharedTransaction,
    team_permits: Vec<Permit>,
}

impl<C> Authorized<C> {
    /// Binds a permit to its command. Banned by clippy outside `policy::gate` and the fakes.
    #[must_use]
    pub fn mint(permit: Permit, command: C, transaction: SharedTransaction) -> Self {
        Self { permit, command, transaction, team_permits: Vec::new() }
    }

    /// Adds a permit for each team that the command searches. Banned by clippy outside `policy::gate`, which mints
    /// them.
    #[must_use]
    pub fn with_team_permits(self, team_permits: Vec<Permit>) -> Self {
        Self { team_permits, ..self }
    }

    /// Permits for the teams that the command searches, each for the team's space.
    #[must_use]
    pub fn team_permits(&self) -> &[Permit] {
        &self.team_permits
    }

    /// Continues in the gate's transaction, which contains the intent, if the command shares it and it is not committed
    /// yet; otherwise begins a new transaction.
    ///
    /// # Errors
    /// If the database is not available, or if the gate's transaction is in use or was rolled back.
    pub async fn begin(&self, store: &dyn Store) -> Result<UseCaseTransaction, StoreError> {
        self.transaction.begin(store, self.scope()).await
    }

    /// The transaction that the gate shares.
    #[must_use]
    pub fn transaction(&self) -> &SharedTransaction {
        &self.transaction
    }

    /// The command that the gate allowed.
    #[must_use]
    pub fn command(&self) -> &C {
        &self.command
    }

    /// The permit under which the command runs.
    #[must_use]
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Tenant, actor and request.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.permit.scope
    }

    /// Splits this into the permit and the command.
    #[must_use]
    pub fn into_parts(self) -> (Permit, C) {
        (self.permit, self.command)
    }
}
