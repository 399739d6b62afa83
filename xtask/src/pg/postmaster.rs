//! Reads `postmaster.pid` and checks whether it is current: the file survives a crash, and its process id may meanwhile
//! belong to another program.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::proc;
use crate::progress::print_status;

/// The server process of a cluster, as described by its lock file.
#[derive(Debug, PartialEq, Eq)]
pub struct Postmaster {
    /// Process id of the server.
    pub pid: u32,
    /// TCP port of the server; `None` until it listens.
    pub port: Option<u16>,
    /// Whether the server accepts connections.
    pub ready: bool,
}

impl Postmaster {
    /// The live server of the cluster in `pgdata`, if there is one. A lock file left by a dead process, or whose
    /// process id now belongs to another program, is not a live server.
    pub fn find(pgdata: &Path) -> Option<Self> {
        let postmaster = Self::parse(&fs::read_to_string(lock_file(pgdata)).ok()?)?;
        (proc::is_alive(postmaster.pid) && is_postgres_of(&proc::command_line(postmaster.pid)?, pgdata))
            .then_some(postmaster)
    }

    /// Line 1 is the process id, line 4 the port, line 8 the state.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<_> = text.lines().collect();
        let pid = lines.first()?.trim().parse().ok()?;
        let port = lines.get(3).and_then(|line| line.trim().parse().ok());
        let ready = lines.get(7).is_some_and(|line| line.trim() == "ready");
        Some(Self { pid, port, ready })
    }
}

/// Prepares the start of the cluster: stops a server left over from a killed run, and removes a lock file whose process
/// id belongs to an unrelated process. (PostgreSQL itself ignores lock files of dead processes.)
///
/// # Errors
/// If a leftover server does not stop.
pub fn clear_leftovers(pgdata: &Path) -> Result<()> {
    if let Some(leftover) = Postmaster::find(pgdata) {
        print_status(&format!("stopping the database of an earlier run (process {})", leftover.pid));
        if !proc::stop_non_child(leftover.pid, Signal::INT, Duration::from_secs(20)) {
            bail!("the database of an earlier run (process {}) does not stop: stop it, then try again", leftover.pid);
        }
        return Ok(());
    }
    let text = fs::read_to_string(lock_file(pgdata)).unwrap_or_default();
    if Postmaster::parse(&text).is_some_and(|lock_owner| proc::is_alive(lock_owner.pid)) {
        fs::remove_file(lock_file(pgdata))?;
    }
    Ok(())
}

fn is_postgres_of(command_line: &str, pgdata: &Path) -> bool {
    command_line.contains("postgres") && command_line.contains(&*pgdata.to_string_lossy())
}

fn lock_file(pgdata: &Path) -> PathBuf {
    pgdata.join("postmaster.pid")
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY_LOCK_FILE: &str = "4711\n/data/pg\n1763800000\n54321\n\n127.0.0.1\n  123456    7\nready   \n";

    #[test]
    fn the_fields_of_the_lock_file_are_parsed() {
        assert_eq!(Postmaster::parse(READY_LOCK_FILE), Some(Postmaster { pid: 4711, port: Some(54321), ready: true }));
        let starting_lock_file = READY_LOCK_FILE.replace("ready   ", "starting");
        assert_eq!(Postmaster::parse(&starting_lock_file).map(|p| p.ready), Some(false));
        assert_eq!(Postmaster::parse(""), None);
    }

    #[test]
    fn the_server_of_another_cluster_is_ignored() {
        let line = "/cache/bin/postgres -D /data/one/pg -p 5";
        assert!(is_postgres_of(line, Path::new("/data/one/pg")));
        assert!(!is_postgres_of(line, Path::new("/data/two/pg")));
        assert!(!is_postgres_of("vim /data/one/pg/notes", Path::new("/data/one/pg")));
    }

    #[test]
    fn a_lock_file_that_names_an_unrelated_process_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let own_process = READY_LOCK_FILE.replace("4711", &std::process::id().to_string());
        fs::write(lock_file(dir.path()), own_process).unwrap();
        assert_eq!(Postmaster::find(dir.path()), None);
        clear_leftovers(dir.path()).unwrap();
        assert!(!lock_file(dir.path()).exists());
    }
}
