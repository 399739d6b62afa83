//! Verifies a tenant's hash chain, from its start or its last retirement to its head, and reports what is wrong.
//!
//! Does no I/O. The caller first supplies the signed checkpoints and retirements, from the database and from elsewhere,
//! and then the entries in order, from the database or from an export.

use super::signature::{TrustedKeys, Verification};
use domain::audit::sealed::{ChainHash, Checkpoint, EntryWithoutRow, Retirement, SealedEvent};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Maximum number of findings listed per tenant. The first one matters; later ones often follow from it.
const MAX_FINDINGS: usize = 20;

/// Ten minutes, in microseconds. Checkpoints are made every few seconds, so if a longer chain has none at all, they
/// were removed.
const MAX_UNSIGNED_SPAN_MICROS: i64 = 600_000_000;

/// Evidence of tampering or of damage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Number of the chain entry that the finding is about, if any.
    pub seq: Option<i64>,
    /// Id of the audit row, if known.
    pub audit_id: Option<Uuid>,
    /// Description of the problem: a sentence without a full stop.
    pub what: String,
}

/// The result of verifying one tenant's chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamReport {
    /// The tenant; nil for the platform's own chain.
    pub tenant: Uuid,
    /// Number of chain entries that were checked.
    pub entries: u64,
    /// `seq` of the last entry.
    pub last_seq: i64,
    /// Number of entries whose rows were deleted under a signed retirement.
    pub retired: u64,
    /// Number of signed checkpoints that match the chain.
    pub checkpoints: u64,
    /// The last checkpoint that matches the chain: `seq` of its entry and the time at which it was signed.
    pub proven: Option<(i64, Timestamp)>,
    /// Number of rows that are not in the chain yet.
    pub unsealed: u64,
    /// The first 20 findings.
    pub findings: Vec<Finding>,
    /// Total number of findings, including those that are not listed in `findings`.
    pub found: u64,
    /// Remarks for the auditor that are no evidence of tampering.
    pub remarks: Vec<String>,
}

impl StreamReport {
    /// Whether the log is intact, that is, there are no findings.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.found == 0
    }

    pub(super) fn add(&mut self, seq: Option<i64>, audit_id: Option<Uuid>, what: impl Into<String>) {
        self.found += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { seq, audit_id, what: what.into() });
        }
    }
}

/// An entry of the chain, with a hash computed from the current content of its row.
#[derive(Clone, Copy, Debug)]
pub struct ChainEntry {
    /// Number of the entry, counted from 1.
    pub seq: i64,
    /// Id of the audit row.
    pub audit_id: Uuid,
    /// Creation time of the row in microseconds since the Unix epoch, as recorded in the chain.
    pub at_micros: i64,
    /// Hash of the row, as recorded in the chain.
    pub row_hash: ChainHash,
    /// Chain hash of this entry, as recorded in the chain.
    pub chain_hash: ChainHash,
    /// Hash computed from the current content of the row; `None` if the row no longer exists.
    pub computed: Option<ChainHash>,
}

impl ChainEntry {
    /// Creates the entry of an exported event.
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

    /// Creates the entry of an exported chain entry whose row no longer exists.
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

/// The verification of one tenant's chain, in progress.
pub struct Walk {
    report: StreamReport,
    /// Hashes with valid signatures by `seq`, each with the time at which it was signed.
    signed: BTreeMap<i64, Vec<(ChainHash, Timestamp)>>,
    head: ChainHash,
    /// `seq` of the last entry seen; before that, the `seq` that precedes the first expected entry.
    seq: i64,
    /// Rows created before this time may be missing; in microseconds since the Unix epoch.
    retired_before: Option<i64>,
    /// Creation times of the first and the last entry, in microseconds since the Unix epoch.
    first_at: Option<i64>,
    last_at: i64,
}

impl Walk {
    /// Starts the verification of a tenant's chain, and verifies the signatures of `checkpoints` and `retirements`.
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
        walk.verify_checkpoints(checkpoints, keys);
        walk
    }

