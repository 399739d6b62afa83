//! Types for points in time and dates.

use chrono::{DateTime, NaiveDate, Utc};

/// A point in time, UTC; stored by PostgreSQL with microsecond precision.
pub type Timestamp = DateTime<Utc>;
/// A day of the calendar, in UTC.
pub type Date = NaiveDate;
