//! `audit verify` without `--export`: verifies the log in the database.

use super::outside::CheckpointFile;
use super::report::conclude;
use crate::config::Settings;
use crate::databases;
use anyhow::{Context as _, Result};
use data::audit::{AuditVerifier, StreamReport, TrustedKeys};
use domain::audit::sealed::Checkpoint;

/// Verifies the logs of all tenants, connected as the auditor's role, and prints the result.
///
/// # Errors
/// If a log was changed, or cannot be read.
pub(super) async fn run(settings: &Settings, outside: &CheckpointFile, keys: TrustedKeys) -> Result<()> {
    let kept = outside.read()?;
    let mut remarks = Vec::new();
    if kept.is_none() {
        remarks.push(format!(
            "no checkpoints at {}: a deletion of the end of the log together with its checkpoints would go unnoticed",
            outside.path().display()
        ));
    }
    let kept = kept.unwrap_or_default();
    if kept.unreadable > 0 {
        remarks.push(format!("{} lines of {} are not checkpoints", kept.unreadable, outside.path().display()));
    }
    let reports = streams(settings, keys, &kept.checkpoints).await?;
    conclude(&reports, &remarks)
}

/// Verifies each stream and returns its report.
///
/// # Errors
/// If the database fails.
pub(super) async fn streams(
    settings: &Settings,
    keys: TrustedKeys,
    outside: &[Checkpoint],
) -> Result<Vec<StreamReport>> {
    let verifier = AuditVerifier::new(databases::auditor(settings)?, keys);
    let tenants = verifier.streams(outside).await.context("the audit log cannot be read")?;
    let mut reports = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        reports.push(verifier.verify(tenant, outside).await.context("the audit log cannot be read")?);
    }
    Ok(reports)
}
