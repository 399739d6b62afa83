//! The metrics of an evaluation, their measured values, and their thresholds. No I/O.

use super::interval::Interval;
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A metric with values from 0 to 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean nDCG@10 of the pages, over answerable questions.
    Ndcg10,
    /// Mean share of the expected pages that are among the first five.
    Recall5,
    /// Mean reciprocal rank of the first expected page.
    Mrr,
    /// Share of the answerable questions whose first page is expected.
    Hit1,
    /// Share of the answerable questions with an expected page among the first five.
    Hit5,
    /// Mean share of the expected documents that the first five pages come from.
    DocumentRecall5,
    /// Share of the unanswerable questions that the search correctly reports as unanswerable.
    Refused,
    /// Share of the answerable questions that the search wrongly reports as unanswerable.
    WronglyRefused,
    /// Of the answers to answerable questions that cite anything, the share that cites an expected page.
    Cited,
    /// Share of the unanswerable questions whose answer cites nothing.
    AnswersRefused,
    /// Share of the answerable questions whose answer cites nothing.
    AnswersWronglyRefused,
    /// Mean share of the five exact nearest passages that the vector index finds.
    IndexRecall5,
}

impl Metric {
    /// All metrics, in the order of the printed table.
    pub const ALL: [Self; 12] = [
        Self::Ndcg10,
        Self::Recall5,
        Self::Mrr,
        Self::Hit1,
        Self::Hit5,
        Self::DocumentRecall5,
        Self::Refused,
        Self::WronglyRefused,
        Self::Cited,
        Self::AnswersRefused,
        Self::AnswersWronglyRefused,
        Self::IndexRecall5,
    ];

    /// Name of the metric in thresholds and JSON results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ndcg10 => "ndcg10",
            Self::Recall5 => "recall5",
            Self::Mrr => "mrr",
            Self::Hit1 => "hit1",
            Self::Hit5 => "hit5",
            Self::DocumentRecall5 => "document_recall5",
            Self::Refused => "refused",
            Self::WronglyRefused => "wrongly_refused",
            Self::Cited => "cited",
            Self::AnswersRefused => "answers_refused",
            Self::AnswersWronglyRefused => "answers_wrongly_refused",
            Self::IndexRecall5 => "index_recall5",
        }
    }

    /// Title of the metric in the printed table.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Ndcg10 => "nDCG@10",
            Self::Recall5 => "Recall@5",
            Self::Mrr => "MRR",
            Self::Hit1 => "first page correct",
            Self::Hit5 => "correct page in top five",
            Self::DocumentRecall5 => "document Recall@5",
            Self::Refused => "search: unanswerable refused",
            Self::WronglyRefused => "search: answerable refused",
            Self::Cited => "answers: cited page correct",
            Self::AnswersRefused => "answers: unanswerable refused",
            Self::AnswersWronglyRefused => "answers: answerable refused",
            Self::IndexRecall5 => "vector index: five nearest found",
        }
    }

    /// Whether the metric needs answers of the chat model.
    #[must_use]
    pub fn needs_answers(self) -> bool {
        matches!(self, Self::Cited | Self::AnswersRefused | Self::AnswersWronglyRefused)
    }

    /// Whether lower values are better, in which case the threshold is a maximum.
    #[must_use]
    pub fn is_lower_better(self) -> bool {
        matches!(self, Self::WronglyRefused | Self::AnswersWronglyRefused)
    }
}

impl FromStr for Metric {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name).with_context(|| {
            let known: Vec<_> = Self::ALL.into_iter().map(Self::name).collect();
            format!("unknown metric {name:?}; the metrics are {}", known.join(", "))
        })
    }
}

/// Measured values by metric: one for each question that the metric applies to. A metric is missing if there are none.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MetricValues(BTreeMap<Metric, Vec<f64>>);

impl MetricValues {
    /// Sets the metric to the mean of the values; does nothing without values.
    pub fn set_mean(&mut self, metric: Metric, values: impl IntoIterator<Item = f64>) {
        let values: Vec<f64> = values.into_iter().collect();
        if !values.is_empty() {
            self.0.insert(metric, values);
        }
    }

    /// Sets the metric to the share of `true` among the values; does nothing without values.
    pub fn set_share(&mut self, metric: Metric, values: impl IntoIterator<Item = bool>) {
        self.set_mean(metric, values.into_iter().map(|flag| f64::from(u8::from(flag))));
    }

    /// The value of a metric, if it was measured.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.0.get(&metric).map(|values| mean(values))
    }

    /// The confidence interval of a metric, if it was measured.
    #[must_use]
    pub fn interval(&self, metric: Metric) -> Option<Interval> {
        Interval::of_mean(self.0.get(&metric)?)
    }

    /// The confidence intervals of all measured metrics, by name.
    #[must_use]
    pub fn intervals(&self) -> BTreeMap<&'static str, Interval> {
        let interval = |(metric, values): (&Metric, &Vec<f64>)| Some((metric.name(), Interval::of_mean(values)?));
        self.0.iter().filter_map(interval).collect()
    }

    /// The value of a metric with its confidence interval, as in `0.912 [0.87, 0.95]`.
    #[must_use]
    pub fn with_interval(&self, metric: Metric) -> Option<String> {
        let (value, Interval { low, high }) = (self.get(metric)?, self.interval(metric)?);
        Some(format!("{value:.3} [{low:.2}, {high:.2}]"))
    }
}

