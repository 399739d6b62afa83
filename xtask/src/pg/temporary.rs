//! A temporary cluster for one test run. Each run deletes the directories that killed runs left behind.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Cluster, ClusterPaths, ClusterPurpose, PostgresPrograms, Postmaster};
use crate::proc::{self, Interrupt};
use crate::{files, run_as};

const PREFIX: &str = "plant-agent-test-";

/// A running temporary cluster. The field order matters: the server stops before its directory is deleted.
pub struct TemporaryCluster {
    cluster: Cluster,
    _lock: File,
    _dir: TempDir,
}

impl TemporaryCluster {
    /// Starts a cluster in a temporary directory, and deletes the directories of killed runs.
    ///
    /// # Errors
    /// If the cluster cannot be created or started.
    pub fn start(programs: &PostgresPrograms, purpose: ClusterPurpose, interrupt: &Interrupt) -> Result<Self> {
        let dir = temporary_dir(programs)?;
        let lock = create_locked_file(dir.path())?;
        let (pgdata, log, password) = (dir.path().join("pg"), dir.path().join("log"), files::random_secret()?);
        let paths = ClusterPaths { pgdata: &pgdata, log: &log, password: &password };
        let cluster = Cluster::start(programs, paths, purpose, None, interrupt)?;
        Ok(Self { cluster, _lock: lock, _dir: dir })
    }

    /// The superuser's connection URL, to the database `postgres`.
    pub fn url(&self) -> String {
        self.cluster.superuser_url("postgres")
    }
}

/// Creates a temporary directory that the database's user can access, and deletes the directories of killed runs. A
/// live run holds a lock on the file `lock` in its directory.
///
/// # Errors
/// If the directory cannot be created.
pub fn temporary_dir(programs: &PostgresPrograms) -> Result<TempDir> {
    let parent = temporary_parent(programs.run_as());
    sweep(&parent);
    let dir = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(&parent)
        .context("cannot write to the temporary directory")?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
    Ok(dir)
}

/// `TMPDIR`, or `/tmp` if the database's user cannot access that.
fn temporary_parent(reader: Option<&run_as::RunAsUser>) -> PathBuf {
    let parent = std::env::temp_dir();
    if reader.is_some_and(|user| !user.can_access(&parent)) { PathBuf::from("/tmp") } else { parent }
}

/// Creates and takes the lock. The file gets its name only once it is locked, so that [`sweep`] never deletes a new
/// directory.
fn create_locked_file(dir: &Path) -> Result<File> {
    let partial_path = dir.join("lock.part");
    let lock = File::create(&partial_path)?;
    lock.lock()?;
    fs::rename(&partial_path, dir.join("lock"))?;
    Ok(lock)
}

/// Deletes the directories of killed runs: those whose lock no process holds.
fn sweep(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    for dir in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)).map(|entry| entry.path())
    {
        let Ok(lock) = File::open(dir.join("lock")) else {
            continue;
        };
        if lock.try_lock().is_err() {
            continue;
        }
        if let Some(postmaster) = Postmaster::find(&dir.join("pg")) {
            proc::stop_non_child(postmaster.pid, Signal::INT, Duration::from_secs(10));
        }
        let _result = fs::remove_dir_all(&dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_dead_runs_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let create_dir = |name: &str| {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir
        };
        let (dead, live, new, unrelated) = (
            create_dir("plant-agent-test-dead"),
            create_dir("plant-agent-test-live"),
            create_dir("plant-agent-test-new"),
            create_dir("else"),
        );
        drop(create_locked_file(&dead).unwrap());
        let _lock = create_locked_file(&live).unwrap();
        drop(create_locked_file(&unrelated).unwrap());
        sweep(parent.path());
        assert!(!dead.exists());
        assert!(live.exists() && new.exists() && unrelated.exists());
    }
}
