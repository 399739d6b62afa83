//! Checks the files in `deploy/`: our rules for the Compose file, the Helm chart, dashboards and alerts, and the tools
//! that read these files, such as nginx, if they are installed.

mod compose;
mod helm;
mod metrics;
mod monitoring;
mod own_tools;

use std::path::Path;

use anyhow::{Context, Result};
use serde_norway::Value;

use super::workspace::TextFile;
use crate::proc::Interrupt;
use crate::project;
use metrics::KnownMetrics;

/// Violations in the checkout's `deploy` directory.
///
/// # Errors
/// If a file cannot be read.
pub fn violations(sources: &[TextFile], interrupt: &Interrupt) -> Result<Vec<String>> {
    let root = project::root()?;
    let dir = root.join("deploy");
    let mut files = Vec::new();
    collect(&root, &dir, &mut files)?;
    let mut violations: Vec<_> = files.iter().filter_map(unparsable).collect();
    violations.extend(compose::violations(content_of(&files, "deploy/compose.yaml")?)?);
    let rules = content_of(&files, "deploy/prometheus/rules/platform.yml")?;
    let known = KnownMetrics::new(sources, rules);
    let rule_tests = content_of(&files, "deploy/prometheus/tests/platform.yml")?;
    let runbook = std::fs::read_to_string(root.join("docs/operations/monitoring.md")).unwrap_or_default();
    violations.extend(monitoring::alert_violations(rules, rule_tests, &runbook, &known)?);
    for dashboard in files.iter().filter(|file| file.path.starts_with("deploy/grafana/dashboards/")) {
        violations.extend(monitoring::dashboard_violations(dashboard, &known)?);
    }
    violations.extend(own_tools::violations(&root, interrupt)?);
    violations.extend(helm::violations(&root, &known, interrupt)?);
    Ok(violations)
}

fn content_of<'a>(files: &'a [TextFile], path: &str) -> Result<&'a str> {
    let file = files.iter().find(|file| file.path == path);
    file.map(|file| file.content.as_str()).with_context(|| format!("{path} is missing"))
}

/// A violation if a YAML, JSON or TOML file cannot be parsed. Helm's templates become YAML when they are rendered.
fn unparsable(file: &TextFile) -> Option<String> {
    if file.path.starts_with("deploy/helm/") && file.path.contains("/templates/") {
        return None;
    }
    let result = match Path::new(&file.path).extension()?.to_str()? {
        "yml" | "yaml" => serde_norway::from_str::<Value>(&file.content).map(|_| ()).map_err(|error| error.to_string()),
        "json" => serde_json::from_str::<Value>(&file.content).map(|_| ()).map_err(|error| error.to_string()),
        "toml" => toml::from_str::<toml::Table>(&file.content).map(|_| ()).map_err(|error| error.to_string()),
        _ => return None,
    };
    result.err().map(|error| format!("{}: {error}", file.path))
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<TextFile>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        // `deploy/setup` writes these two; they are not part of the checkout.
        if path.ends_with("deploy/secrets") || path.ends_with("deploy/.env") {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let content = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push(TextFile { path: path.strip_prefix(root)?.display().to_string(), content });
        }
    }
    Ok(())
}
