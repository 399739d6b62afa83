//! A cluster for the length of one test run, gone afterwards whatever happens in between.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Cluster, ClusterPaths, Postmaster, Programs, Purpose};
use crate::proc::{self, Interrupt};
use crate::{files, run_as};

const PREFIX: &str = "plant-agent-test-";

/// A running throw-away cluster. The fields drop in this order: the server stops before its directory goes.
pub struct ThrowAway {
    cluster: Cluster,
    _lock: File,
    _dir: TempDir,
}

impl ThrowAway {
    /// Starts one in the machine's temporary directory, and clears away those of runs that were killed.
    ///
    /// # Errors
    /// If the cluster cannot be created or started.
    pub fn start(programs: &Programs, interrupt: &Interrupt) -> Result<Self> {
        let dir = throw_away_dir(programs)?;
        let lock = claim(dir.path())?;
        let (pgdata, log, password) = (dir.path().join("pg"), dir.path().join("log"), files::random_secret()?);
        let place = ClusterPaths { pgdata: &pgdata, log: &log, password: &password };
        let cluster = Cluster::start(programs, place, Purpose::ThrowAway, None, interrupt)?;
        Ok(Self { cluster, _lock: lock, _dir: dir })
    }

    /// The superuser's connection URL, to the database `postgres`.
    pub fn url(&self) -> String {
        self.cluster.superuser_url("postgres")
    }
}

/// A new directory in the machine's temporary directory, which the database's user can reach; those of runs that were
/// killed are cleared away. A run says that it lives by holding the lock on the file `lock` in its directory.
///
/// # Errors
/// If it cannot be made.
pub fn throw_away_dir(programs: &Programs) -> Result<TempDir> {
    let parent = temporary_parent(programs.run_as());
    sweep(&parent);
    let dir = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(&parent)
        .context("cannot write to the temporary directory")?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
    Ok(dir)
}

/// `TMPDIR`, unless the database's user cannot get there.
fn temporary_parent(reader: Option<&run_as::RunAs>) -> PathBuf {
    let parent = std::env::temp_dir();
    if reader.is_some_and(|user| !user.reaches(&parent)) { PathBuf::from("/tmp") } else { parent }
}

/// The lock appears under its name only once it is held, so that [`sweep`] never takes a new directory for an old one.
fn claim(dir: &Path) -> Result<File> {
    let part = dir.join("lock.part");
    let lock = File::create(&part)?;
    lock.lock()?;
    fs::rename(&part, dir.join("lock"))?;
    Ok(lock)
}

/// Removes what killed runs left: directories whose lock nobody holds any more.
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
        if let Some(left) = Postmaster::find(&dir.join("pg")) {
            proc::stop_foreign(left.pid, Signal::INT, Duration::from_secs(10));
        }
        let _kept = fs::remove_dir_all(&dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_dead_runs_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir
        };
        let (dead, live, new, foreign) =
            (make("plant-agent-test-dead"), make("plant-agent-test-live"), make("plant-agent-test-new"), make("else"));
        drop(claim(&dead).unwrap());
        let _held = claim(&live).unwrap();
        drop(claim(&foreign).unwrap());
        sweep(parent.path());
        assert!(!dead.exists());
        assert!(live.exists() && new.exists() && foreign.exists());
    }
}
