//! The Chromium browser that tests drive. It is not installed by this program, since browsers come with the system.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::project;

/// Variable that names the browser to the tests; users may set it to their own.
pub const VARIABLE: &str = "PLATFORM_TEST_CHROMIUM";
/// Names of its program on various systems.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Finds the browser in `PATH`, unless the variable names it.
///
/// # Errors
/// If there is none.
pub fn find() -> Result<PathBuf> {
    if let Some(configured_path) = project::env_var(VARIABLE) {
        return Ok(PathBuf::from(configured_path));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = env::split_paths(&path).collect();
    let found = first_program(dirs.into_iter());
    found.with_context(|| format!("install Chromium (on Debian the package chromium), or set {VARIABLE}"))
}

fn first_program(dirs: impl Iterator<Item = PathBuf> + Clone) -> Option<PathBuf> {
    NAMES.iter().find_map(|name| dirs.clone().map(|dir| dir.join(name)).find(|path| path.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_program_name_that_exists_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = || [dir.path().join("none"), dir.path().to_path_buf()].into_iter();
        assert_eq!(first_program(dirs()), None);
        std::fs::write(dir.path().join("google-chrome"), "").unwrap();
        assert_eq!(first_program(dirs()), Some(dir.path().join("google-chrome")));
        std::fs::write(dir.path().join("chromium"), "").unwrap();
        assert_eq!(first_program(dirs()), Some(dir.path().join("chromium")));
    }
}
