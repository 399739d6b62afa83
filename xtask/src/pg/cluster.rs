//! A PostgreSQL server that xtask runs: on a loopback port, in a separate process group, stopped when dropped.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::postmaster::{self, Postmaster};
use super::{PostgresPrograms, init_cluster};
use crate::files::LogFile;
use crate::proc::{self, Interrupt};
use crate::progress;

/// Timeout of starting the server; after a crash, recovery replays the write-ahead log.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// Minimum time between two attempts to start a server that has ended.
const RESTART_INTERVAL: Duration = Duration::from_secs(1);

/// Purpose of the cluster, which determines its durability settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterPurpose {
    /// Persistent data, with PostgreSQL's default durability.
    Persistent,
    /// Tests: no syncing to disk, because the data is discarded, and more connections.
    Test,
    /// Benchmarks: data that is discarded, with the durability and memory of a production server.
    Benchmark,
}

impl ClusterPurpose {
    /// Settings that differ from PostgreSQL's defaults.
    fn settings(self) -> &'static [&'static str] {
        match self {
            // Room for two API processes, a worker and the exporter.
            Self::Persistent => &["max_connections=200"],
            Self::Test => &["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"],
            Self::Benchmark => &["fsync=on", "synchronous_commit=on", "max_connections=200", "shared_buffers=1GB"],
        }
    }
}

/// Paths of a cluster, and its superuser's password.
#[derive(Clone, Copy, Debug)]
pub struct ClusterPaths<'a> {
    /// Data directory of the cluster (`PGDATA`).
    pub pgdata: &'a Path,
    /// Log file to which the server's messages are appended.
    pub log: &'a Path,
    /// Password of the superuser `postgres`.
    pub password: &'a str,
}

/// A running server. Dropping it stops it.
pub struct Cluster {
    programs: PostgresPrograms,
    child: Child,
    log: LogFile,
    password: String,
    port: u16,
    pgdata: PathBuf,
    purpose: ClusterPurpose,
    started: Instant,
}

impl Cluster {
    /// Starts the cluster and creates it if it does not exist. It listens on `port` if that is free, otherwise on
    /// another free port.
    ///
    /// # Errors
    /// If it cannot be created or started; the message ends with the last lines of the server's log.
    pub fn start(
        programs: &PostgresPrograms,
        paths: ClusterPaths<'_>,
        purpose: ClusterPurpose,
        port: Option<u16>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        init_cluster(programs, paths.pgdata, paths.password)?;
        postmaster::clear_leftovers(paths.pgdata)?;
        let mut preferred_port = port;
        for _attempt in 0..5 {
            let port = match preferred_port.take().filter(|port| is_port_free(*port)) {
                Some(port) => port,
                None => free_port()?,
            };
            let (log, output) = LogFile::open(paths.log)?;
            let child = spawn(&mut postgres_command(programs, paths.pgdata, purpose, port), output)?;
            let mut cluster = Self {
                programs: programs.clone(),
                child,
                log,
                password: paths.password.to_owned(),
                port,
                pgdata: paths.pgdata.to_path_buf(),
                purpose,
                started: Instant::now(),
            };
            if cluster.wait_until_ready(paths.pgdata, interrupt)? {
                return Ok(cluster);
            }
        }
        bail!("the database found no free port on 127.0.0.1")
    }

