//! The clock and the id generator, as ports, so that tests can control them.

use crate::time::Timestamp;
use uuid::Uuid;

/// The source of the current time.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Clock: Send + Sync {
    /// The current time in UTC, truncated to microseconds, the precision of PostgreSQL.
    fn now(&self) -> Timestamp;
}

/// Generates ids that sort by time (UUIDv7).
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait IdGen: Send + Sync {
    /// A new UUIDv7 (RFC 9562); ids sort by the time of their creation.
    fn uuid(&self) -> Uuid;
}
