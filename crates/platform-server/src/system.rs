//! The system clock and the source of ids; no other code reads either.

use chrono::{SubsecRound as _, Utc};
use domain::ports::{Clock, IdGen};
use domain::time::Timestamp;
use uuid::Uuid;

/// The system clock, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place: everything else takes a Clock")]
    fn now(&self) -> Timestamp {
        Utc::now().trunc_subsecs(6)
    }
}

/// UUIDv7 (RFC 9562), monotonic within this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeOrderedIds;

impl IdGen for TimeOrderedIds {
    #[expect(clippy::disallowed_methods, reason = "the only place: everything else takes an IdGen")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}
