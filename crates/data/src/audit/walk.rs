//! Walks a tenant's chain from its start or its last retirement to its end, and says what does not hold.
//!
//! Pure: the entries come from the database or from an export. What proves them comes first: signed checkpoints, those of
//! the database and those that were kept elsewhere.

use super::signature::{Signed, TrustedKeys};
use domain::audit::sealed::{ChainHash, Checkpoint, EntryWithoutRow, Retirement, SealedEvent};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Most findings that are told of one tenant; the first is what matters.
const MOST_FINDINGS: usize = 20;

/// A chain that spans more than this, in microseconds, and has no checkpoint has lost them: ten minutes.
const UNPROVEN_MICROS: i64 = 600_000_000;

/// Something that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The place in the chain, where there is one.
    pub seq: Option<i64>,
    /// The row, where it is known.
    pub audit_id: Option<Uuid>,
    /// What, as a sentence without its end.
    pub what: String,
}

/// What a walk found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamReport {
    /// The tenant; nil for the platform's own stream.
    pub tenant: Uuid,
    /// Entries of the chain that were checked.
    pub entries: u64,
    /// The last place.
    pub last_seq: i64,
    /// Rows that a signed retirement accounts for.
    pub retired: u64,
    /// Checkpoints that hold.
    pub checkpoints: u64,
    /// The place of the last checkpoint that holds, and when it was signed.
    pub proven: Option<(i64, Timestamp)>,
    /// Rows that have no place yet.
    pub unsealed: u64,
    /// What does not hold, in the order of the chain; cut after twenty.
    pub findings: Vec<Finding>,
    /// How many findings there are.
    pub found: u64,
    /// What an auditor should know and is no proof of tampering.
    pub remarks: Vec<String>,
}

impl StreamReport {
    /// Whether everything holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.found == 0
    }

    pub(super) fn add(&mut self, seq: Option<i64>, audit_id: Option<Uuid>, what: impl Into<String>) {
        self.found += 1;
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { seq, audit_id, what: what.into() });
        }
    }
}

/// What stands at one place of the chain.
#[derive(Clone, Copy, Debug)]
pub struct ChainEntry {
    /// The place.
    pub seq: i64,
    /// The row's id.
    pub audit_id: Uuid,
    /// The row's moment in microseconds since 1970, as the chain has it.
    pub at_micros: i64,
    /// The row's hash, as the chain has it.
    pub row_hash: ChainHash,
    /// The chain's hash.
    pub chain_hash: ChainHash,
    /// The hash that follows from the row itself; `None`: there is no such row.
    pub computed: Option<ChainHash>,
}

impl ChainEntry {
    /// An event of an export.
    #[must_use]
    pub fn of(event: &SealedEvent) -> Self {
        Self {
            seq: event.seq,
            audit_id: event.id,
            at_micros: event.at_micros(),
            row_hash: event.row_hash,
            chain_hash: event.chain_hash,
            computed: Some(event.computed_hash()),
        }
    }

    /// A place of an export whose row is gone.
    #[must_use]
    pub fn without_row(entry: &EntryWithoutRow) -> Self {
        Self {
            seq: entry.seq,
            audit_id: entry.id,
            at_micros: entry.created_at.timestamp_micros(),
            row_hash: entry.row_hash,
            chain_hash: entry.chain_hash,
            computed: None,
        }
    }
}

/// A walk under way.
pub struct Walk {
    report: StreamReport,
    /// Signed hashes by place, with the moment of the signature.
    signed: BTreeMap<i64, Vec<(ChainHash, Timestamp)>>,
    head: ChainHash,
    /// The last entry's place; before the first, the place before it.
    seq: i64,
    retired_before: Option<i64>,
    /// Moments of the first and the last entry, in microseconds since 1970.
    first_at: Option<i64>,
    last_at: i64,
}

impl Walk {
    /// Prepares a tenant's walk with what proves it.
    #[must_use]
    pub fn new(tenant: Uuid, checkpoints: &[Checkpoint], retirements: &[Retirement], keys: &TrustedKeys) -> Self {
        let mut report = StreamReport {
            tenant,
            entries: 0,
            last_seq: 0,
            retired: 0,
            checkpoints: 0,
            proven: None,
            unsealed: 0,
            findings: Vec::new(),
            found: 0,
            remarks: Vec::new(),
        };
        let retirement = trusted_retirement(&mut report, retirements, keys);
        let mut walk = Self {
            signed: BTreeMap::new(),
            head: retirement.map_or_else(|| ChainHash::genesis(tenant), |retired| retired.chain_hash),
            seq: retirement.map_or(0, |retired| retired.through_seq),
            first_at: None,
            last_at: 0,
            retired_before: retirement.map(|retired| retired.before.timestamp_micros()),
            report,
        };
        walk.trust(checkpoints, keys);
        walk
    }

