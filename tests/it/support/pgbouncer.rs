//! PgBouncer in transaction mode in front of the database of a test.

use super::app::free_port;
use data::testing::TestDb;
use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// First version that supports prepared statements in transaction mode.
const FIRST_WITH_PREPARED_STATEMENTS: (u32, u32) = (1, 21);

/// A running PgBouncer.
pub struct PgBouncer {
    /// Whether several clients can share a server connection although they prepare statements.
    pub has_prepared_statements: bool,
    port: u16,
    process: Child,
    _dir: TempDir,
}

impl PgBouncer {
    /// Starts PgBouncer with `pool_size` server connections per role and database; `None` if it is not installed. It
    /// accepts only the startup parameters that it accepts by default.
    pub fn start(db: &TestDb, pool_size: usize) -> Option<Self> {
        let program = program()?;
        let has_prepared_statements = version(&program) >= FIRST_WITH_PREPARED_STATEMENTS;
        let port = free_port();
        // PgBouncer does not run as root and must be able to read its files as another user.
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("permissions");
        let users = dir.path().join("users.txt");
        fs::write(&users, users_file(db)).expect("a file");
        let config = dir.path().join("pgbouncer.ini");
        let url = db.app_url();
        let (host, server_port) = server_address(&url);
        let mut settings = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {pool_size}\n",
            users.display()
        );
        if has_prepared_statements {
            settings += "max_prepared_statements = 500\n";
        }
        fs::write(&config, settings).expect("a file");
        let mut command = Command::new(program);
        if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
            command.args(["-u", "nobody"]);
        }
        command.arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("pgbouncer starts");
        let pooler = Self { has_prepared_statements, port, process, _dir: dir };
        // PgBouncer does not report that it is ready, so the port is polled.
        let is_listening = || {
            std::thread::sleep(Duration::from_millis(25));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        };
        assert!((0..400).any(|_| is_listening()), "pgbouncer does not respond");
        Some(pooler)
    }

    /// The URL that leads through PgBouncer to the database of `direct_url`.
    pub fn url(&self, direct_url: &str) -> String {
        let (user, rest) = direct_url.rsplit_once('@').expect("a user");
        let (_, database) = rest.split_once('/').expect("a database");
        format!("{user}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Users and passwords, with which PgBouncer signs in at the server.
fn users_file(db: &TestDb) -> String {
    let entry = |url: String| {
        let (_, rest) = url.split_once("://").expect("a URL");
        let (user, password) = rest.split_once('@').expect("a user").0.split_once(':').expect("a password");
        format!("\"{user}\" \"{password}\"\n")
    };
    [db.app_url(), db.worker_url(), db.auditor_url()].map(entry).concat()
}

fn server_address(url: &str) -> (&str, &str) {
    let (_, rest) = url.rsplit_once('@').expect("a user");
    rest.split('/').next().and_then(|address| address.rsplit_once(':')).expect("host and port")
}

fn version(program: &str) -> (u32, u32) {
    let output = Command::new(program).arg("--version").output().expect("pgbouncer runs");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers =
        output.split_whitespace().nth(1).unwrap_or_default().split('.').map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "the tests' programs come from whoever starts them")]
fn program() -> Option<String> {
    std::env::var("PLATFORM_TEST_PGBOUNCER").ok()
}
