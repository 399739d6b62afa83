//! Idempotent requests: the records of requests with an `Idempotency-Key`.

use crate::time::Timestamp;

/// A stored HTTP response, to be replayed for a repeated request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredResponse {
    /// HTTP status code.
    pub status: u16,
    /// Headers that are replayed: names and values.
    pub headers: Vec<(String, String)>,
    /// Body, byte for byte.
    pub body: Vec<u8>,
}

/// The stored outcome of a request that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoredOutcome {
    /// The response, which is replayed.
    Response(StoredResponse),
    /// Success, but without the response: it contained a secret, which is never stored.
    ResponseNotStored,
}

/// The earlier request that used a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdempotencyRecord {
    /// Keyed hash of the request; `None` while its body is still being read.
    pub fingerprint: Option<String>,
    /// Its outcome; `None` while it is running, or if the process died before it ended.
    pub outcome: Option<StoredOutcome>,
    /// When the key was claimed.
    pub claimed_at: Timestamp,
}
