//! Points in time.

use chrono::{DateTime, Utc};

/// A point in time, UTC; stored by PostgreSQL with microsecond precision.
pub type Timestamp = DateTime<Utc>;