    fn verify_checkpoints(&mut self, checkpoints: &[Checkpoint], keys: &TrustedKeys) {
        let mut untrusted = 0_u64;
        for checkpoint in checkpoints {
            match keys.checkpoint(checkpoint) {
                Verification::Valid => {
                    let hashes = self.signed.entry(checkpoint.seq).or_default();
                    if !hashes.iter().any(|(hash, _)| *hash == checkpoint.chain_hash) {
                        hashes.push((checkpoint.chain_hash, checkpoint.at));
                    }
                }
                Verification::Invalid => {
                    self.report.add(Some(checkpoint.seq), None, "a checkpoint's signature is invalid");
                }
                Verification::UnknownKey => untrusted += 1,
            }
        }
        if untrusted > 0 && self.signed.is_empty() {
            self.report.add(
                None,
                None,
                format!("all {untrusted} checkpoints are signed with keys that are not trusted here"),
            );
        } else if untrusted > 0 {
            self.report.remarks.push(format!("{untrusted} checkpoints are signed with keys that are not trusted here"));
        }
    }

    /// Starts in the middle of the chain, for a resumed export: the next entry must follow the entry `seq`, whose chain
    /// hash is `head_hash`.
    pub fn resume_after(&mut self, seq: i64, head: ChainHash) {
        (self.seq, self.head) = (seq, head);
    }

    /// Checks the next entry. Entries must be supplied in ascending order of `seq`.
    pub fn entry(&mut self, entry: &ChainEntry) {
        let ChainEntry { seq, audit_id, at_micros, row_hash, chain_hash, computed } = *entry;
        let id = Some(audit_id);
        // The boundary entry of the retirement is kept as the anchor of the remaining chain.
        if seq == self.seq && self.report.entries == 0 && self.retired_before.is_some() {
            if chain_hash != self.head {
                self.report.add(Some(seq), id, "the chain does not continue from the entry that the retirement names");
            }
            self.compare_with_signatures(seq, chain_hash);
            return;
        }
        self.report.entries += 1;
        if seq <= self.seq {
            self.report.add(Some(seq), id, "the entry exists twice");
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
        self.compare_with_signatures(seq, chain_hash);
    }

    fn compare_with_signatures(&mut self, seq: i64, chain_hash: ChainHash) {
        for (signed, at) in self.signed.remove(&seq).unwrap_or_default() {
            if signed == chain_hash {
                self.report.checkpoints += 1;
                self.report.proven = Some((seq, at));
            } else {
                self.report.add(Some(seq), None, "the chain is not the one that was signed: it was rewritten");
            }
        }
    }

    /// Finishes the verification after the last entry and returns the report.
    #[must_use]
    pub fn finish(mut self) -> StreamReport {
        let end = self.seq;
        self.report.last_seq = end;
        let span = self.first_at.map_or(0, |first| self.last_at.saturating_sub(first));
        if span > MAX_UNSIGNED_SPAN_MICROS
            && self.report.checkpoints == 0
            && self.signed.is_empty()
            && self.report.holds()
        {
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

/// Returns the latest retirement with a valid signature, and reports those without.
fn trusted_retirement<'a>(
    report: &mut StreamReport,
    retirements: &'a [Retirement],
    keys: &TrustedKeys,
) -> Option<&'a Retirement> {
    let mut latest: Option<&Retirement> = None;
    for retirement in retirements {
        match keys.retirement(retirement) {
            Verification::Valid => {
                if latest.is_none_or(|known| (known.before, known.at) < (retirement.before, retirement.at)) {
                    latest = Some(retirement);
                }
            }
            Verification::Invalid => {
                report.add(Some(retirement.through_seq), None, "a retirement's signature is invalid")
            }
            Verification::UnknownKey => {
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
