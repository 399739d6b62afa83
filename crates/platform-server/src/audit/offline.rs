//! `audit verify --export`: verifies an export with public keys, without access to the database or the secret key.

use super::report::print_reports;
use anyhow::{Context as _, Result};
use data::audit::{ChainEntry, ChainReport, ChainVerifier, TrustedKeys};
use domain::audit::chain::{Checkpoint, PurgeRecord};
use domain::audit::export::ExportLine;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use uuid::Uuid;

/// The signed records that cover a tenant's chain.
#[derive(Default)]
struct SignedRecords {
    checkpoints: Vec<Checkpoint>,
    purge_records: Vec<PurgeRecord>,
}

/// Verifies an export and prints the result. Checkpoints in `file_checkpoints` are used for the tenants that the export
/// contains.
///
/// # Errors
/// If the log was changed, or the file is not an export.
pub(super) fn verify(file: &Path, file_checkpoints: &[Checkpoint], keys: &TrustedKeys) -> Result<()> {
    let (reports, is_resumed) = chain_reports(file, file_checkpoints, keys)?;
    let note = "the export does not start at the beginning; earlier rows were not checked".to_owned();
    print_reports(&reports, if is_resumed { std::slice::from_ref(&note) } else { &[] })
}

/// Verifies each tenant's chain; the second value is whether the export starts in the middle of a chain. Reads the
/// file twice, because the signed records follow the rows that they cover.
fn chain_reports(file: &Path, file_checkpoints: &[Checkpoint], keys: &TrustedKeys) -> Result<(Vec<ChainReport>, bool)> {
    let mut signed_records: BTreeMap<Uuid, SignedRecords> = BTreeMap::new();
    each_line(file, |line| match line {
        ExportLine::Start(start) => drop(signed_records.entry(start.tenant_id).or_default()),
        ExportLine::Event(event) => drop(signed_records.entry(event.tenant_id).or_default()),
        ExportLine::EntryWithoutRow(entry) => drop(signed_records.entry(entry.tenant_id).or_default()),
        ExportLine::Checkpoint(signed) => signed_records.entry(signed.tenant_id).or_default().checkpoints.push(signed),
        ExportLine::Purge(signed) => signed_records.entry(signed.tenant_id).or_default().purge_records.push(signed),
    })?;
    for checkpoint in file_checkpoints {
        if let Some(records) = signed_records.get_mut(&checkpoint.tenant_id) {
            records.checkpoints.push(checkpoint.clone());
        }
    }
    let new_verifier = |(tenant, records): (&Uuid, &SignedRecords)| {
        (*tenant, ChainVerifier::new(*tenant, &records.checkpoints, &records.purge_records, keys))
    };
    let mut verifiers: BTreeMap<Uuid, ChainVerifier> = signed_records.iter().map(new_verifier).collect();
    let mut is_resumed = false;
    let mut started_chains = std::collections::BTreeSet::new();
    each_line(file, |line| {
        let (tenant, entry) = match &line {
            // An interrupted export may have been resumed into the same file; only the first start line counts.
            ExportLine::Start(start) => {
                if started_chains.insert(start.tenant_id) {
                    is_resumed = true;
                    if let Some(verifier) = verifiers.get_mut(&start.tenant_id) {
                        verifier.resume_after(start.seq, start.chain_hash);
                    }
                }
                return;
            }
            ExportLine::Event(event) => (event.tenant_id, ChainEntry::from_event(event)),
            ExportLine::EntryWithoutRow(entry) => (entry.tenant_id, ChainEntry::without_row(entry)),
            ExportLine::Checkpoint(_) | ExportLine::Purge(_) => return,
        };
        started_chains.insert(tenant);
        if let Some(verifier) = verifiers.get_mut(&tenant) {
            verifier.verify_entry(&entry);
        }
    })?;
    Ok((verifiers.into_values().map(ChainVerifier::finish).collect(), is_resumed))
}

fn each_line(file: &Path, mut visit: impl FnMut(ExportLine)) -> Result<()> {
    let read_error = || format!("cannot read {}", file.display());
    let reader = BufReader::new(File::open(file).with_context(read_error)?);
    for (number, line) in reader.lines().enumerate() {
        let line = line.with_context(read_error)?;
        if !line.trim().is_empty() {
            visit(ExportLine::parse(&line).with_context(|| format!("line {} of {}", number + 1, file.display()))?);
        }
    }
    Ok(())
}
