//! Who calls: what the gateway knows of a verified caller.

use domain::credential::Credential;
use domain::ids::RequestId;
use domain::scope::TenantScope;
use domain::tenant::{Quotas, RateTier, Tenant};
use domain::user::{Entitlements, User};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a request comes from, as the gateway knows it before anybody is verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Which request it is.
    pub request: RequestId,
    /// The peer's address, of an IPv6 peer its network; `None`: it came over no network.
    pub peer: Option<IpAddr>,
}

impl From<RequestId> for Origin {
    fn from(request: RequestId) -> Self {
        Self { request, peer: None }
    }
}

/// A verified caller. Only [`crate::gate::Gate::authenticate`] makes one in earnest: a scope cannot be minted elsewhere.
#[derive(Clone, Debug)]
pub struct Caller {
    scope: TenantScope,
    tenant: Tenant,
    user: User,
    entitlements: Entitlements,
    credential: Arc<Credential>,
}

impl Caller {
    /// Puts together what authentication found, for a person who signed in.
    #[must_use]
    pub fn new(scope: TenantScope, tenant: Tenant, user: User, entitlements: Entitlements) -> Self {
        Self { scope, tenant, user, entitlements, credential: Arc::new(Credential::interactive()) }
    }

    /// The same, with another credential.
    #[must_use]
    pub fn with(self, credential: Arc<Credential>) -> Self {
        Self { credential, ..self }
    }

    /// What the caller proved who they are with.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(crate) fn shared_credential(&self) -> &Arc<Credential> {
        &self.credential
    }

    /// The tenant and actor.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Role, grants and clearance, as of at most a few seconds ago; the gate reads them afresh for each decision.
    #[must_use]
    pub fn entitlements(&self) -> &Entitlements {
        &self.entitlements
    }

    /// What the tenant may use, as of at most a few seconds ago.
    #[must_use]
    pub fn quotas(&self) -> Quotas {
        self.tenant.settings.quotas
    }

    /// How many requests the caller may make: the tenant's setting for the role, or the platform's.
    #[must_use]
    pub fn rate_tier(&self) -> RateTier {
        let role = self.entitlements.role;
        self.tenant.settings.rate_limits.of(role).unwrap_or(RateTier::default_of(role))
    }
}
