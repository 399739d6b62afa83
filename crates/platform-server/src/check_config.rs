//! Validates the configuration; with `--probe` also tests the model backends that it names.

use crate::blobs;
use crate::config::Settings;
use crate::databases::Databases;
use crate::system::TimeOrderedIds;
use anyhow::{Context as _, Result, bail};
use domain::ports::IdGen;
use model_client::probe::{self, Finding, Severity};
use std::fmt::Write as _;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Validates the settings; `with_probe` also tests the model backends.
///
/// # Errors
/// If a setting is not valid; with a probe, also if a backend has errors. All findings are printed before that.
pub async fn run(settings: &Settings, with_probe: bool) -> Result<()> {
    let issuers = settings.issuers()?;
    Databases::new(settings)?;
    let ids: Arc<dyn IdGen> = Arc::new(TimeOrderedIds);
    blobs::blob_store(settings, &ids, &TaskTracker::new())?;
    settings.secret_key_bytes()?;
    let models = settings.models.settings()?;
    settings.models.next_settings()?;
    let issuer_names: Vec<_> = issuers.iter().map(|issuer| issuer.issuer.as_str()).collect();
    crate::print(&format!("the configuration is valid; issuers: {}", issuer_names.join(", ")))
        .context("cannot print")?;
    if !with_probe {
        return Ok(());
    }
    if models.backends.is_empty() {
        return crate::print("no model backend is configured; the embedded models are used").context("cannot print");
    }
    let findings = probe::probe(&models).await.context("the model backends cannot be tested")?;
    crate::print(report(&findings).trim_end()).context("cannot print")?;
    match findings.iter().filter(|finding| finding.severity == Severity::Error).count() {
        0 => Ok(()),
        1 => bail!("found 1 error in the model backends"),
        errors => bail!("found {errors} errors in the model backends"),
    }
}

/// Formats each finding as one line: severity, subject, explanation.
fn report(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0);
    let mut report = String::new();
    for Finding { subject, severity, message } in findings {
        let label = match severity {
            Severity::Ok => "ok     ",
            Severity::Warning => "warning",
            Severity::Error => "ERROR  ",
        };
        let _ = writeln!(report, "{label}  {subject:<width$}  {message}");
    }
    report
}
