//! The report: collects one value per round, implementation and metric, and prints the medians and the spread of the
//! ratios.

use super::options::Implementation;
use anyhow::Result;
use serde::Serialize;
use std::io::Write as _;

/// The only metric that is summed over the rounds, because a median would hide the errors of a single round.
pub const ERRORS: &str = "errors";

/// Collects values and prints the report.
#[derive(Default)]
pub struct Report {
    series: Vec<Series>,
}

/// The values of one metric in one case.
struct Series {
    case: String,
    metric: &'static str,
    platform: Vec<f64>,
    floor: Vec<f64>,
}

/// A line of the report.
#[derive(Serialize)]
struct ReportRow<'a> {
    case: &'a str,
    metric: &'static str,
    /// Median over the rounds; for errors, the sum.
    platform: Option<f64>,
    /// Median over the rounds; for errors, the sum.
    floor: Option<f64>,
    /// The platform's value divided by the floor's.
    ratio: Option<Spread>,
}

/// Spread of the ratios of all rounds.
#[derive(Serialize)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Report {
    /// Adds the value of one round.
    pub fn add(&mut self, case: &str, metric: &'static str, implementation: Implementation, value: f64) {
        let position = self.series.iter().position(|series| series.case == case && series.metric == metric);
        let index = position.unwrap_or_else(|| {
            self.series.push(Series { case: case.to_owned(), metric, platform: Vec::new(), floor: Vec::new() });
            self.series.len() - 1
        });
        let series = &mut self.series[index];
        match implementation {
            Implementation::Platform => series.platform.push(value),
            Implementation::Floor => series.floor.push(value),
        }
    }

    /// Prints one JSON object to standard output.
    pub fn print(&self) -> Result<()> {
        let rows: Vec<ReportRow<'_>> = self.series.iter().map(Series::row).collect();
        let line = serde_json::json!({ "rows": rows });
        Ok(writeln!(std::io::stdout().lock(), "{line}")?)
    }
}

impl Series {
    fn row(&self) -> ReportRow<'_> {
        let ratios: Vec<f64> = self
            .platform
            .iter()
            .zip(&self.floor)
            .filter(|(_, floor)| **floor > 0.0)
            .map(|(platform, floor)| platform / floor)
            .collect();
        let spread = |median| Spread {
            min: round_to_four_digits(quantile(&ratios, 0.0)),
            median,
            max: round_to_four_digits(quantile(&ratios, 1.0)),
        };
        let median_of = |values: &[f64]| (!values.is_empty()).then(|| round_to_four_digits(median(values)));
        let value_of = |values: &[f64]| match self.metric {
            ERRORS => (!values.is_empty()).then(|| values.iter().sum::<f64>()),
            _ => median_of(values),
        };
        ReportRow {
            case: &self.case,
            metric: self.metric,
            platform: value_of(&self.platform),
            floor: value_of(&self.floor),
            ratio: median_of(&ratios).map(spread),
        }
    }
}

/// The value below which the given fraction of the values lies; 0 if there are no values.
pub fn quantile(values: &[f64], fraction: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = ((sorted.len().saturating_sub(1)) as f64 * fraction).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get((sorted.len().saturating_sub(1)) / 2..=sorted.len() / 2).unwrap_or_default();
    middle.iter().sum::<f64>() / middle.len().max(1) as f64
}

/// Rounds to four significant digits.
fn round_to_four_digits(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// Prints a line of progress to standard error.
pub fn print_progress(text: &str) {
    let _best_effort = writeln!(std::io::stderr().lock(), "  {text}");
}
