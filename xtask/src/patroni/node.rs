//! A database server with its Patroni, configured by `deploy/patroni/patroni.yml` and by the variables that
//! `deploy/patroni/patroni.env.example` explains.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::process::Process;
use crate::pg::{self, Postmaster};
use crate::proc;

/// Timeout of an answer of the REST API.
const REST_TIMEOUT: Duration = Duration::from_secs(3);

/// Settings that the servers share.
pub struct NodeSettings {
    /// The program `patroni`.
    pub program: PathBuf,
    /// Directory of PostgreSQL's programs.
    pub postgres_bin: PathBuf,
    /// The configuration file.
    pub configuration: PathBuf,
    /// Directory of data, logs and passwords, which the database's user owns.
    pub dir: PathBuf,
    /// Port of etcd on 127.0.0.1.
    pub etcd_port: u16,
    /// Password of the superuser `postgres`.
    pub superuser_password: String,
    /// Password of the roles `replicator` and `rewind`.
    pub replication_password: String,
}

/// One of the servers. Dropping it stops Patroni and PostgreSQL.
pub struct Node {
    name: String,
    /// Port of PostgreSQL on 127.0.0.1.
    pub postgres_port: u16,
    /// Port of Patroni's REST API on 127.0.0.1.
    pub rest_port: u16,
    pgdata: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Node {
    /// A server that is not started yet.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn new(name: &str, settings: &NodeSettings) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            postgres_port: pg::free_port()?,
            rest_port: pg::free_port()?,
            pgdata: settings.dir.join(name),
            log: settings.dir.join(format!("{name}.log")),
            process: None,
        })
    }

    /// Starts Patroni with `command`, which runs the program as the database's user. Patroni starts PostgreSQL, as
    /// primary or standby.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self, mut command: Command, settings: &NodeSettings) -> Result<()> {
        let address = |port: u16| format!("127.0.0.1:{port}");
        command.arg(&settings.configuration).env("PATRONI_NAME", &self.name);
        command.env("PATRONI_ETCD3_HOSTS", address(settings.etcd_port));
        for (prefix, port) in [("PATRONI_RESTAPI", self.rest_port), ("PATRONI_POSTGRESQL", self.postgres_port)] {
            command.env(format!("{prefix}_LISTEN"), address(port));
            command.env(format!("{prefix}_CONNECT_ADDRESS"), address(port));
        }
        command.env("PATRONI_POSTGRESQL_DATA_DIR", &self.pgdata);
        command.env("PATRONI_POSTGRESQL_BIN_DIR", &settings.postgres_bin);
        command.env("PATRONI_POSTGRESQL_PGPASS", self.pgdata.with_extension("pgpass"));
        for (role, user, password) in [
            ("SUPERUSER", "postgres", &settings.superuser_password),
            ("REPLICATION", "replicator", &settings.replication_password),
            ("REWIND", "rewind", &settings.replication_password),
        ] {
            command.env(format!("PATRONI_{role}_USERNAME"), user);
            command.env(format!("PATRONI_{role}_PASSWORD"), password);
        }
        self.process = Some(Process::start(&mut command, &self.log)?);
        Ok(())
    }

    /// Whether Patroni may promote this server: it is the synchronous standby, and recorded as such in etcd. PostgreSQL
    /// itself calls it synchronous a few seconds earlier.
    pub fn is_synchronous_standby(&self) -> bool {
        self.rest_status("/synchronous").is_ok_and(|status_line| status_line.contains(" 200 "))
    }

    /// The status line with which the REST API answers.
    fn rest_status(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.rest_port))?;
        stream.set_read_timeout(Some(REST_TIMEOUT))?;
        write!(stream, "OPTIONS {path} HTTP/1.0\r\n\r\n")?;
        let mut status_line = String::new();
        BufReader::new(stream).read_line(&mut status_line)?;
        Ok(status_line)
    }

    /// Kills Patroni and PostgreSQL with SIGKILL, Patroni first, because it would start PostgreSQL again.
    ///
    /// # Errors
    /// If they do not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("Patroni does not run")?.kill()?;
        let postmaster = Postmaster::find(&self.pgdata).context("PostgreSQL does not run")?;
        proc::signal_process(postmaster.pid, Signal::KILL);
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.take());
        if let Some(postmaster) = Postmaster::find(&self.pgdata) {
            proc::stop_non_child(postmaster.pid, Signal::INT, Duration::from_secs(10));
        }
    }
}