    /// Returns `false` if another process has taken the port in the meantime.
    fn wait_until_ready(&mut self, pgdata: &Path, interrupt: &Interrupt) -> Result<bool> {
        let started = Instant::now();
        let mut notified = false;
        while started.elapsed() < START_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                let log_tail = self.log.tail(4);
                if log_tail.contains("Address already in use") {
                    return Ok(false);
                }
                bail!("the database did not start ({status}); {} ends with:\n{log_tail}", self.log.path().display());
            }
            if Postmaster::find(pgdata).is_some_and(|found| found.ready && found.pid == self.child.id()) {
                return Ok(true);
            }
            if !notified && started.elapsed() > Duration::from_secs(5) {
                progress::print_status("the database is still starting (recovery after a crash takes a while) …");
                notified = true;
            }
            interrupt.sleep(Duration::from_millis(5))?;
        }
        bail!("the database was not ready within {} s; see {}", START_TIMEOUT.as_secs(), self.log.path().display())
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts the server again on the same port if it has ended; returns whether it had. After a crash, the first
    /// attempts fail while processes of the old server are still exiting. There is at most one attempt per second.
    ///
    /// # Errors
    /// If the status of the process cannot be read, or it cannot be started.
    pub fn restart_if_ended(&mut self) -> Result<bool> {
        if self.child.try_wait()?.is_none() || self.started.elapsed() < RESTART_INTERVAL {
            return Ok(false);
        }
        postmaster::clear_leftovers(&self.pgdata)?;
        let (log, output) = LogFile::open(self.log.path())?;
        self.log = log;
        self.child = spawn(&mut postgres_command(&self.programs, &self.pgdata, self.purpose, self.port), output)?;
        self.started = Instant::now();
        Ok(true)
    }

    /// The superuser's connection URL for a database.
    pub fn superuser_url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Runs one SQL statement with psql and returns the unformatted output.
    ///
    /// # Errors
    /// If the statement fails; the message contains psql's error.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String> {
        let mut psql = self.programs.command("psql");
        psql.env("PGPASSWORD", &self.password);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        psql.arg("-p").arg(self.port.to_string()).args(["-d", database, "-c", statement]);
        Ok(proc::checked_output(&mut psql, "a statement of the embedded database")?.trim().to_owned())
    }

    /// Creates a database if it does not exist.
    ///
    /// # Errors
    /// See [`Cluster::sql`].
    pub fn ensure_database(&self, name: &str) -> Result<()> {
        let found = self.sql("postgres", &format!("select 1 from pg_database where datname = '{name}'"))?;
        if found.is_empty() {
            self.sql("postgres", &format!("create database \"{name}\""))?;
        }
        Ok(())
    }

    /// Whether the server has stopped unexpectedly.
    pub fn has_stopped(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGINT requests PostgreSQL's fast shutdown: it ends sessions and loses no committed data.
        let _result = proc::stop(&mut self.child, Signal::INT, Duration::from_secs(30));
    }
}

fn postgres_command(programs: &PostgresPrograms, pgdata: &Path, purpose: ClusterPurpose, port: u16) -> Command {
    let mut postgres = programs.command("postgres");
    postgres.arg("-D").arg(pgdata).arg("-p").arg(port.to_string());
    // No Unix socket, because the data directory may exceed the length limit of its path.
    let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "timezone=UTC", "log_timezone=UTC"];
    add_settings(&mut postgres, &settings);
    add_settings(&mut postgres, purpose.settings());
    postgres
}

fn spawn(postgres: &mut Command, output: File) -> Result<Child> {
    postgres.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    proc::spawn(postgres)
}

fn add_settings(postgres: &mut Command, settings: &[&str]) {
    for setting in settings {
        postgres.arg("-c").arg(setting);
    }
}

/// A port of 127.0.0.1 on which no process listens at the moment.
///
/// # Errors
/// If there is no free port.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("there is no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Whether no process listens on this port of 127.0.0.1 at the moment.
fn is_port_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Returns the requested port, or a free one for 0.
///
/// # Errors
/// If the requested port is in use.
pub fn choose_port(requested: u16) -> Result<u16> {
    if requested == 0 {
        return free_port();
    }
    if !is_port_free(requested) {
        bail!("port {requested} is in use: stop what listens there, or choose another one with --port");
    }
    Ok(requested)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_port_free(port));
        drop(listener);
        assert!(is_port_free(port));
    }

    #[test]
    fn the_error_for_a_port_in_use_names_the_port_and_the_option() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = choose_port(port).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("--port"), "{error}");
    }

    #[test]
    fn port_zero_is_a_free_port() {
        assert_ne!(choose_port(0).unwrap(), 0);
    }
}
