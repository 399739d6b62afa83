//! The policy gate: decides, records the intent, executes the command and records the outcome.

mod access_queries;
mod decider;
mod execute;
mod export;
mod idempotency;
#[cfg(feature = "mocks")]
mod mock;
mod spaces;

pub use crate::dispatch::{Authenticate, Execute};
pub use crate::idempotency::{Idempotency, KeyStatus, KeyedRequest};
pub use crate::operations::{Gate, UseCases};
pub use access_queries::AccessQueries;
#[cfg(feature = "mocks")]
pub use mock::MockGate;

use crate::authn::Authenticator;
use crate::caller::{Caller, RequestOrigin};
use crate::error::GateError;
use crate::keyed_hash::HashKey;
use async_trait::async_trait;
use decider::Decider;
use domain::ports::{Clock, IdGen, Store};
use export::ReauthorizedExport;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// The gate in front of the platform's use cases.
#[derive(Clone)]
pub struct PolicyGate {
    decider: Arc<Decider>,
    use_cases: UseCases,
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
        dependencies: GateDependencies,
    ) -> Self {
        let GateDependencies { store, clock, ids, tasks } = dependencies;
        let decider = Arc::new(Decider { authn: authn.into(), store, request_key: keys.request, clock, ids });
        use_cases.audit_export = Arc::new(ReauthorizedExport::new(use_cases.audit_export, Arc::clone(&decider)));
        Self { decider, use_cases, idempotency_key: keys.idempotency, tasks }
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
pub struct GateDependencies {
    /// Transactions for decisions and audit rows.
    pub store: Arc<dyn Store>,
    /// Clock for decisions and audit rows.
    pub clock: Arc<dyn Clock>,
    /// Source of UUIDv7 ids for audit rows.
    pub ids: Arc<dyn IdGen>,
    /// Tracks the commands in flight, so that shutdown can wait for them.
    pub tasks: TaskTracker,
}

#[async_trait]
impl Authenticate for PolicyGate {
    async fn authenticate(&self, bearer: Option<String>, origin: RequestOrigin) -> Result<Caller, GateError> {
        self.decider.authn.authenticate(bearer.as_deref(), origin).await
    }
}
