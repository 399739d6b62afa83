//! `audit verify` without `--export`: verifies the log in the database.

use super::checkpoint_file::CheckpointFile;
use super::report::print_reports;
use crate::config::Settings;
use crate::databases;
use anyhow::{Context as _, Result};
use data::audit::{AuditVerifier, ChainReport, TrustedKeys};
use domain::audit::chain::Checkpoint;

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
    if content.unreadable_lines > 0 {
        remarks.push(format!("{} lines of {} are not checkpoints", content.unreadable_lines, file.path().display()));
    }
    let reports = chain_reports(settings, keys, &content.checkpoints).await?;
    print_reports(&reports, &remarks)
}

/// Verifies each tenant's chain and returns its report.
///
/// # Errors
/// If the database fails.
pub(super) async fn chain_reports(
    settings: &Settings,
    keys: TrustedKeys,
    file_checkpoints: &[Checkpoint],
) -> Result<Vec<ChainReport>> {
    let verifier = AuditVerifier::new(databases::auditor(settings)?, keys);
    let tenant_ids = verifier.list_tenants(file_checkpoints).await.context("the audit log cannot be read")?;
    let mut reports = Vec::with_capacity(tenant_ids.len());
    for tenant in tenant_ids {
        reports.push(verifier.verify(tenant, file_checkpoints).await.context("the audit log cannot be read")?);
    }
    Ok(reports)
}
