//! A PostgreSQL cluster with a standby that follows it by streaming replication, for one test.

use super::app::free_port;
use super::python::required_var;
use data::migrate::{self, LoginRole};
use fakes::eventually_within;
use sqlx::{Connection as _, PgConnection};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// User and group `nobody` of Debian, because PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;
/// The database of the platform.
const DATABASE: &str = "platform";

/// A running primary and its standby. Field order: the servers stop before their directory is deleted.
pub struct ReplicatedPostgres {
    primary: Server,
    standby: Server,
    _dir: TempDir,
}

impl ReplicatedPostgres {
    /// Starts both, with a migrated database and the platform's roles.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        if is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("an owner");
        }
        let (primary_dir, standby_dir) = (dir.path().join("primary"), dir.path().join("standby"));
        run(program("initdb").args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]).arg(&primary_dir));
        let primary = Server::start(&primary_dir).await;
        let mut superuser = primary.connect("postgres").await;
        sqlx::query("CREATE DATABASE platform").execute(&mut superuser).await.expect("a database");
        let url = primary.url("postgres");
        migrate::run(&url).await.expect("the migrations");
        for role in LoginRole::ALL {
            migrate::enable_login(&url, role, "test").await.expect("a role");
        }
        let mut basebackup = program("pg_basebackup");
        basebackup.args(["-h", "127.0.0.1", "-U", "postgres", "-X", "stream", "-c", "fast", "-R", "-p"]);
        run(basebackup.arg(primary.port.to_string()).arg("-D").arg(&standby_dir));
        let standby = Server::start(&standby_dir).await;
        Self { primary, standby, _dir: dir }
    }

    /// The settings with which the platform writes to the primary and reads at the standby.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let [app, worker, auditor] = [LoginRole::App, LoginRole::Worker, LoginRole::Auditor].map(LoginRole::name);
        vec![
            ("DATABASE_URL", self.primary.url(app)),
            ("DATABASE_WORKER_URL", self.primary.url(worker)),
            ("DATABASE_AUDIT_URL", self.primary.url(auditor)),
            ("DATABASE_REPLICA_URL", self.standby.url(app)),
            ("DATABASE_AUDIT_REPLICA_URL", self.standby.url(auditor)),
            ("PLATFORM__DATABASE__REPLICA_WAIT_MS", "2000".to_owned()),
        ]
    }

    /// Whether the standby served a role's transaction within the last second. Looking at how far the standby is does
    /// not count.
    pub async fn standby_has_served(&self, role: LoginRole) -> bool {
        let is_recent = "SELECT EXISTS (
                             SELECT FROM pg_stat_activity
                             WHERE usename = $1 AND datname = current_database()
                               AND query NOT LIKE '%pg_last_wal_replay_lsn%'
                               AND query_start > clock_timestamp() - interval '1 second')";
        let mut superuser = self.standby.connect(DATABASE).await;
        sqlx::query_scalar(is_recent).bind(role.name()).fetch_one(&mut superuser).await.expect("a bool")
    }

    /// Stops replay at the standby, which keeps answering with what it has.
    pub async fn pause_replay(&self) {
        let mut superuser = self.standby.connect(DATABASE).await;
        sqlx::query("SELECT pg_wal_replay_pause()").execute(&mut superuser).await.expect("a pause");
    }

    /// Goes on with replay.
    pub async fn resume_replay(&self) {
        let mut superuser = self.standby.connect(DATABASE).await;
        sqlx::query("SELECT pg_wal_replay_resume()").execute(&mut superuser).await.expect("no pause");
    }

    /// Stops the standby at once.
    pub fn stop_standby(&mut self) {
        self.standby.stop();
    }
}

struct Server {
    port: u16,
    process: Child,
}

impl Server {
    async fn start(pgdata: &Path) -> Self {
        let port = free_port();
        let mut command = program("postgres");
        command.arg("-D").arg(pgdata).args(["-p", &port.to_string(), "-c", "unix_socket_directories="]);
        let process = command.stderr(Stdio::null()).spawn().expect("postgres starts");
        let server = Self { port, process };
        let url = server.url_of("postgres", "postgres");
        eventually_within(Duration::from_secs(30), "PostgreSQL answers", || async {
            PgConnection::connect(&url).await.is_ok().then_some(())
        })
        .await;
        server
    }

    fn url(&self, role: &str) -> String {
        self.url_of(role, DATABASE)
    }

    fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}:test@127.0.0.1:{}/{database}", self.port)
    }

    async fn connect(&self, database: &str) -> PgConnection {
        PgConnection::connect(&self.url_of("postgres", database)).await.expect("a superuser's connection")
    }

    /// An immediate shutdown: unlike SIGKILL, it takes the server's own processes along.
    fn stop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        let _stopping = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _reaped = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program(name: &str) -> Command {
    let bin = PathBuf::from(required_var("PLATFORM_TEST_PG_BIN", "cargo xtask test"));
    let mut command = Command::new(bin.join(name));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn run(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).output().expect("a program of PostgreSQL");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
