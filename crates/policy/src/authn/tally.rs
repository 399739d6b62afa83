//! Refusals, counted by what they have in common: without it, whoever sends requests without a token writes rows into
//! the audit log, and fills a disk, as fast as the network lets them.
//!
//! The first of a kind in a minute is recorded at once; the others of that minute are counted, and recorded as one row
//! with their number when it is over.

use domain::ids::{AuditId, TenantId, UserId};
use domain::time::Timestamp;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most kinds of refusals counted at a time. Of more, only the reason is told apart.
pub const CAPACITY: usize = 256;
const MINUTE: i64 = 60;

/// What refusals have in common that are counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kind {
    /// In whose log they are.
    pub tenant: TenantId,
    /// Who was refused, where a token said so.
    pub user: Option<UserId>,
    /// Why.
    pub reason: &'static str,
    /// From where.
    pub peer: Option<IpAddr>,
}

/// Refusals of one kind in one minute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    /// What they have in common.
    pub kind: Kind,
    /// When the minute began, in minutes since 1970.
    pub minute: i64,
    /// There were too many kinds: peers and users are not told apart.
    pub is_overflow: bool,
    /// All of them.
    pub total: u64,
    /// Those that no row tells of yet.
    pub unwritten: u64,
    /// The row of the first one.
    pub first: Option<AuditId>,
}

impl Counted {
    /// When the minute began.
    pub fn from(&self) -> Option<Timestamp> {
        Timestamp::from_timestamp(self.minute * MINUTE, 0)
    }
}

/// Where a refusal was counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    key: (Kind, i64),
    /// It is the first of its kind in this minute: to be recorded at once.
    pub is_first: bool,
    /// How many of its kind there are in this minute.
    pub total: u64,
    /// The row of the first one, where it is written.
    pub first: Option<AuditId>,
}

/// The counts.
#[derive(Default)]
pub struct Tally(Mutex<HashMap<(Kind, i64), Counted>>);

impl Tally {
    /// Counts a refusal.
    pub fn count(&self, kind: Kind, now: Timestamp) -> Place {
        let minute = now.timestamp().div_euclid(MINUTE);
        let mut counts = self.lock();
        let key = (kind, minute);
        let is_overflow = !counts.contains_key(&key) && counts.len() >= CAPACITY;
        let key = if is_overflow { (of_any(&key.0), minute) } else { key };
        let counted = counts.entry(key.clone()).or_insert_with(|| Counted {
            kind: key.0.clone(),
            minute,
            is_overflow,
            total: 0,
            unwritten: 0,
            first: None,
        });
        counted.total += 1;
        counted.unwritten += 1;
        Place { key, is_first: counted.total == 1, total: counted.total, first: counted.first }
    }

    /// Notes that the first refusal of a kind was recorded.
    pub fn first_written(&self, place: &Place, row: AuditId) {
        if let Some(counted) = self.lock().get_mut(&place.key) {
            counted.first = Some(row);
            counted.unwritten -= 1;
        }
    }

    /// The counts of minutes that are over; with `all`, of the present one too.
    pub fn due(&self, now: Timestamp, all: bool) -> Vec<Counted> {
        let minute = now.timestamp().div_euclid(MINUTE);
        let mut counts = self.lock();
        // Nothing to tell beside the row that is written already.
        counts.retain(|_, counted| counted.unwritten > 0 || counted.minute >= minute);
        let due = |counted: &&Counted| counted.unwritten > 0 && (all || counted.minute < minute);
        counts.values().filter(due).cloned().collect()
    }

    /// Notes that these were recorded. What came meanwhile stays to be told.
    pub fn written(&self, told: &Counted) {
        let mut counts = self.lock();
        if let Some(counted) = counts.get_mut(&(told.kind.clone(), told.minute)) {
            counted.unwritten -= told.unwritten.min(counted.unwritten);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Kind, i64), Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kind under which everything is counted that has no place of its own: as many as there are reasons.
fn of_any(kind: &Kind) -> Kind {
    Kind { tenant: TenantId::PLATFORM, user: None, reason: kind.reason, peer: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).expect("valid")
    }

    fn from_peer(number: u32) -> Kind {
        Kind {
            tenant: TenantId::PLATFORM,
            user: None,
            reason: "token_missing",
            peer: Some(IpAddr::from(number.to_be_bytes())),
        }
    }

    #[test]
    fn a_minute_has_one_first_and_one_count_of_each_kind() {
        let tally = Tally::default();
        let first = tally.count(from_peer(1), at(120));
        assert!(first.is_first);
        tally.first_written(&first, AuditId::from_uuid(uuid::Uuid::nil()));
        for second in 121..180 {
            assert!(!tally.count(from_peer(1), at(second)).is_first);
        }
        assert!(tally.count(from_peer(2), at(179)).is_first);
        assert_eq!(tally.due(at(179), false), []);
        let due: Vec<_> = tally.due(at(180), false).iter().map(|c| (c.kind.peer, c.unwritten, c.total)).collect();
        assert!(due.contains(&(from_peer(1).peer, 59, 60)) && due.len() == 2, "{due:?}");
        tally.due(at(180), false).iter().for_each(|counted| tally.written(counted));
        assert_eq!(tally.due(at(240), true), []);
        assert!(tally.lock().is_empty());
    }

    #[test]
    fn the_counts_are_bounded_whoever_asks() {
        let tally = Tally::default();
        let places: Vec<_> = (0..10_000).map(|number| tally.count(from_peer(number), at(60))).collect();
        assert_eq!(tally.lock().len(), CAPACITY + 1);
        assert_eq!(places.iter().filter(|place| place.is_first).count(), CAPACITY + 1);
        let over = tally.due(at(120), false).into_iter().find(|counted| counted.is_overflow).expect("counted");
        assert_eq!((over.kind.peer, over.total), (None, 10_000 - 256));
    }
}
