//! The cache directory for downloads, which all checkouts of a user share.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::files;
use crate::progress::print_status;
use crate::project::env_var;
use crate::run_as::RunAsUser;

/// Name of the directory inside the user's cache directory.
const DIR_NAME: &str = "plant-agent-platform";
/// Cache directory when xtask runs as root and the database's user cannot access root's own cache.
const SYSTEM_CACHE_DIR: &str = "/var/cache/plant-agent-platform";

/// The cache directory, created if it does not exist. With a `reader`, a directory that this user can access.
///
/// # Errors
/// If no directory can be determined or created.
pub fn dir(reader: Option<&RunAsUser>) -> Result<PathBuf> {
    let mut dir =
        choose_dir(env_var).context("cannot determine the cache directory: set PLATFORM_CACHE_DIR or HOME")?;
    if reader.is_some_and(|user| !user.can_access(&dir)) {
        dir = PathBuf::from(SYSTEM_CACHE_DIR);
    }
    files::create_dir(&dir, 0o755).context("set PLATFORM_CACHE_DIR to a directory that can be written")?;
    dir.canonicalize().with_context(|| format!("cannot resolve {}", dir.display()))
}

fn choose_dir(env_var: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let configured = env_var("PLATFORM_CACHE_DIR").map(PathBuf::from);
    let xdg = || env_var("XDG_CACHE_HOME").map(|dir| Path::new(&dir).join(DIR_NAME));
    let home = || env_var("HOME").map(|dir| Path::new(&dir).join(".cache").join(DIR_NAME));
    configured.or_else(xdg).or_else(home)
}

/// Takes an exclusive lock for provisioning `name`, waiting for other processes; dropping the file releases it.
///
/// # Errors
/// If the lock file cannot be opened or locked.
pub fn lock(dir: &Path, name: &str) -> Result<File> {
    let path = dir.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        print_status(&format!("waiting for another process that is fetching {name} …"));
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_cache_dir_takes_precedence_over_xdg_cache_home_and_home() {
        let all = |name: &str| Some(format!("/{name}"));
        assert_eq!(choose_dir(all).unwrap(), Path::new("/PLATFORM_CACHE_DIR"));
        let without_platform_dir = |name: &str| (name != "PLATFORM_CACHE_DIR").then(|| format!("/{name}"));
        assert_eq!(choose_dir(without_platform_dir).unwrap(), Path::new("/XDG_CACHE_HOME/plant-agent-platform"));
        let home = |name: &str| (name == "HOME").then(|| "/home/eva".to_owned());
        assert_eq!(choose_dir(home).unwrap(), Path::new("/home/eva/.cache/plant-agent-platform"));
        assert_eq!(choose_dir(|_| None), None);
    }

    #[test]
    fn a_held_lock_cannot_be_taken_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let first_lock = lock(dir.path(), "thing").unwrap();
        let other = File::open(dir.path().join("thing.lock")).unwrap();
        assert!(other.try_lock().is_err());
        drop(first_lock);
        assert!(other.try_lock().is_ok());
    }
}
