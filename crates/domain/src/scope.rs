//! For whom work runs: the tenant, the space in it, the actor, the request and the session.

use crate::ids::{RequestId, SessionId, TeamId, TenantId, UserId};

/// Who acts within a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A signed-in person or service account.
    User(UserId),
    /// The ingestion worker, on behalf of a queued job.
    Worker,
    /// The platform itself, if no user is known; for instance when a token is refused.
    System,
}

/// The tenant and actor that every unit of work runs for.
///
/// A store transaction cannot be opened without a scope, which sets the database's row-level security. Only
/// `policy::authn` creates one, from a verified token, and `data::jobs`, from a claimed job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantScope {
    tenant: TenantId,
    actor: Actor,
    request: RequestId,
    session: Option<SessionId>,
    team: Option<TeamId>,
    /// The tenant of a guest; `None` for users of the scope's own tenant.
    home: Option<TenantId>,
}

impl TenantScope {
    /// Creates a scope. Banned by clippy outside `policy::authn`, `data::jobs` and the fakes.
    #[must_use]
    pub fn mint(tenant: TenantId, actor: Actor, request: RequestId) -> Self {
        Self { tenant, actor, request, session: None, team: None, home: None }
    }

    /// Adds the session that the work belongs to. Audit rows record it, and a membership that is read in this scope
    /// says whether the session was revoked.
    #[must_use]
    pub fn in_session(self, session: Option<SessionId>) -> Self {
        Self { session, ..self }
    }

    /// The scope of a user of the same tenant, for work that the worker does in this user's rows. Banned by clippy
    /// outside `runtime::approvals::notice`.
    #[must_use]
    pub fn for_user(&self, user: UserId) -> Self {
        Self { actor: Actor::User(user), session: None, ..self.clone() }
    }

    /// The scope in which the actor works in a team of `host`: nothing but the team's rows is visible. A user of
    /// another tenant is a guest there. Banned by clippy outside `domain::space`, which checks the membership, and
    /// `data::jobs`.
    #[must_use]
    pub fn in_team(&self, host: TenantId, team: TeamId) -> Self {
        let own = self.home.unwrap_or(self.tenant);
        Self { tenant: host, team: Some(team), home: (own != host).then_some(own), ..self.clone() }
    }

    /// The scope of the platform itself in another tenant, to deliver what a user of this one asks of a user there.
    /// Banned by clippy outside `runtime::teams`.
    #[must_use]
    pub fn in_other_tenant(&self, tenant: TenantId) -> Self {
        Self { tenant, actor: Actor::System, session: None, team: None, home: None, ..self.clone() }
    }

    /// The scope of the same work in the home space of the actor's own tenant.
    #[must_use]
    pub fn at_home(&self) -> Self {
        Self { tenant: self.home.unwrap_or(self.tenant), team: None, home: None, ..self.clone() }
    }

    /// The team whose space the work is done in; `None` in the home space.
    #[must_use]
    pub fn team(&self) -> Option<TeamId> {
        self.team
    }

    /// The own tenant of a guest; `None` for users of the scope's tenant.
    #[must_use]
    pub fn guest_of(&self) -> Option<TenantId> {
        self.home
    }

    /// The tenant whose rows are visible.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The acting user, worker or system.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// The acting user; `None` for the worker and the system.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        match self.actor {
            Actor::User(id) => Some(id),
            Actor::Worker | Actor::System => None,
        }
    }

    /// The session that this work belongs to: the user's sign-in, or the id of a personal access token. `None` for
    /// work that no request started.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The request that this work belongs to.
    #[must_use]
    pub fn request(&self) -> &RequestId {
        &self.request
    }
}
