//! The policy gate: decides, records the intent, executes, records the outcome, and does nothing else.

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

/// Authenticates callers by bearer token.
#[async_trait]
pub trait Authenticate: Send + Sync {
    /// Verifies a bearer token (RFC 6750) and finds its user. Creates the user on the first login.
    async fn authenticate(&self, bearer: Option<String>, origin: Origin) -> Result<Caller, GateError>;
}

/// Executes one type of command. [`Gate`] implements this for all commands.
#[async_trait]
pub trait Execute<C: Command>: Send + Sync {
    /// Decides (user and tenant active, role, ownership, clearance), records the intent, runs the use case and records
    /// the outcome. A refusal is recorded too. If the intent cannot be recorded, the use case does not run.
    ///
    /// The work continues if the future is dropped, so that the outcome is recorded even if the client disconnects.
    ///
    /// # Errors
    /// If the decision is negative, the audit log cannot be written, or the use case fails.
    async fn execute(&self, caller: &Caller, command: C) -> Result<C::Output, GateError>;
}

/// The gate in front of the platform's use cases.
#[derive(Clone)]
pub struct PolicyGate {
    decider: Arc<Decider>,
    access_queries: Arc<AccessQueries>,
    pub(crate) use_cases: UseCases,
    idempotency_key: HashKey,
    tasks: TaskTracker,
}

impl PolicyGate {
    /// Creates the gate in front of `use_cases`.
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

/// Keys for the hashes of requests that the gate stores, so that the requests cannot be guessed from the database.
#[derive(Clone, Debug)]
pub struct GateKeys {
    /// For the hashes of requests in the audit log.
    pub request: HashKey,
    /// For the hashes of idempotency keys and of their requests.
    pub idempotency: HashKey,
}

impl GateKeys {
    /// Derives both keys from the platform's secret.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self { request: HashKey::derive(secret, "audit-request"), idempotency: HashKey::derive(secret, "idempotency") }
    }
}

/// Dependencies of the gate.
pub struct GateParts {
    /// Transactions for decisions and audit rows.
    pub store: Arc<dyn Store>,
    /// Time of the audit rows.
    pub clock: Arc<dyn Clock>,
    /// Source of UUIDv7 ids for audit rows.
    pub ids: Arc<dyn IdGen>,
    /// Tracks the commands in flight, so that shutdown can wait for them.
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
