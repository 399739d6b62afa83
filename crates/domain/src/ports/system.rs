//! The clock and the source of ids, as values that a test can control.

use crate::time::Timestamp;
use uuid::Uuid;

/// The source of the current time.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Clock: Send + Sync {
    /// Now, UTC, cut to microseconds as PostgreSQL stores it.
    fn now(&self) -> Timestamp;
}

/// Generates ids that sort by time (UUIDv7).
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait IdGen: Send + Sync {
    /// A new UUIDv7 (RFC 9562): ordered by time of making.
    fn uuid(&self) -> Uuid;
}
