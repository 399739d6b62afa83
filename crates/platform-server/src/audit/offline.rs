//! `audit verify --export`: verifies an export with public keys, without access to the database or the secret key.

use super::report::conclude;
use anyhow::{Context as _, Result};
use data::audit::{ChainEntry, StreamReport, TrustedKeys, Walk};
use domain::audit::lines::Line;
use domain::audit::sealed::{Checkpoint, Retirement};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use uuid::Uuid;

/// The signed records that cover a tenant's chain.
#[derive(Default)]
struct Proofs {
    checkpoints: Vec<Checkpoint>,
    retirements: Vec<Retirement>,
}

/// Verifies an export and prints the result. Checkpoints in `file_checkpoints` are used for the tenants that the export
/// contains.
///
/// # Errors
/// If the log was changed, or the file is not an export.
pub(super) fn verify(file: &Path, file_checkpoints: &[Checkpoint], keys: &TrustedKeys) -> Result<()> {
    let (reports, resumed) = stream_reports(file, file_checkpoints, keys)?;
    let note = "the export does not start at the beginning; earlier rows were not checked".to_owned();
    conclude(&reports, if resumed { std::slice::from_ref(&note) } else { &[] })
}

/// Verifies each tenant's chain; the second value is whether the export starts in the middle of a chain. Reads the
/// file twice, because the signed records follow the rows that they cover.
fn stream_reports(
    file: &Path,
    file_checkpoints: &[Checkpoint],
    keys: &TrustedKeys,
) -> Result<(Vec<StreamReport>, bool)> {
    let mut proofs: BTreeMap<Uuid, Proofs> = BTreeMap::new();
    each_line(file, |line| match line {
        Line::Start(start) => drop(proofs.entry(start.tenant_id).or_default()),
        Line::Event(event) => drop(proofs.entry(event.tenant_id).or_default()),
        Line::Entry(entry) => drop(proofs.entry(entry.tenant_id).or_default()),
        Line::Checkpoint(signed) => proofs.entry(signed.tenant_id).or_default().checkpoints.push(signed),
        Line::Retirement(signed) => proofs.entry(signed.tenant_id).or_default().retirements.push(signed),
    })?;
    for checkpoint in file_checkpoints {
        if let Some(tenant) = proofs.get_mut(&checkpoint.tenant_id) {
            tenant.checkpoints.push(checkpoint.clone());
        }
    }
    let walk = |(tenant, of): (&Uuid, &Proofs)| (*tenant, Walk::new(*tenant, &of.checkpoints, &of.retirements, keys));
    let mut walks: BTreeMap<Uuid, Walk> = proofs.iter().map(walk).collect();
    let mut resumed = false;
    let mut started = std::collections::BTreeSet::new();
    each_line(file, |line| {
        let (tenant, entry) = match &line {
            // An interrupted export may have been resumed into the same file; only the first start line counts.
            Line::Start(start) => {
                if started.insert(start.tenant_id) {
                    resumed = true;
                    if let Some(walk) = walks.get_mut(&start.tenant_id) {
                        walk.resume_after(start.seq, start.chain_hash);
                    }
                }
                return;
            }
            Line::Event(event) => (event.tenant_id, ChainEntry::of(event)),
            Line::Entry(entry) => (entry.tenant_id, ChainEntry::without_row(entry)),
            Line::Checkpoint(_) | Line::Retirement(_) => return,
        };
        started.insert(tenant);
        if let Some(walk) = walks.get_mut(&tenant) {
            walk.entry(&entry);
        }
    })?;
    Ok((walks.into_values().map(Walk::finish).collect(), resumed))
}

fn each_line(file: &Path, mut visit: impl FnMut(Line)) -> Result<()> {
    let read_error = || format!("cannot read {}", file.display());
    let reader = BufReader::new(File::open(file).with_context(read_error)?);
    for (number, line) in reader.lines().enumerate() {
        let line = line.with_context(read_error)?;
        if !line.trim().is_empty() {
            visit(Line::parse(&line).with_context(|| format!("line {} of {}", number + 1, file.display()))?);
        }
    }
    Ok(())
}
