//! The real clock and the real source of ids: the one place where either is asked.

use chrono::{SubsecRound as _, Utc};
use domain::ports::{Clock, IdGen};
use domain::time::Timestamp;
use uuid::Uuid;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one site: everything else takes a Clock")]
    fn now(&self) -> Timestamp {
        Utc::now().trunc_subsecs(6)
    }
}

/// UUIDv7 (RFC 9562), in order within this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeOrderedIds;

impl IdGen for TimeOrderedIds {
    #[expect(clippy::disallowed_methods, reason = "the one site: everything else takes an IdGen")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}