/// The mean of values, of which there must be some.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Serialize for MetricValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(metric, values)| (metric.name(), mean(values))))
    }
}

/// Thresholds by metric: each is a minimum, or a maximum where lower is better.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Thresholds(BTreeMap<Metric, f64>);

impl Thresholds {
    /// Merges two sets of thresholds; where both have a value, that of `other` applies.
    #[must_use]
    pub fn merged_with(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether any of its metrics needs answers of the chat model.
    #[must_use]
    pub fn needs_answers(&self) -> bool {
        self.0.keys().any(|metric| metric.needs_answers())
    }

    /// A message for each metric that misses its threshold or was not measured.
    #[must_use]
    pub fn violations(&self, values: &MetricValues) -> Vec<String> {
        let violation = |(metric, bound): (&Metric, &f64)| {
            let Some(value) = values.get(*metric) else {
                return Some(format!("{} was not measured", metric.name()));
            };
            // Thresholds are usually copied from values rounded to three decimals, hence the tolerance.
            let (missed, word) = if metric.is_lower_better() {
                (value > bound + 5e-4, "above")
            } else {
                (value < bound - 5e-4, "below")
            };
            missed.then(|| format!("{} is {value:.3}, {word} {bound:.3}", metric.name()))
        };
        self.0.iter().filter_map(violation).collect()
    }
}

/// Parses the form `ndcg10=0.8,recall5=0.9`.
impl FromStr for Thresholds {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let part = |part: &str| {
            let (name, value) = part.split_once('=').with_context(|| format!("{part:?} is not NAME=VALUE"))?;
            let value: f64 = value.trim().parse().with_context(|| format!("{part:?} is not a number"))?;
            ensure!((0.0..=1.0).contains(&value), "{part:?}: values are from 0 to 1");
            Ok((name.trim().parse()?, value))
        };
        text.split(',').map(part).collect::<Result<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric_values(values: &[(Metric, f64)]) -> MetricValues {
        MetricValues(values.iter().map(|(metric, value)| (*metric, vec![*value])).collect())
    }

    #[test]
    fn a_metric_has_the_same_name_in_json_and_in_thresholds() {
        for metric in Metric::ALL {
            assert_eq!(metric.name().parse::<Metric>().expect("known"), metric);
            assert_eq!(serde_json::to_value(metric).expect("a name"), metric.name());
        }
    }

    #[test]
    fn a_metric_without_values_is_missing() {
        let mut all = MetricValues::default();
        all.set_mean(Metric::Mrr, [1.0, 0.5, 0.0]);
        all.set_share(Metric::Hit1, [true, false, false, false]);
        all.set_share(Metric::Refused, []);
        assert_eq!((all.get(Metric::Mrr), all.get(Metric::Hit1)), (Some(0.5), Some(0.25)));
        assert_eq!((all.get(Metric::Refused), all.interval(Metric::Refused)), (None, None));
        assert_eq!(serde_json::to_value(&all).expect("JSON"), serde_json::json!({ "mrr": 0.5, "hit1": 0.25 }));
        assert_eq!(all.intervals().into_keys().collect::<Vec<_>>(), ["hit1", "mrr"]);
        assert_eq!(all.with_interval(Metric::Mrr).as_deref(), Some("0.500 [0.00, 1.00]"));
    }

    #[test]
    fn a_threshold_is_a_minimum_or_a_maximum_where_lower_is_better() {
        let thresholds: Thresholds = "ndcg10=0.8, wrongly_refused=0.1,hit1=0.667".parse().expect("valid");
        let good = metric_values(&[(Metric::Ndcg10, 0.8), (Metric::WronglyRefused, 0.05), (Metric::Hit1, 2.0 / 3.0)]);
        assert_eq!(thresholds.violations(&good), Vec::<String>::new());
        let bad = metric_values(&[(Metric::Ndcg10, 0.79), (Metric::WronglyRefused, 0.2)]);
        let violations =
            ["ndcg10 is 0.790, below 0.800", "hit1 was not measured", "wrongly_refused is 0.200, above 0.100"];
        assert_eq!(thresholds.violations(&bad), violations);
    }

    #[test]
    fn an_invalid_threshold_is_refused() {
        for (text, expected) in [
            ("ndcg=0.8", "unknown metric"),
            ("ndcg10", "NAME=VALUE"),
            ("ndcg10=80", "from 0 to 1"),
            ("mrr=x", "not a number"),
        ] {
            let error = format!("{:#}", text.parse::<Thresholds>().expect_err("refused"));
            assert!(error.contains(expected), "{error}");
        }
        assert!("cited=0.9".parse::<Thresholds>().expect("valid").needs_answers());
    }
}
