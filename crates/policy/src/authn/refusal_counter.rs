//! Counts refusals by key instead of writing an audit row for each. Otherwise, anyone could fill the disk with audit
//! rows by sending requests without a token.
//!
//! The first refusal with a key in a minute is recorded at once. The others of that minute are counted and recorded as
//! one row when the minute has ended.

use domain::ids::{AuditId, TenantId, UserId};
use domain::time::Timestamp;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum number of keys counted at a time. Beyond it, refusals are counted by reason only.
pub const MAX_KEYS: usize = 256;
const SECONDS_PER_MINUTE: i64 = 60;

/// Identifies refusals that are counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RefusalKey {
    /// Tenant whose audit log records them.
    pub tenant: TenantId,
    /// The user, if the token identified one.
    pub user: Option<UserId>,
    /// Code of the reason.
    pub reason: &'static str,
    /// Address of the peer, if known.
    pub peer: Option<IpAddr>,
}

/// Number of refusals with one key in one minute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusalCount {
    /// Key of the refusals.
    pub key: RefusalKey,
    /// The minute, as the number of minutes since 1970-01-01 UTC.
    pub minute: i64,
    /// Whether these refusals are counted by reason only, because there were more than [`MAX_KEYS`] keys.
    pub counted_by_reason_only: bool,
    /// Number of refusals with this key in this minute.
    pub total: u64,
    /// Number of refusals that no audit row includes yet.
    pub unrecorded: u64,
    /// Audit row of the first refusal.
    pub first_row_id: Option<AuditId>,
}

impl RefusalCount {
    /// Start of the minute.
    pub fn started_at(&self) -> Option<Timestamp> {
        Timestamp::from_timestamp(self.minute * SECONDS_PER_MINUTE, 0)
    }
}

/// The state of a count after a refusal was added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Increment {
    key: (RefusalKey, i64),
    /// Whether this is the first refusal with its key in this minute, which must be recorded at once.
    pub is_first: bool,
    /// Number of refusals with this key in this minute.
    pub total: u64,
    /// Audit row of the first refusal, if it was recorded.
    pub first_row_id: Option<AuditId>,
}

/// The minutes whose counts are requested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CountedMinutes {
    /// Only minutes that have ended.
    Ended,
    /// Minutes that have ended, and the current one.
    EndedAndCurrent,
}

/// Counts of refusals per key and minute.
#[derive(Default)]
pub struct RefusalCounter(Mutex<HashMap<(RefusalKey, i64), RefusalCount>>);

impl RefusalCounter {
    /// Adds a refusal.
    pub fn add(&self, key: RefusalKey, now: Timestamp) -> Increment {
        let minute = now.timestamp().div_euclid(SECONDS_PER_MINUTE);
        let mut counts = self.lock();
        let key = (key, minute);
        let counted_by_reason_only = !counts.contains_key(&key) && counts.len() >= MAX_KEYS;
        let key = if counted_by_reason_only { (overflow_key(&key.0), minute) } else { key };
        let count = counts.entry(key.clone()).or_insert_with(|| RefusalCount {
            key: key.0.clone(),
            minute,
            counted_by_reason_only,
            total: 0,
            unrecorded: 0,
            first_row_id: None,
        });
        count.total += 1;
        count.unrecorded += 1;
        Increment { key, is_first: count.total == 1, total: count.total, first_row_id: count.first_row_id }
    }

    /// Marks the first refusal with a key as recorded in `row`.
    pub fn mark_first_recorded(&self, increment: &Increment, row: AuditId) {
        if let Some(count) = self.lock().get_mut(&increment.key) {
            count.first_row_id = Some(row);
            count.unrecorded -= 1;
        }
    }

    /// Returns the counts of these minutes that have unrecorded refusals. Also removes counts of ended minutes that are
    /// fully recorded.
    pub fn unrecorded_counts(&self, now: Timestamp, minutes: CountedMinutes) -> Vec<RefusalCount> {
        let current_minute = now.timestamp().div_euclid(SECONDS_PER_MINUTE);
        let mut counts = self.lock();
        // Drop the ended minutes whose refusals are all recorded.
        counts.retain(|_, count| count.unrecorded > 0 || count.minute >= current_minute);
        let is_requested =
            |count: &RefusalCount| minutes == CountedMinutes::EndedAndCurrent || count.minute < current_minute;
        counts.values().filter(|count| count.unrecorded > 0 && is_requested(count)).cloned().collect()
    }

    /// Marks the unrecorded refusals of an earlier snapshot as recorded. Refusals added since then stay unrecorded.
    pub fn mark_recorded(&self, snapshot: &RefusalCount) {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(&(snapshot.key.clone(), snapshot.minute)) {
            count.unrecorded -= snapshot.unrecorded.min(count.unrecorded);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(RefusalKey, i64), RefusalCount>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Key of the refusals that are counted by reason only.
fn overflow_key(key: &RefusalKey) -> RefusalKey {
    RefusalKey { tenant: TenantId::PLATFORM, user: None, reason: key.reason, peer: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).expect("valid")
    }

    fn key_of_peer(number: u32) -> RefusalKey {
        RefusalKey {
            tenant: TenantId::PLATFORM,
            user: None,
            reason: "token_missing",
            peer: Some(IpAddr::from(number.to_be_bytes())),
        }
    }

    #[test]
    fn each_key_has_one_first_refusal_and_one_count_per_minute() {
        let counter = RefusalCounter::default();
        let first = counter.add(key_of_peer(1), at(120));
        assert!(first.is_first);
        counter.mark_first_recorded(&first, AuditId::from_uuid(uuid::Uuid::nil()));
        for second in 121..180 {
            assert!(!counter.add(key_of_peer(1), at(second)).is_first);
        }
        assert!(counter.add(key_of_peer(2), at(179)).is_first);
        assert_eq!(counter.unrecorded_counts(at(179), CountedMinutes::Ended), []);
        let counts: Vec<_> = counter
            .unrecorded_counts(at(180), CountedMinutes::Ended)
            .iter()
            .map(|count| (count.key.peer, count.unrecorded, count.total))
            .collect();
        assert!(counts.contains(&(key_of_peer(1).peer, 59, 60)) && counts.len() == 2, "{counts:?}");
        counter.unrecorded_counts(at(180), CountedMinutes::Ended).iter().for_each(|count| counter.mark_recorded(count));
        assert_eq!(counter.unrecorded_counts(at(240), CountedMinutes::EndedAndCurrent), []);
        assert!(counter.lock().is_empty());
    }

    #[test]
    fn the_number_of_counts_is_bounded() {
        let counter = RefusalCounter::default();
        let increments: Vec<_> = (0..10_000).map(|number| counter.add(key_of_peer(number), at(60))).collect();
        assert_eq!(counter.lock().len(), MAX_KEYS + 1);
        assert_eq!(increments.iter().filter(|increment| increment.is_first).count(), MAX_KEYS + 1);
        let overflow = counter
            .unrecorded_counts(at(120), CountedMinutes::Ended)
            .into_iter()
            .find(|count| count.counted_by_reason_only)
            .expect("an overflow count");
        assert_eq!((overflow.key.peer, overflow.total), (None, 10_000 - 256));
    }
}
