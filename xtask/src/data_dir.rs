//! The data directory of a platform: its lock, and the location of its database cluster.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::proc::Interrupt;
use crate::run_as::RunAsUser;
use crate::{files, project};

/// Parent directory of clusters when xtask runs as root and the database's user cannot access the data directory.
const EXTERNAL_CLUSTERS_DIR: &str = "/var/lib/plant-agent-platform";

/// An existing data directory.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
}

/// Exclusive lock on a data directory; dropping it releases the lock.
pub struct DataDirLock {
    _lock: File,
}

impl DataDir {
    /// Opens the directory and creates it if it does not exist. The default is `.data` in the checkout.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let path = match path {
            Some(path) => path.to_path_buf(),
            None => project::root()?.join(".data"),
        };
        files::create_dir(&path, 0o755)?;
        let path = path.canonicalize().with_context(|| format!("cannot resolve {}", path.display()))?;
        files::create_dir(&path.join("logs"), 0o755)?;
        Ok(Self { path })
    }

    /// Absolute path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file or directory inside the data directory.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Locks the directory for `command_name`, which runs until the user stops it: `up` or `stack`. Waits for
    /// short-lived commands that hold the lock.
    ///
    /// # Errors
    /// If another `up` or `stack` holds the lock, or on an interrupt.
    pub fn lock_exclusive(&self, command_name: &str, interrupt: &Interrupt) -> Result<DataDirLock> {
        loop {
            if let Some(lock) = self.try_lock(command_name)? {
                return Ok(lock);
            }
            let lock_text = fs::read_to_string(self.lock_path()).unwrap_or_default();
            if let Some((holder @ ("up" | "stack"), pid)) = lock_text.split_once(' ') {
                bail!(
                    "`cargo xtask {holder}` (process {}) already uses {}: stop it, or choose another --data-dir",
                    pid.trim(),
                    self.path.display()
                );
            }
            interrupt.sleep(Duration::from_millis(100))?;
        }
    }

    /// Locks the directory; `None` if it is locked already. `holder` is the command name that is written to the lock
    /// file.
    ///
    /// # Errors
    /// If the lock file cannot be used.
    pub fn try_lock(&self, holder: &str) -> Result<Option<DataDirLock>> {
        let path = self.lock_path();
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let mut lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        lock.set_len(0)?;
        write!(lock, "{holder} {}", std::process::id())?;
        Ok(Some(DataDirLock { _lock: lock }))
    }

    /// Directory of the database cluster: `pg` in the data directory. If `user` cannot access that, `pg` is a symbolic
    /// link to a directory that `user` can access.
    ///
    /// # Errors
    /// If the link or its directory cannot be created.
    pub fn pgdata(&self, user: Option<&RunAsUser>) -> Result<PathBuf> {
        let default_path = self.path.join("pg");
        if let Ok(target) = fs::read_link(&default_path) {
            return Ok(target);
        }
        if default_path.exists() || user.is_none_or(|user| user.can_access(&self.path)) {
            return Ok(default_path);
        }
        let target = self.create_external_dir(Path::new(EXTERNAL_CLUSTERS_DIR))?.join("pg");
        symlink(&target, &default_path)
            .with_context(|| format!("cannot create the link {}", default_path.display()))?;
        Ok(target)
    }

    /// Creates a directory below `clusters`, named after this data directory. A cluster that an earlier data directory
    /// of the same path left there is not reused.
    fn create_external_dir(&self, clusters: &Path) -> Result<PathBuf> {
        files::create_dir(clusters, 0o755)?;
        let digest = hex::encode(Sha256::digest(self.path.as_os_str().as_encoded_bytes()));
        let key = digest.get(..12).unwrap_or(&digest);
        for number in 1..1000 {
            let dir = clusters.join(format!("{key}-{number}"));
            if fs::create_dir(&dir).is_ok() {
                fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
                fs::write(dir.join("README"), format!("The database of {}\n", self.path.display()))?;
                return Ok(dir);
            }
        }
        bail!("cannot create a directory for the database in {}", clusters.display())
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_dir(name: &str) -> (tempfile::TempDir, DataDir) {
        let temp_dir = tempfile::tempdir().unwrap();
        let dir = DataDir::open(Some(&temp_dir.path().join(name))).unwrap();
        (temp_dir, dir)
    }

    #[test]
    fn a_second_up_is_refused_with_a_one_line_error() {
        let (_top, dir) = data_dir("with a space");
        let _first = dir.lock_exclusive("up", &Interrupt::default()).unwrap();
        let error = dir.lock_exclusive("up", &Interrupt::default()).err().unwrap().to_string();
        assert!(error.contains("--data-dir") && error.contains(&std::process::id().to_string()), "{error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn a_lock_is_released_when_its_holder_is_dropped() {
        let (_top, dir) = data_dir("data");
        let first = dir.try_lock("token").unwrap();
        assert!(first.is_some());
        assert!(dir.try_lock("seed").unwrap().is_none());
        drop(first);
        assert!(dir.try_lock("seed").unwrap().is_some());
    }

    #[test]
    fn clusters_outside_the_data_directory_never_share_a_directory() {
        let (temp_dir, dir) = data_dir("data");
        let clusters = temp_dir.path().join("clusters");
        let (first, second) =
            (dir.create_external_dir(&clusters).unwrap(), dir.create_external_dir(&clusters).unwrap());
        assert_ne!(first, second);
        assert!(fs::read_to_string(first.join("README")).unwrap().contains("data"));
    }

    #[test]
    fn without_another_user_the_cluster_is_in_the_data_directory() {
        let (_top, dir) = data_dir("data");
        assert_eq!(dir.pgdata(None).unwrap(), dir.path().join("pg"));
    }
}
