//! Requests that may be repeated: what is kept of one that came with an `Idempotency-Key`.

use crate::time::Timestamp;

/// An answer, to be given again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers that matter.
    pub headers: Vec<(String, String)>,
    /// Body, byte for byte.
    pub body: Vec<u8>,
}

/// What is kept of a request that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoredOutcome {
    /// The response that is sent again.
    Response(StoredResponse),
    /// That it succeeded. Its answer showed a secret, which is kept nowhere.
    SecretShown,
}

/// What a key was used for before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdempotencyRecord {
    /// Keyed hash of the request; `None` while its body is being read.
    pub fingerprint: Option<String>,
    /// What is kept of it; `None` while it is at work, or if it died in the middle.
    pub kept: Option<StoredOutcome>,
    /// When it came.
    pub since: Timestamp,
}
