//! The system clock and the generator of ids. All other code gets them as `Clock` and `IdGen`.

use chrono::{SubsecRound as _, Utc};
use domain::ports::{Clock, IdGen};
use domain::time::Timestamp;
use uuid::Uuid;

/// The system clock, truncated to microseconds as PostgreSQL stores them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place: everything else takes a Clock")]
    fn now(&self) -> Timestamp {
        Utc::now().trunc_subsecs(6)
    }
}

/// Generates version 7 UUIDs (RFC 9562), which are monotonic within this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeOrderedIds;

impl IdGen for TimeOrderedIds {
    #[expect(clippy::disallowed_methods, reason = "the only place: everything else takes an IdGen")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}
