//! The printed result of a verification: one line per chain, followed by its findings.

use anyhow::{Context as _, Result, bail};
use data::audit::ChainReport;
use std::fmt::Write as _;
use uuid::Uuid;

/// Prints the reports and remarks, and turns broken chains into an error.
///
/// # Errors
/// If a log was changed, or standard output is closed.
pub(super) fn print_reports(reports: &[ChainReport], remarks: &[String]) -> Result<()> {
    let mut text = String::new();
    for report in reports {
        write_chain(&mut text, report);
    }
    for remark in remarks {
        let _ = writeln!(text, "note: {remark}");
    }
    let broken_chains = reports.iter().filter(|report| !report.is_intact()).count();
    let events: u64 = reports.iter().map(|report| report.entry_count).sum();
    if broken_chains == 0 {
        let _ = write!(text, "the audit log is intact: {events} events in {} streams", reports.len());
    }
    crate::print(text.trim_end()).context("cannot print")?;
    if broken_chains > 0 {
        bail!("the audit log was changed: {broken_chains} of {} streams are broken", reports.len());
    }
    Ok(())
}

fn write_chain(text: &mut String, report: &ChainReport) {
    let _ =
        write!(text, "{}: {} events, the last at {}", chain_name(report.tenant), report.entry_count, report.last_seq);
    match report.last_checkpoint {
        Some((seq, at)) => {
            let _ = write!(
                text,
                "; {} checkpoints, the last at {seq} of {}",
                report.matching_checkpoint_count,
                at.format("%FT%TZ")
            );
        }
        None if report.entry_count > 0 => text.push_str("; no checkpoint"),
        None => {}
    }
    if report.purged_entry_count > 0 {
        let _ = write!(text, "; {} rows retired", report.purged_entry_count);
    }
    if report.unsealed_row_count > 0 {
        let _ = write!(text, "; {} rows not sealed yet", report.unsealed_row_count);
    }
    text.push_str(if report.is_intact() { "; ok\n" } else { "; BROKEN\n" });
    for finding in &report.findings {
        text.push_str("  ");
        if let Some(seq) = finding.seq {
            let _ = write!(text, "at {seq}: ");
        }
        text.push_str(&finding.message);
        if let Some(id) = finding.audit_id {
            let _ = write!(text, " (row {id})");
        }
        text.push('\n');
    }
    if let Some(more) = report.finding_count.checked_sub(report.findings.len() as u64).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more");
    }
    for remark in &report.remarks {
        let _ = writeln!(text, "  note: {remark}");
    }
}

fn chain_name(tenant: Uuid) -> String {
    if tenant.is_nil() { "platform".to_owned() } else { format!("tenant {tenant}") }
}
