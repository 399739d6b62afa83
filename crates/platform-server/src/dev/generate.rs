//! `dev generate`: files that are generated from the code and checked in, so that reviews show their changes.

use crate::config::{schema, tables};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// The document in which the tables of configuration keys are generated.
const CONFIGURATION_DOC: &str = "docs/operations/configuration.md";

/// Writes the generated files below the current directory; with `check`, only compares them.
///
/// # Errors
/// If a file cannot be written, or with `check` is not up to date.
pub fn run(check: bool) -> Result<()> {
    let mut stale_paths = Vec::new();
    for (path, content) in generated_files()? {
        if !check {
            let directory = path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(directory)?;
            std::fs::write(&path, &content).with_context(|| format!("{} cannot be written", path.display()))?;
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&content) {
            stale_paths.push(path.display().to_string());
        }
    }
    if stale_paths.is_empty() { Ok(()) } else { bail!("not up to date: {}", stale_paths.join(", ")) }
}

fn generated_files() -> Result<Vec<(PathBuf, String)>> {
    let generated_dir = Path::new("docs/generated");
    let json = |document: serde_json::Result<String>| document.map(|text| text + "\n").context("cannot write JSON");
    let schema = schema::schema();
    let configuration = std::fs::read_to_string(CONFIGURATION_DOC)
        .with_context(|| format!("{CONFIGURATION_DOC} cannot be read; run this in the root of the repository"))?;
    Ok(vec![
        (generated_dir.join("openapi.json"), json(serde_json::to_string_pretty(&gateway::openapi()))?),
        (generated_dir.join("config.schema.json"), json(serde_json::to_string_pretty(&schema))?),
        (generated_dir.join("authz-matrix.txt"), policy::matrix::render()),
        (CONFIGURATION_DOC.into(), tables::regenerate_tables(&configuration, &schema)?),
    ])
}
