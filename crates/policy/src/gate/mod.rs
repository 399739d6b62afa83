//! The policy gate: decide, record the intent, execute, record the outcome; nothing else.

mod access_queries;
mod decider;
pub(crate) mod dispatch;
mod execute;
mod export;
mod idempotency;
#[cfg(feature = "mocks")]
mod mock;

pub use crate::operations::{Gate, UseCases};
pub use idempotency::{Idempotency, KeyStatus, KeyedRequest};
#[cfg(feature = "mocks")]
pub use mock::MockGate;

use crate::authn::Authenticator;
use crate::caller::{Caller, Origin};
use crate::error::GateError;
use crate::keyed_hash::HashKey;
use access_queries::AccessQueries;
use async_trait::async_trait;
use decider::Decider;
use dispatch::Provides;
use domain::command::{Command, ReadAccount, SimulateDecision};
use domain::ports::{Clock, IdGen, Store};
use export::RecheckedExport;
use runtime::use_case::UseCase;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Turns bearer tokens into callers.
#[async_trait]
pub trait Authenticate: Send + Sync {
    /// Verifies a bearer token (RFC 6750) and finds its user, or creates the user at the first login.
    async fn authenticate(&self, bearer: Option<String>, origin: Origin) -> Result<Caller, GateError>;
}

/// Executes one kind of command. [`Gate`] is this for all commands.
#[async_trait]
pub trait Execute<C: Command>: Send + Sync {
    /// Decides (user and tenant active, role, ownership, clearance), records the intent, runs the use case and records
    /// the outcome. A refusal is recorded too. If the intent cannot be recorded, nothing runs.
    ///
    /// The work goes on if the future is dropped: a caller that hangs up does not separate an effect from its outcome
    /// row.
    ///
    /// # Errors
    /// Where the decision is no, the audit log cannot be written, or the use case fails.
    async fn execute(&self, by: &Caller, command: C) -> Result<C::Output, GateError>;
}

/// The gate over the platform's database and use cases.
#[derive(Clone)]
pub struct PolicyGate {
    decider: Arc<Decider>,
    access_queries: Arc<AccessQueries>,
    pub(crate) use_cases: UseCases,
    idempotency_key: HashKey,
    tasks: TaskTracker,
}

impl PolicyGate {
    /// Puts the gate before the use cases.
    #[must_use]
    pub fn new(
        authn: impl Into<Arc<Authenticator>>,
        mut use_cases: UseCases,
        keys: GateKeys,
        parts: GateParts,
    ) -> Self {
        let GateParts { store, clock, ids, tasks } = parts;
        let authn = authn.into();
        let access_queries = Arc::new(AccessQueries::new(Arc::clone(&authn), Arc::clone(&store)));
        let decider = Arc::new(Decider { authn, store, request_key: keys.request, clock, ids });
        use_cases.audit_export = Arc::new(RecheckedExport::new(use_cases.audit_export, Arc::clone(&decider)));
        Self { decider, access_queries, use_cases, idempotency_key: keys.idempotency, tasks }
    }
}

/// Keys for what the gate stores of requests, so that it cannot be guessed from the database.
#[derive(Clone, Debug)]
pub struct GateKeys {
    /// For the hash of a request in the audit log.
    pub request: HashKey,
    /// For idempotency keys and the requests that came with them.
    pub idempotency: HashKey,
}

impl GateKeys {
    /// Derives them from the platform's secret.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self { request: HashKey::derive(secret, "audit-request"), idempotency: HashKey::derive(secret, "idempotency") }
    }
}

/// What the gate works with.
pub struct GateParts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Source of ids for audit rows.
    pub ids: Arc<dyn IdGen>,
    /// Commands that are being executed, for shutdown to wait for.
    pub tasks: TaskTracker,
}

#[async_trait]
impl Authenticate for PolicyGate {
    async fn authenticate(&self, bearer: Option<String>, origin: Origin) -> Result<Caller, GateError> {
        self.decider.authn.authenticate(bearer.as_deref(), origin).await
    }
}

impl Provides<ReadAccount> for PolicyGate {
    fn use_case(&self) -> Arc<dyn UseCase<ReadAccount>> {
        Arc::clone(&self.access_queries) as Arc<dyn UseCase<ReadAccount>>
    }
}

impl Provides<SimulateDecision> for PolicyGate {
    fn use_case(&self) -> Arc<dyn UseCase<SimulateDecision>> {
        Arc::clone(&self.access_queries) as Arc<dyn UseCase<SimulateDecision>>
    }
}
