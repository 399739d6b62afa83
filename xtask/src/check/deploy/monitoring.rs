//! Checks the alerts and dashboards: their metrics exist, and each alert has a test and a section in the runbook.

use anyhow::{Context, Result};
use serde_norway::Value;

use super::metrics::KnownMetrics;
use crate::check::workspace::TextFile;

/// Uid of the data source in `deploy/grafana/provisioning`.
const DATA_SOURCE: &str = "platform-prometheus";

/// Violations of the alert rules.
///
/// # Errors
/// If a file is not YAML.
pub fn alert_violations(rules: &str, tests: &str, runbook: &str, known: &KnownMetrics) -> Result<Vec<String>> {
    let file: Value = serde_norway::from_str(rules)?;
    let tested = firing_alerts(&serde_norway::from_str(tests)?);
    let mut violations = Vec::new();
    for rule in items(&file, "groups").flat_map(|group| items(group, "rules")) {
        let expression = rule["expr"].as_str().unwrap_or_default();
        let name = rule["alert"].as_str().or_else(|| rule["record"].as_str()).context("a rule has no name")?;
        for metric in known.unknown_in(expression) {
            violations.push(format!("rule {name}: nothing exposes the metric {metric}"));
        }
        if rule["alert"].is_null() {
            continue;
        }
        let anchor = name.to_lowercase();
        if !runbook.lines().any(|line| line == format!("## {name}") || line == format!("### {name}")) {
            violations.push(format!("alert {name}: docs/operations/monitoring.md has no section of this name"));
        }
        if rule["annotations"]["runbook"].as_str() != Some(&format!("docs/operations/monitoring.md#{anchor}")) {
            violations.push(format!("alert {name}: its runbook is not docs/operations/monitoring.md#{anchor}"));
        }
        if !tested.iter().any(|alert| alert == name) {
            violations.push(format!("alert {name}: no test makes it fire"));
        }
    }
    Ok(violations)
}

/// Names of the alerts that fire in a test.
fn firing_alerts(tests: &Value) -> Vec<String> {
    let cases = items(tests, "tests").flat_map(|test| items(test, "alert_rule_test"));
    let firing = cases.filter(|case| case["exp_alerts"].as_sequence().is_some_and(|alerts| !alerts.is_empty()));
    firing.filter_map(|case| case["alertname"].as_str()).map(str::to_owned).collect()
}

/// Violations of a dashboard.
///
/// # Errors
/// If it is not JSON.
pub fn dashboard_violations(dashboard: &TextFile, known: &KnownMetrics) -> Result<Vec<String>> {
    let path = &dashboard.path;
    let content: Value = serde_json::from_str(&dashboard.content).with_context(|| format!("{path} is not JSON"))?;
    let mut violations = Vec::new();
    for panel in items(&content, "panels") {
        let title = panel["title"].as_str().unwrap_or_default();
        let targets: Vec<_> = items(panel, "targets").collect();
        if targets.is_empty() {
            violations.push(format!("{path}: the panel {title:?} has no query"));
        }
        for target in targets {
            if target["datasource"]["uid"].as_str() != Some(DATA_SOURCE) {
                violations.push(format!("{path}: the panel {title:?} does not use the data source {DATA_SOURCE}"));
            }
            for metric in known.unknown_in(target["expr"].as_str().unwrap_or_default()) {
                violations.push(format!("{path}: the panel {title:?} uses {metric}, which nothing exposes"));
            }
        }
    }
    Ok(violations)
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_sequence).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "\
groups:
  - name: a
    rules:
      - alert: ProcessDown
        expr: up == 0
        annotations: { runbook: docs/operations/monitoring.md#processdown }
";
    const TESTS: &str = "tests: [{alert_rule_test: [{alertname: ProcessDown, exp_alerts: [{exp_labels: {}}]}]}]";

    fn found(rules: &str, tests: &str, runbook: &str) -> Vec<String> {
        alert_violations(rules, tests, runbook, &KnownMetrics::new(&[], "")).unwrap()
    }

    #[test]
    fn an_alert_needs_known_metrics_a_test_that_fires_and_a_runbook() {
        assert_eq!(found(RULES, TESTS, "## ProcessDown\n"), Vec::<String>::new());
        assert!(found(RULES, TESTS, "")[0].contains("no section"));
        assert!(found(RULES, "tests: []", "## ProcessDown\n")[0].contains("no test"));
        assert!(found(&RULES.replace("up ==", "gone_total =="), TESTS, "## ProcessDown\n")[0].contains("gone_total"));
        assert!(found(&RULES.replace("#processdown", "#other"), TESTS, "## ProcessDown\n")[0].contains("runbook"));
    }

    #[test]
    fn a_panel_without_a_query_or_with_an_unknown_metric_is_found() {
        let dashboard = |targets: &str| TextFile {
            path: "d.json".to_owned(),
            content: format!("{{\"panels\":[{{\"title\":\"P\",\"targets\":{targets}}}]}}"),
        };
        let check = |targets: &str| dashboard_violations(&dashboard(targets), &KnownMetrics::new(&[], "")).unwrap();
        let source = "\"datasource\":{\"uid\":\"platform-prometheus\"}";
        assert_eq!(check(&format!("[{{\"expr\":\"up\",{source}}}]")), Vec::<String>::new());
        assert!(check("[]")[0].contains("no query"));
        assert!(check(&format!("[{{\"expr\":\"gone\",{source}}}]"))[0].contains("gone"));
        assert!(check("[{\"expr\":\"up\"}]")[0].contains("data source"));
    }
}
