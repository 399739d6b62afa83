//! Verifies a tenant's hash chain, from its start or its last purge to its head, and reports what is wrong.
//!
//! Does no I/O. The caller first supplies the signed checkpoints and purge records, from the database and from
//! elsewhere, and then the entries in order, from the database or from an export.

use super::signature::{TrustedKeys, Verification};
use domain::audit::chain::{AuditHash, ChainedEvent, Checkpoint, EntryWithoutRow, PurgeRecord};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Maximum number of findings listed per tenant. The first one matters; later ones often follow from it.
const MAX_FINDINGS: usize = 20;

/// Ten minutes, in microseconds. Checkpoints are signed at least once a minute, so a longer chain without any
/// checkpoint means that the checkpoints were removed.
const MAX_UNSIGNED_SPAN_MICROS: i64 = 600_000_000;

/// Evidence of tampering or of damage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// `seq` of the chain entry that the finding is about, if any.
    pub seq: Option<i64>,
    /// Id of the audit row, if known.
    pub audit_id: Option<Uuid>,
    /// Description of the problem: a sentence without a final period.
    pub message: String,
}

/// The result of verifying one tenant's chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainReport {
    /// The tenant; nil for the platform's own chain.
    pub tenant: Uuid,
    /// Number of chain entries that were checked.
    pub entry_count: u64,
    /// `seq` of the last entry.
    pub last_seq: i64,
    /// Number of entries whose rows were deleted by a purge with a signed record.
    pub purged_entry_count: u64,
    /// Number of signed checkpoints that match the chain.
    pub matching_checkpoint_count: u64,
    /// The last checkpoint that matches the chain: `seq` of its entry and the time at which it was signed.
    pub last_checkpoint: Option<(i64, Timestamp)>,
    /// Number of rows that are not in the chain yet.
    pub unsealed_row_count: u64,
    /// The first 20 findings.
    pub findings: Vec<Finding>,
    /// Total number of findings, including those that are not listed in `findings`.
    pub finding_count: u64,
    /// Remarks for the auditor that are not evidence of tampering.
    pub remarks: Vec<String>,
}

impl ChainReport {
    /// Whether the log is intact, that is, there are no findings.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.finding_count == 0
    }

    pub(super) fn add_finding(&mut self, seq: Option<i64>, audit_id: Option<Uuid>, message: impl Into<String>) {
        self.finding_count += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { seq, audit_id, message: message.into() });
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
    pub row_hash: AuditHash,
    /// Chain hash of this entry, as recorded in the chain.
    pub chain_hash: AuditHash,
    /// Hash computed from the current content of the row; `None` if the row no longer exists.
    pub computed_hash: Option<AuditHash>,
}

impl ChainEntry {
    /// Creates the entry of an exported event.
    #[must_use]
    pub fn from_event(event: &ChainedEvent) -> Self {
        Self {
            seq: event.seq,
            audit_id: event.id,
            at_micros: event.created_at_micros(),
            row_hash: event.row_hash,
            chain_hash: event.chain_hash,
            computed_hash: Some(event.computed_hash()),
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
            computed_hash: None,
        }
    }
}

/// The verification of one tenant's chain, in progress.
pub struct ChainVerifier {
    report: ChainReport,
    /// Hashes with valid signatures by `seq`, each with the time at which it was signed.
    signed_hashes: BTreeMap<i64, Vec<(AuditHash, Timestamp)>>,
    head_hash: AuditHash,
    /// `seq` of the last entry seen; before that, the `seq` that precedes the first expected entry.
    last_seq: i64,
    /// Rows created before this time may be missing; in microseconds since the Unix epoch.
    purged_before_micros: Option<i64>,
    /// Creation times of the first and the last entry, in microseconds since the Unix epoch.
    first_at_micros: Option<i64>,
    last_at_micros: i64,
}

impl ChainVerifier {
    /// Starts the verification of a tenant's chain, and verifies the signatures of `checkpoints` and `purge_records`.
    #[must_use]
    pub fn new(tenant: Uuid, checkpoints: &[Checkpoint], purge_records: &[PurgeRecord], keys: &TrustedKeys) -> Self {
        let mut report = ChainReport {
            tenant,
            entry_count: 0,
            last_seq: 0,
            purged_entry_count: 0,
            matching_checkpoint_count: 0,
            last_checkpoint: None,
            unsealed_row_count: 0,
            findings: Vec::new(),
            finding_count: 0,
            remarks: Vec::new(),
        };
        let last_purge = latest_valid_purge_record(&mut report, purge_records, keys);
        let mut verifier = Self {
            signed_hashes: BTreeMap::new(),
            head_hash: last_purge.map_or_else(|| AuditHash::genesis(tenant), |purge| purge.chain_hash),
            last_seq: last_purge.map_or(0, |purge| purge.through_seq),
            first_at_micros: None,
            last_at_micros: 0,
            purged_before_micros: last_purge.map(|purge| purge.created_before.timestamp_micros()),
            report,
        };
        verifier.verify_checkpoints(checkpoints, keys);
        verifier
    }

