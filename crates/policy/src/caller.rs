//! Who calls: what the gateway knows of a verified caller.

use domain::access_token::TokenScope;
use domain::ids::RequestId;
use domain::scope::TenantScope;
use domain::tenant::{Quotas, RateTier, Tenant};
use domain::user::{Standing, User};
use std::net::IpAddr;

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
    standing: Standing,
    scopes: Option<Vec<TokenScope>>,
}

impl Caller {
    /// Puts together what authentication found.
    #[must_use]
    pub fn new(scope: TenantScope, tenant: Tenant, user: User, standing: Standing) -> Self {
        Self { scope, tenant, user, standing, scopes: None }
    }

    /// The same, with a personal access token of these scopes.
    #[must_use]
    pub fn within(self, scopes: Vec<TokenScope>) -> Self {
        Self { scopes: Some(scopes), ..self }
    }

    /// What the personal access token that the caller came with may be used for; `None`: no such token. What the user may
    /// do is another question.
    #[must_use]
    pub fn scopes(&self) -> Option<&[TokenScope]> {
        self.scopes.as_deref()
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
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What the tenant may use, as of at most a few seconds ago.
    #[must_use]
    pub fn quotas(&self) -> Quotas {
        self.tenant.settings.quotas
    }

    /// How many requests the caller may make: the tenant's setting for the role, or the platform's.
    #[must_use]
    pub fn rate_tier(&self) -> RateTier {
        let role = self.standing.role;
        self.tenant.settings.rate_limits.of(role).unwrap_or(RateTier::default_of(role))
    }
}
