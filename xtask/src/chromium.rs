//! Finds the Chromium browser that tests drive. It must be installed on the system; xtask does not download it.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::project;

/// Environment variable with the browser's path. xtask sets it for the tests; users may set it to choose a browser.
pub const VARIABLE: &str = "PLATFORM_TEST_CHROMIUM";
/// Names of the executable on various systems.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser's path: the value of [`VARIABLE`], or else the first executable in `PATH`.
///
/// # Errors
/// If no browser is found.
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