    fn verify_checkpoints(&mut self, checkpoints: &[Checkpoint], keys: &TrustedKeys) {
        let mut untrusted_checkpoints = 0_u64;
        for checkpoint in checkpoints {
            match keys.verify_checkpoint(checkpoint) {
                Verification::Valid => {
                    let hashes = self.signed_hashes.entry(checkpoint.seq).or_default();
                    if !hashes.iter().any(|(hash, _)| *hash == checkpoint.chain_hash) {
                        hashes.push((checkpoint.chain_hash, checkpoint.signed_at));
                    }
                }
                Verification::Invalid => {
                    self.report.add_finding(Some(checkpoint.seq), None, "a checkpoint's signature is invalid");
                }
                Verification::UnknownKey => untrusted_checkpoints += 1,
            }
        }
        if untrusted_checkpoints > 0 && self.signed_hashes.is_empty() {
            self.report.add_finding(
                None,
                None,
                format!("all {untrusted_checkpoints} checkpoints are signed with keys that are not trusted here"),
            );
        } else if untrusted_checkpoints > 0 {
            self.report
                .remarks
                .push(format!("{untrusted_checkpoints} checkpoints are signed with keys that are not trusted here"));
        }
    }

    /// Starts in the middle of the chain, for a resumed export: the next entry must follow the entry `seq`, whose chain
    /// hash is `head_hash`.
    pub fn resume_after(&mut self, seq: i64, head_hash: AuditHash) {
        (self.last_seq, self.head_hash) = (seq, head_hash);
    }

    /// Checks the next entry. Entries must be supplied in ascending order of `seq`.
    pub fn verify_entry(&mut self, entry: &ChainEntry) {
        let ChainEntry { seq, audit_id, at_micros, row_hash, chain_hash, computed_hash } = *entry;
        let id = Some(audit_id);
        // A purge keeps its boundary entry, which the hash of the next entry is computed from.
        if seq == self.last_seq && self.report.entry_count == 0 && self.purged_before_micros.is_some() {
            if chain_hash != self.head_hash {
                self.report.add_finding(
                    Some(seq),
                    id,
                    "the chain does not continue from the entry that the last `audit retire` recorded",
                );
            }
            self.compare_with_signatures(seq, chain_hash);
            return;
        }
        self.report.entry_count += 1;
        if seq <= self.last_seq {
            self.report.add_finding(Some(seq), id, "the entry is a duplicate or out of order");
            return;
        }
        if seq != self.last_seq + 1 {
            let missing = if seq == self.last_seq + 2 {
                format!("the entry {} is missing from the chain", self.last_seq + 1)
            } else {
                format!("the entries {} to {} are missing from the chain", self.last_seq + 1, seq - 1)
            };
            self.report.add_finding(Some(self.last_seq + 1), None, missing);
        } else if self.head_hash.next(seq, at_micros, &row_hash) != chain_hash {
            self.report.add_finding(Some(seq), id, "the chain's hash does not follow from the entry before");
        }
        match computed_hash {
            Some(hash) if hash == row_hash => {}
            Some(_) => self.report.add_finding(Some(seq), id, "the row was changed after it was written"),
            None if self.purged_before_micros.is_some_and(|before| at_micros < before) => {
                self.report.purged_entry_count += 1
            }
            None => self.report.add_finding(Some(seq), id, "the row was deleted"),
        }
        (self.last_seq, self.head_hash) = (seq, chain_hash);
        self.first_at_micros.get_or_insert(at_micros);
        self.last_at_micros = at_micros;
        self.compare_with_signatures(seq, chain_hash);
    }

    fn compare_with_signatures(&mut self, seq: i64, chain_hash: AuditHash) {
        for (signed, at) in self.signed_hashes.remove(&seq).unwrap_or_default() {
            if signed == chain_hash {
                self.report.matching_checkpoint_count += 1;
                self.report.last_checkpoint = Some((seq, at));
            } else {
                self.report.add_finding(Some(seq), None, "the chain is not the one that was signed: it was rewritten");
            }
        }
    }

    /// Finishes the verification after the last entry and returns the report.
    #[must_use]
    pub fn finish(mut self) -> ChainReport {
        let end_seq = self.last_seq;
        self.report.last_seq = end_seq;
        let span = self.first_at_micros.map_or(0, |first| self.last_at_micros.saturating_sub(first));
        if span > MAX_UNSIGNED_SPAN_MICROS
            && self.report.matching_checkpoint_count == 0
            && self.signed_hashes.is_empty()
            && self.report.is_intact()
        {
            let message = "nothing is signed: checkpoints are signed at least once a minute, so they were removed";
            self.report.add_finding(None, None, message);
        }
        let mut seqs_beyond_end = self.signed_hashes.keys().copied().filter(|seq| *seq > end_seq);
        if let Some(first) = seqs_beyond_end.next() {
            let last = seqs_beyond_end.next_back().unwrap_or(first);
            let message = format!("the end is missing: entry {last} was signed, and the chain ends at entry {end_seq}");
            self.report.add_finding(Some(end_seq + 1), None, message);
        }
        self.report
    }
}

/// Returns the latest purge record with a valid signature, and reports records with an invalid or untrusted signature.
fn latest_valid_purge_record<'a>(
    report: &mut ChainReport,
    purge_records: &'a [PurgeRecord],
    keys: &TrustedKeys,
) -> Option<&'a PurgeRecord> {
    let mut latest: Option<&PurgeRecord> = None;
    for record in purge_records {
        match keys.verify_purge_record(record) {
            Verification::Valid => {
                let is_later = |known: &PurgeRecord| {
                    (known.created_before, known.signed_at) < (record.created_before, record.signed_at)
                };
                if latest.is_none_or(is_later) {
                    latest = Some(record);
                }
            }
            Verification::Invalid => report.add_finding(
                Some(record.through_seq),
                None,
                "the signature of an `audit retire` record is invalid",
            ),
            Verification::UnknownKey => {
                report.add_finding(
                    Some(record.through_seq),
                    None,
                    "an `audit retire` record is signed with a key that is not trusted here",
                );
            }
        }
    }
    latest
}
