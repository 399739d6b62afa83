//! The metric names that a PromQL expression uses, and those that the platform exposes.

use std::collections::HashSet;

use crate::check::workspace::TextFile;

/// PromQL keywords that can appear in the position of a metric name.
const KEYWORDS: &[&str] =
    &["and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "inf"];
/// Metrics of Prometheus itself.
const PROMETHEUS_METRICS: &[&str] = &["up", "ALERTS"];

/// The metrics that dashboards and alerts may use.
pub struct KnownMetrics {
    names: HashSet<String>,
}

impl KnownMetrics {
    /// Every string literal in the crates' sources that has the form of a metric name counts as one; the recording
    /// rules add theirs.
    pub fn new(sources: &[TextFile], rules: &str) -> Self {
        let mut names: HashSet<_> = PROMETHEUS_METRICS.iter().map(|name| (*name).to_owned()).collect();
        let is_shipped = |file: &&TextFile| file.path.starts_with("crates/") && !file.path.contains("/tests/");
        for source in sources.iter().filter(is_shipped) {
            names.extend(source.content.split('"').skip(1).step_by(2).filter(|text| is_name(text)).map(str::to_owned));
        }
        let recorded = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
        names.extend(recorded.map(str::to_owned));
        Self { names }
    }

    /// The metrics in an expression that do not exist. All `pg_` metrics count as known, because postgres_exporter
    /// exposes them.
    pub fn unknown_in(&self, expression: &str) -> Vec<String> {
        let is_known = |name: &String| {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
            self.names.contains(name) || base.is_some_and(|base| self.names.contains(base)) || name.starts_with("pg_")
        };
        metric_names(expression).into_iter().filter(|name| !is_known(name)).collect()
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The metric names in an expression: words that are not a function, keyword, label, number or string.
pub fn metric_names(expression: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = strip_labels(expression);
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':') {
        let word_and_rest = rest.split_off(start);
        let end = word_and_rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let (word, after) = word_and_rest.split_at(end.unwrap_or(word_and_rest.len()));
        let is_function = after.trim_start().starts_with('(');
        let is_aggregation = ["by ", "without "].iter().any(|grouping| after.trim_start().starts_with(grouping));
        let is_number = word.starts_with(|first: char| first.is_ascii_digit());
        if !is_function && !is_aggregation && !is_number && !KEYWORDS.contains(&word) {
            names.push(word.to_owned());
        }
        // The parentheses after these keywords contain labels instead of metrics.
        let is_grouping = ["by", "without", "on", "ignoring", "group_left", "group_right"].contains(&word);
        rest = match (is_grouping && is_function, after.split_once(')')) {
            (true, Some((_, behind))) => behind.to_owned(),
            _ => after.to_owned(),
        };
    }
    names
}

/// Removes everything in braces, brackets and quotes from an expression.
fn strip_labels(expression: &str) -> String {
    let (mut depth, mut quote) = (0_u32, None);
    let mut stripped = String::new();
    for character in expression.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            (None, _) if depth == 0 => stripped.push(character),
            (None, _) => {}
        }
    }
    stripped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names_are_distinguished_from_functions_labels_durations_and_strings() {
        let expression = "histogram_quantile(0.95, sum by (le, route) (rate(a_bucket{x=~\"b.*|c{2}\"}[5m]))) / on (d) \
                          group_left (e) max(f:g:rate5m offset 10m) > 1e3 or absent(up) unless h";
        assert_eq!(metric_names(expression), ["a_bucket", "f:g:rate5m", "up", "h"]);
    }

    #[test]
    fn a_metric_that_no_source_registers_is_unknown() {
        let source = |path: &str, content: &str| TextFile { path: path.to_owned(), content: content.to_owned() };
        let sources = [
            source("crates/gateway/src/metrics.rs", "HistogramOpts::new(\"requests_seconds\", \"Seconds.\")"),
            source("crates/gateway/tests/it.rs", "\"invented_total\""),
        ];
        let known = KnownMetrics::new(&sources, "      - record: a:b:c\n");
        assert!(known.unknown_in("rate(requests_seconds_bucket[5m]) + a:b:c + pg_up + up").is_empty());
        assert_eq!(known.unknown_in("sum(invented_total) + requests_total"), ["invented_total", "requests_total"]);
    }
}
