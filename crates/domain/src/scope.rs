//! For whom work runs: the tenant, the actor, the request and the session.

use crate::ids::{RequestId, SessionId, TenantId, UserId};

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
}

impl TenantScope {
    /// Creates a scope. Banned by clippy outside `policy::authn`, `data::jobs` and the fakes.
    #[must_use]
    pub fn mint(tenant: TenantId, actor: Actor, request: RequestId) -> Self {
        Self { tenant, actor, request, session: None }
    }

    /// Adds the session that the work belongs to. Audit rows record it, and a membership that is read in this scope
    /// says whether the session was revoked.
    #[must_use]
    pub fn in_session(self, session: Option<SessionId>) -> Self {
        Self { session, ..self }
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
