//! Metrics by language and by kind of question, each with its confidence interval.

use super::ask::QuestionResult;
use super::measured::configured_metrics;
use super::metrics::{Metric, MetricValues};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Maximum number of groups that are printed as a table. With more of them each would have too few questions.
const MAX_GROUPS: usize = 12;
/// Columns of a printed table.
const COLUMNS: [Metric; 4] = [Metric::Ndcg10, Metric::Hit1, Metric::WronglyRefused, Metric::Refused];

/// The groups of one property of questions, by its values.
pub struct Grouping {
    /// Name of the property.
    name: &'static str,
    groups: BTreeMap<String, Group>,
}

/// The questions with one value of a property.
#[derive(Serialize)]
struct Group {
    with_answer: usize,
    without_answer: usize,
    metrics: MetricValues,
    intervals: Value,
}

/// The groups by language and by kind. Questions that name neither are in no group.
#[must_use]
pub fn groupings(results: &[QuestionResult<'_>]) -> [Grouping; 2] {
    [
        Grouping::new("language", results, |result| result.question.language.as_deref()),
        Grouping::new("kind", results, |result| result.question.kind.as_deref()),
    ]
}

/// All groups, for the JSON report.
#[must_use]
pub fn groups_json(groupings: &[Grouping]) -> Value {
    groupings.iter().map(|grouping| (grouping.name.to_owned(), json!(grouping.groups))).collect()
}

impl Grouping {
    fn new<'r, 's>(
        name: &'static str,
        results: &'r [QuestionResult<'s>],
        property: impl Fn(&'r QuestionResult<'s>) -> Option<&'r str>,
    ) -> Self {
        let mut questions: BTreeMap<&str, Vec<&QuestionResult<'s>>> = BTreeMap::new();
        for result in results {
            if let Some(value) = property(result) {
                questions.entry(value).or_default().push(result);
            }
        }
        let groups = questions.into_iter().map(|(value, questions)| (value.to_owned(), Group::new(&questions)));
        Self { name, groups: groups.collect() }
    }

    /// A table with a row for each group; `None` if there are fewer than two groups, or too many.
    #[must_use]
    pub fn table(&self) -> Option<String> {
        if !(2..=MAX_GROUPS).contains(&self.groups.len()) {
            return None;
        }
        let mut text = format!("{:20}{:>12}", self.name, "questions");
        for metric in COLUMNS {
            let _ = write!(text, "{:>24}", metric.name());
        }
        for (value, group) in &self.groups {
            let _ = write!(text, "\n{value:20}{:>12}", format!("{} + {}", group.with_answer, group.without_answer));
            for metric in COLUMNS {
                let _ = write!(text, "{:>24}", group.metrics.with_interval(metric).unwrap_or_default());
            }
        }
        Some(text)
    }
}

impl Group {
    fn new(results: &[&QuestionResult<'_>]) -> Self {
        let metrics = configured_metrics(results);
        let with_answer = results.iter().filter(|result| result.question.answerable).count();
        let intervals = json!(metrics.intervals());
        Self { with_answer, without_answer: results.len() - with_answer, metrics, intervals }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouping(names: &[&str]) -> Grouping {
        let mut metrics = MetricValues::default();
        metrics.set_mean(Metric::Ndcg10, [1.0, 1.0]);
        metrics.set_share(Metric::WronglyRefused, [false, false]);
        let group = || Group { with_answer: 2, without_answer: 1, metrics: metrics.clone(), intervals: json!({}) };
        Grouping { name: "language", groups: names.iter().map(|name| ((*name).to_owned(), group())).collect() }
    }

    #[test]
    fn a_table_has_a_row_for_each_group_with_intervals() {
        let table = grouping(&["de", "en"]).table().expect("two groups");
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(words, ["de", "2", "+", "1", "1.000", "[1.00,", "1.00]", "0.000", "[0.00,", "0.00]"], "{table}");
        assert!(lines[1..].iter().all(|line| line.trim_end().len() <= lines[0].len()), "{table}");
    }

    #[test]
    fn a_single_group_and_very_many_have_no_table() {
        assert_eq!(grouping(&["de"]).table(), None);
        let names: Vec<String> = (0..=MAX_GROUPS).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(grouping(&names).table(), None);
    }
}
