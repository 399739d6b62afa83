//! `audit retire`: deletes rows past their retention period and stores a signed record of the deletion.

use super::verify;
use crate::config::{Settings, required};
use crate::system::SystemClock;
use anyhow::{Context as _, Result, ensure};
use chrono::{Datelike as _, NaiveDate};
use data::audit::{TrustedKeys, purge};
use domain::ports::Clock as _;
use domain::time::Timestamp;
use secrecy::ExposeSecret as _;

/// Deletes all months before `month` (YYYY-MM). Verifies the log first, because purging rows of a broken chain would
/// destroy the evidence.
///
/// # Errors
/// If the month is not valid or in the future, the log was changed, or the database fails.
pub(super) async fn run(settings: &Settings, month: &str) -> Result<()> {
    let cutoff = month_start(month).context("--before must be a month in the form YYYY-MM")?;
    let now = SystemClock.now();
    ensure!(cutoff <= start_of_month(now), "--before must not be after the current month");
    let url = required(settings.database.migration_url.as_ref(), "DATABASE_MIGRATION_URL")?;
    let key = super::signing_key(settings)?;
    let trusted_keys: Vec<String> =
        std::iter::once(key.public_key()).chain(settings.audit.trusted_keys.iter().cloned()).collect();
    let keys = TrustedKeys::new(trusted_keys.iter().map(String::as_str))?;
    let file = super::checkpoint_file(settings);
    let reports = verify::chain_reports(settings, keys, &file.read()?.unwrap_or_default().checkpoints).await?;
    if reports.iter().any(|report| !report.is_intact()) {
        return super::report::print_reports(&reports, &[]).context("nothing was retired");
    }
    let purge_records = purge(url.expose_secret(), cutoff, &key, now).await.context("nothing was retired")?;
    let row_count: i64 = purge_records.iter().map(|record| record.row_count).sum();
    crate::print(&format!("{row_count} rows before {month} of {} streams were retired", purge_records.len()))
        .context("cannot print")
}

fn month_start(month: &str) -> Option<Timestamp> {
    let first = NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d").ok()?;
    Some(first.and_hms_opt(0, 0, 0)?.and_utc())
}

fn start_of_month(now: Timestamp) -> Timestamp {
    let first = now.date_naive().with_day(1).and_then(|day| day.and_hms_opt(0, 0, 0));
    first.map_or(now, |first| first.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_starts_at_midnight_of_its_first_day() {
        assert_eq!(month_start("2026-02").map(|at| at.to_rfc3339()), Some("2026-02-01T00:00:00+00:00".to_owned()));
        for invalid in ["2026", "2026-13", "2026-02-01", "February"] {
            assert_eq!(month_start(invalid), None, "{invalid}");
        }
    }
}