    fn trust(&mut self, checkpoints: &[Checkpoint], keys: &TrustedKeys) {
        let mut strangers = 0_u64;
        for checkpoint in checkpoints {
            match keys.checkpoint(checkpoint) {
                Signed::Rightly => {
                    let hashes = self.signed.entry(checkpoint.seq).or_default();
                    if !hashes.iter().any(|(hash, _)| *hash == checkpoint.chain_hash) {
                        hashes.push((checkpoint.chain_hash, checkpoint.at));
                    }
                }
                Signed::Wrongly => {
                    self.report.add(Some(checkpoint.seq), None, "a checkpoint's signature is wrong");
                }
                Signed::ByAStranger => strangers += 1,
            }
        }
        if strangers > 0 && self.signed.is_empty() {
            self.report.add(
                None,
                None,
                format!("all {strangers} checkpoints are signed with keys that are not trusted here"),
            );
        } else if strangers > 0 {
            self.report.remarks.push(format!("{strangers} checkpoints are signed with keys that are not trusted here"));
        }
    }

    /// Starts in the middle, as an export does that was taken up again: before the next entry stands this hash.
    pub fn resume_after(&mut self, seq: i64, head: ChainHash) {
        (self.seq, self.head) = (seq, head);
    }

    /// The next entry, in the order of the places.
    pub fn entry(&mut self, entry: &ChainEntry) {
        let ChainEntry { seq, audit_id, at_micros, row_hash, chain_hash, computed } = *entry;
        let id = Some(audit_id);
        // What a retirement took out with everything before it stays as the anchor.
        if seq == self.seq && self.report.entries == 0 && self.retired_before.is_some() {
            if chain_hash != self.head {
                self.report.add(Some(seq), id, "the chain does not go on from the place that the retirement names");
            }
            self.compare(seq, chain_hash);
            return;
        }
        self.report.entries += 1;
        if seq <= self.seq {
            self.report.add(Some(seq), id, "the place is taken twice");
            return;
        }
        if seq != self.seq + 1 {
            let missing = if seq == self.seq + 2 {
                format!("the entry {} is missing from the chain", self.seq + 1)
            } else {
                format!("the entries {} to {} are missing from the chain", self.seq + 1, seq - 1)
            };
            self.report.add(Some(self.seq + 1), None, missing);
        } else if self.head.next(seq, at_micros, &row_hash) != chain_hash {
            self.report.add(Some(seq), id, "the chain's hash does not follow from the entry before");
        }
        match computed {
            Some(hash) if hash == row_hash => {}
            Some(_) => self.report.add(Some(seq), id, "the row was changed after it was written"),
            None if self.retired_before.is_some_and(|before| at_micros < before) => self.report.retired += 1,
            None => self.report.add(Some(seq), id, "the row was deleted"),
        }
        (self.seq, self.head) = (seq, chain_hash);
        self.first_at.get_or_insert(at_micros);
        self.last_at = at_micros;
        self.compare(seq, chain_hash);
    }

    fn compare(&mut self, seq: i64, chain_hash: ChainHash) {
        for (signed, at) in self.signed.remove(&seq).unwrap_or_default() {
            if signed == chain_hash {
                self.report.checkpoints += 1;
                self.report.proven = Some((seq, at));
            } else {
                self.report.add(Some(seq), None, "the chain is not the one that was signed: it was written anew");
            }
        }
    }

    /// The end of the chain.
    #[must_use]
    pub fn end(mut self) -> StreamReport {
        let end = self.seq;
        self.report.last_seq = end;
        let span = self.first_at.map_or(0, |first| self.last_at.saturating_sub(first));
        if span > UNPROVEN_MICROS && self.report.checkpoints == 0 && self.signed.is_empty() && self.report.holds() {
            let what = "nothing is signed: checkpoints come every few seconds, so they were removed";
            self.report.add(None, None, what);
        }
        let mut beyond = self.signed.keys().copied().filter(|seq| *seq > end);
        if let Some(first) = beyond.next() {
            let last = beyond.next_back().unwrap_or(first);
            let what = format!("the end is missing: the chain was signed at {last} and now ends at {end}");
            self.report.add(Some(end + 1), None, what);
        }
        self.report
    }
}

/// The latest retirement that is rightly signed.
fn trusted_retirement<'a>(
    report: &mut StreamReport,
    retirements: &'a [Retirement],
    keys: &TrustedKeys,
) -> Option<&'a Retirement> {
    let mut latest: Option<&Retirement> = None;
    for retirement in retirements {
        match keys.retirement(retirement) {
            Signed::Rightly => {
                if latest.is_none_or(|known| (known.before, known.at) < (retirement.before, retirement.at)) {
                    latest = Some(retirement);
                }
            }
            Signed::Wrongly => report.add(Some(retirement.through_seq), None, "a retirement's signature is wrong"),
            Signed::ByAStranger => {
                report.add(
                    Some(retirement.through_seq),
                    None,
                    "a retirement is signed with a key that is not trusted here",
                );
            }
        }
    }
    latest
}
