//! Files that are generated from the code and checked in, so that a change of them is seen.

use anyhow::{Context as _, Result, bail};
use std::path::Path;

/// Writes the files below the current directory, or compares them.
///
/// # Errors
/// Where a file cannot be written, or is not fresh.
pub fn run(check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for (name, content) in files()? {
        let path = Path::new("docs/generated").join(name);
        if !check {
            std::fs::create_dir_all("docs/generated")?;
            std::fs::write(&path, &content).with_context(|| format!("{} cannot be written", path.display()))?;
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&content) {
            stale.push(path.display().to_string());
        }
    }
    if stale.is_empty() { Ok(()) } else { bail!("not fresh: {}", stale.join(", ")) }
}

fn files() -> Result<[(&'static str, String); 2]> {
    let mut openapi = serde_json::to_string_pretty(&gateway::openapi()).context("the OpenAPI document is no JSON")?;
    openapi.push('\n');
    Ok([("openapi.json", openapi), ("authz-matrix.txt", policy::matrix::render())])
}
