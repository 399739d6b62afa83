//! `dev generate`: files that are generated from the code and checked in, so that reviews show their changes.

use crate::config::{schema, tables};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// The document in which the tables of configuration keys are generated.
const CONFIGURATION: &str = "docs/operations/configuration.md";

/// Writes the generated files below the current directory; with `check`, only compares them.
///
/// # Errors
/// If a file cannot be written, or with `check` is not up to date.
pub fn run(check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for (path, content) in files()? {
        if !check {
            let directory = path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(directory)?;
            std::fs::write(&path, &content).with_context(|| format!("{} cannot be written", path.display()))?;
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&content) {
            stale.push(path.display().to_string());
        }
    }
    if stale.is_empty() { Ok(()) } else { bail!("not up to date: {}", stale.join(", ")) }
}

fn files() -> Result<Vec<(PathBuf, String)>> {
    let generated = Path::new("docs/generated");
    let json = |document: serde_json::Result<String>| document.map(|text| text + "\n").context("cannot write JSON");
    let schema = schema::schema();
    let configuration = std::fs::read_to_string(CONFIGURATION)
        .with_context(|| format!("{CONFIGURATION} cannot be read; run this in the root of the repository"))?;
    Ok(vec![
        (generated.join("openapi.json"), json(serde_json::to_string_pretty(&gateway::openapi()))?),
        (generated.join("config.schema.json"), json(serde_json::to_string_pretty(&schema))?),
        (generated.join("authz-matrix.txt"), policy::matrix::render()),
        (CONFIGURATION.into(), tables::filled(&configuration, &schema)?),
    ])
}
