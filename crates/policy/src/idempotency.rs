//! Interface of the gate for requests with an `Idempotency-Key` header.

use crate::caller::Caller;
use crate::error::GateError;
use async_trait::async_trait;
use domain::idempotency::StoredOutcome;

/// A request with an `Idempotency-Key`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyedRequest {
    /// Value of the `Idempotency-Key` header.
    pub key: String,
    /// HTTP method, in upper case.
    pub method: String,
    /// Path and query.
    pub path_and_query: String,
    /// SHA-256 digest of the body; `None` if the body has not been read yet.
    pub body_sha256: Option<[u8; 32]>,
}

/// State of a key, as seen by a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyStatus {
    /// The key was not used before. This request has claimed it and must complete or release it.
    New,
    /// The first request with the key is in progress.
    InProgress,
    /// The first request has no outcome although its time limit has passed; it is unknown whether it had an effect.
    OutcomeUnknown,
    /// The key was used for a different request.
    OtherRequest,
    /// A request with the key succeeded. The caller must read the body and claim again, to find out whether this is the
    /// same request.
    BodyRequired,
    /// The same request succeeded before.
    Completed(StoredOutcome),
}

/// Stores the outcomes of requests with an `Idempotency-Key`. Keys of different users are independent.
#[async_trait]
pub trait Idempotency: Send + Sync {
    /// Claims a key, or returns the state of a used one.
    async fn claim(&self, caller: &Caller, request: &KeyedRequest) -> Result<KeyStatus, GateError>;
    /// Stores the outcome of the request that claimed the key. Its body must have been read.
    async fn complete(&self, caller: &Caller, request: &KeyedRequest, outcome: StoredOutcome) -> Result<(), GateError>;
    /// Releases the key after the request that claimed it had no effect.
    async fn release(&self, caller: &Caller, request: &KeyedRequest) -> Result<(), GateError>;
}
