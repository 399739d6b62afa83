//! `audit verify` without `--export`: verifies the log in the database.

use super::checkpoint_file::CheckpointFile;
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
pub(super) async fn run(settings: &Settings, file: &CheckpointFile, keys: TrustedKeys) -> Result<()> {
    let content = file.read()?;
    let mut remarks = Vec::new();
    if content.is_none() {
        remarks.push(format!(
            "no checkpoints at {}: a deletion of the end of the log together with its checkpoints would go unnoticed",
            file.path().display()
        ));
    }
    let content = content.unwrap_or_default();
    if content.unreadable > 0 {
        remarks.push(format!("{} lines of {} are not checkpoints", content.unreadable, file.path().display()));
    }
    let reports = stream_reports(settings, keys, &content.checkpoints).await?;
    conclude(&reports, &remarks)
}

/// Verifies each tenant's chain and returns its report.
///
/// # Errors
/// If the database fails.
pub(super) async fn stream_reports(
    settings: &Settings,
    keys: TrustedKeys,
    file_checkpoints: &[Checkpoint],
) -> Result<Vec<StreamReport>> {
    let verifier = AuditVerifier::new(databases::auditor(settings)?, keys);
    let tenants = verifier.streams(file_checkpoints).await.context("the audit log cannot be read")?;
    let mut reports = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        reports.push(verifier.verify(tenant, file_checkpoints).await.context("the audit log cannot be read")?);
    }
    Ok(reports)
}
