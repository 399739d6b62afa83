//! A running PostgreSQL of our own: on a loopback port, in a process group of its own, stopped when dropped.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::postmaster::{self, Postmaster};
use super::{Programs, init};
use crate::files::Log;
use crate::proc::{self, Interrupt};
use crate::progress;

/// How long a start may take; recovery after a crash replays the log.
const START_LIMIT: Duration = Duration::from_secs(300);

/// What the cluster is for, which decides what it spends on safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Data that is meant to last.
    Lasting,
    /// Tests: nothing survives them, so nothing is synced; many connections.
    ThrowAway,
}

/// Where a cluster lies, and its superuser's password.
#[derive(Clone, Copy, Debug)]
pub struct ClusterPaths<'a> {
    /// The cluster's directory.
    pub pgdata: &'a Path,
    /// The file that the server's messages are appended to.
    pub log: &'a Path,
    /// The superuser's password.
    pub password: &'a str,
}

/// A running server. Dropping it stops it.
pub struct Cluster {
    programs: Programs,
    child: Child,
    log: Log,
    password: String,
    port: u16,
}

impl Cluster {
    /// Starts the cluster, creating it where it is not there yet. It listens on `port` if that is free, else on
    /// another one.
    ///
    /// # Errors
    /// If it cannot be created or started; the message ends with what the server said.
    pub fn start(
        programs: &Programs,
        place: ClusterPaths<'_>,
        purpose: Purpose,
        port: Option<u16>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        init(programs, place.pgdata, place.password)?;
        postmaster::clear_leftovers(place.pgdata)?;
        let mut wanted = port;
        for _attempt in 0..5 {
            let port = match wanted.take().filter(|port| is_free(*port)) {
                Some(port) => port,
                None => free_port()?,
            };
            let (log, output) = Log::open(place.log)?;
            let child = spawn(&mut arguments(programs, place.pgdata, purpose, port), output)?;
            let mut cluster =
                Self { programs: programs.clone(), child, log, password: place.password.to_owned(), port };
            if cluster.wait_until_ready(place.pgdata, interrupt)? {
                return Ok(cluster);
            }
        }
        bail!("the database finds no free port on 127.0.0.1")
    }

    /// False when somebody else took the port in between.
    fn wait_until_ready(&mut self, pgdata: &Path, interrupt: &Interrupt) -> Result<bool> {
        let begun = Instant::now();
        let mut patient = false;
        while begun.elapsed() < START_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                let said = self.log.tail(4);
                if said.contains("Address already in use") {
                    return Ok(false);
                }
                bail!("the database did not start ({status}); {} ends with:\n{said}", self.log.path().display());
            }
            if Postmaster::find(pgdata).is_some_and(|found| found.ready && found.pid == self.child.id()) {
                return Ok(true);
            }
            if !patient && begun.elapsed() > Duration::from_secs(5) {
                progress::say("the database is still starting (recovery after a crash takes a while) …");
                patient = true;
            }
            interrupt.pause(Duration::from_millis(5))?;
        }
        bail!("the database did not get ready within {} s; see {}", START_LIMIT.as_secs(), self.log.path().display())
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's connection URL for a database.
    pub fn superuser_url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Runs one SQL statement in a database and returns its bare output.
    ///
    /// # Errors
    /// If the statement fails; the message is psql's.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String> {
        let mut psql = self.programs.command("psql");
        psql.env("PGPASSWORD", &self.password);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        psql.arg("-p").arg(self.port.to_string()).args(["-d", database, "-c", statement]);
        Ok(proc::quiet(&mut psql, "a statement of the embedded database")?.trim().to_owned())
    }

    /// Creates a database unless it is there.
    ///
    /// # Errors
    /// As [`Cluster::sql`].
    pub fn ensure_database(&self, name: &str) -> Result<()> {
        let found = self.sql("postgres", &format!("select 1 from pg_database where datname = '{name}'"))?;
        if found.is_empty() {
            self.sql("postgres", &format!("create database \"{name}\""))?;
        }
        Ok(())
    }

    /// Whether the server has stopped by itself.
    pub fn has_stopped(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown: sessions are ended, nothing is lost.
        let _stopped = proc::stop(&mut self.child, Signal::INT, Duration::from_secs(30));
    }
}

fn arguments(programs: &Programs, pgdata: &Path, purpose: Purpose, port: u16) -> Command {
    let mut postgres = programs.command("postgres");
    postgres.arg("-D").arg(pgdata).arg("-p").arg(port.to_string());
    // No unix socket: its path has a length limit that a data directory may exceed.
    let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "timezone=UTC", "log_timezone=UTC"];
    configure(&mut postgres, &settings);
    if purpose == Purpose::ThrowAway {
        configure(
            &mut postgres,
            &["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"],
        );
    }
    postgres
}

fn spawn(postgres: &mut Command, output: File) -> Result<Child> {
    postgres.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    proc::spawn(postgres)
}

fn configure(postgres: &mut Command, settings: &[&str]) {
    for setting in settings {
        postgres.arg("-c").arg(setting);
    }
}

/// A port of 127.0.0.1 that nobody listens on right now.
///
/// # Errors
/// If the machine has none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("there is no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Whether nobody listens on this port of 127.0.0.1 right now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(port));
        drop(listener);
        assert!(is_free(port));
    }
}
