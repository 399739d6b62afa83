//! The verified caller of a request, as the gateway sees it.

use domain::credential::Credential;
use domain::ids::RequestId;
use domain::scope::TenantScope;
use domain::tenant::{Quotas, RateLimit, Tenant};
use domain::user::{Entitlements, User};
use std::net::IpAddr;
use std::sync::Arc;

/// Origin of a request, known before the caller is authenticated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestOrigin {
    /// Correlates the log lines and audit rows of the request.
    pub request: RequestId,
    /// IP address of the peer, for IPv6 its network; `None` if the request did not come over a network.
    pub peer: Option<IpAddr>,
}

impl From<RequestId> for RequestOrigin {
    fn from(request: RequestId) -> Self {
        Self { request, peer: None }
    }
}

/// A verified caller. Outside of tests, only [`crate::gate::Authenticate::authenticate`] creates one, since a
/// [`TenantScope`] cannot be created elsewhere.
#[derive(Clone, Debug)]
pub struct Caller {
    scope: TenantScope,
    tenant: Tenant,
    user: User,
    entitlements: Entitlements,
    credential: Arc<Credential>,
}

impl Caller {
    /// Creates a caller with an interactive credential.
    #[must_use]
    pub fn new(scope: TenantScope, tenant: Tenant, user: User, entitlements: Entitlements) -> Self {
        Self { scope, tenant, user, entitlements, credential: Arc::new(Credential::interactive()) }
    }

    /// Replaces the credential.
    #[must_use]
    pub fn with_credential(self, credential: Arc<Credential>) -> Self {
        Self { credential, ..self }
    }

    /// Credential that the caller authenticated with.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(crate) fn credential_arc(&self) -> &Arc<Credential> {
        &self.credential
    }

    /// Scope of the caller's transactions: tenant, actor and request.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// Tenant; may be a few seconds stale.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// User; may be a few seconds stale.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Role, grants and clearance; may be a few seconds stale. The gate reads them again for each decision.
    #[must_use]
    pub fn entitlements(&self) -> &Entitlements {
        &self.entitlements
    }

    /// Quotas of the tenant; may be a few seconds stale.
    #[must_use]
    pub fn quotas(&self) -> Quotas {
        self.tenant.settings.quotas
    }

    /// Rate limit of the caller: the tenant's setting for the role, or the platform's default.
    #[must_use]
    pub fn rate_limit(&self) -> RateLimit {
        let role = self.entitlements.role;
        self.tenant.settings.rate_limits.for_role(role).unwrap_or(RateLimit::default_for(role))
    }
}
