//! Two database servers under Patroni, with etcd, and with HAProxy in front, which leads to the primary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::node::{Node, NodeSettings};
use super::process::Process;
use crate::database::DatabaseUrls;
use crate::pg::{self, PostgresPrograms};
use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::run_as::RunAsUser;
use crate::state::SavedState;
use crate::test_support::wait_until;
use crate::{debian, files, project};

/// Name of the platform's database.
const DATABASE_NAME: &str = "platform";
/// Names of the servers in `deploy/patroni/haproxy.cfg`.
const NODE_NAMES: [&str; 2] = ["db-1", "db-2"];

/// A running cluster. The field order matters: the servers stop before etcd does.
pub struct PatroniCluster {
    nodes: Vec<Node>,
    _proxy: Process,
    _etcd: Process,
    proxy_port: u16,
    programs: PostgresPrograms,
    settings: NodeSettings,
}

impl PatroniCluster {
    /// Starts everything in `dir`, and waits until a synchronous standby follows the primary. `patroni` is the program.
    ///
    /// # Errors
    /// If a process does not start.
    pub fn start(
        dir: &Path,
        patroni: PathBuf,
        programs: PostgresPrograms,
        state: &SavedState,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let dir = create_dir(dir, programs.run_as())?;
        let deploy = project::root()?.join("deploy").join("patroni");
        let etcd_port = pg::free_port()?;
        let settings = NodeSettings {
            program: patroni,
            postgres_bin: PostgresPrograms::installed_dir().context("PostgreSQL is not installed")?,
            configuration: dir.join("patroni.yml"),
            etcd_port,
            superuser_password: state.superuser_password.clone(),
            replication_password: files::random_secret()?,
            dir,
        };
        // The database's user may not be able to access the checkout.
        fs::copy(deploy.join("patroni.yml"), &settings.configuration)?;
        let etcd = start_etcd(&settings, programs.run_as())?;
        let nodes: Vec<_> = NODE_NAMES.iter().map(|name| Node::new(name, &settings)).collect::<Result<_>>()?;
        let proxy_port = pg::free_port()?;
        let proxy = start_proxy(&deploy.join("haproxy.cfg"), &nodes, proxy_port, &settings.dir)?;
        let mut cluster = Self { nodes, _proxy: proxy, _etcd: etcd, proxy_port, programs, settings };
        for index in 0..cluster.nodes.len() {
            cluster.start_node(index)?;
        }
        cluster.wait_for_synchronous_standby(interrupt)?;
        wait_until("the primary behind the proxy", interrupt, || {
            Ok(cluster.superuser_query("postgres", "SELECT 1").is_ok())
        })?;
        cluster.superuser_query("postgres", &format!("CREATE DATABASE {DATABASE_NAME}"))?;
        Ok(cluster)
    }

    /// URLs of the platform's roles, at the proxy.
    pub fn urls(&self, state: &SavedState) -> DatabaseUrls {
        let url = |role: &str, password: &str| {
            format!("postgres://{role}:{password}@127.0.0.1:{}/{DATABASE_NAME}", self.proxy_port)
        };
        DatabaseUrls {
            app: url("platform_app", &state.app_password),
            worker: url("platform_worker", &state.worker_password),
            audit: url("platform_auditor", &state.auditor_password),
            plant: Some(url("platform_plant", &state.plant_password)),
            migration: Some(url("postgres", &state.superuser_password)),
        }
    }

    /// Runs a query on the platform's database as the superuser, and returns the unformatted output.
    ///
    /// # Errors
    /// If it fails; the primary may be gone.
    pub fn query(&self, query: &str) -> Result<String> {
        self.superuser_query(DATABASE_NAME, query)
    }

    /// Kills the server that is the primary, and returns its index.
    ///
    /// # Errors
    /// If there is no primary.
    pub fn kill_primary(&mut self) -> Result<usize> {
        let port = self.superuser_query("postgres", "SELECT inet_server_port()")?;
        let Some(index) = self.nodes.iter().position(|node| node.postgres_port.to_string() == port) else {
            bail!("no server has the port {port}");
        };
        self.nodes[index].kill()?;
        Ok(index)
    }

    /// Starts a server that was killed; it follows the new primary.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_node(&mut self, index: usize) -> Result<()> {
        let command = as_database_user(&self.settings.program, self.programs.run_as());
        self.nodes[index].start(command, &self.settings)
    }

    /// Waits until a standby acknowledges each commit, and may take over.
    ///
    /// # Errors
    /// If that takes more than two minutes.
    pub fn wait_for_synchronous_standby(&self, interrupt: &Interrupt) -> Result<()> {
        print_status("waiting for the synchronous standby …");
        let what = format!("a synchronous standby (logs are in {})", self.settings.dir.display());
        wait_until(&what, interrupt, || Ok(self.nodes.iter().any(Node::is_synchronous_standby)))
    }

    fn superuser_query(&self, database: &str, query: &str) -> Result<String> {
        let mut psql = self.programs.command("psql");
        psql.env("PGPASSWORD", &self.settings.superuser_password).env("PGCONNECT_TIMEOUT", "3");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        psql.arg("-p").arg(self.proxy_port.to_string()).args(["-d", database, "-c", query]);
        Ok(proc::checked_output(&mut psql, "a statement at the primary")?.trim().to_owned())
    }
}

/// Creates the directory `patroni` in `parent`, which the database's user owns.
fn create_dir(parent: &Path, user: Option<&RunAsUser>) -> Result<PathBuf> {
    let dir = parent.join("patroni");
    files::create_dir(&dir, 0o755)?;
    if let Some(user) = user {
        user.make_owner_of(&dir)?;
    }
    Ok(dir)
}

/// A command that runs as the database's user, without the caller's environment.
fn as_database_user(program: &Path, user: Option<&RunAsUser>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    if let Some(user) = user {
        user.apply(&mut command);
    }
    command
}

/// A single etcd, which is enough for a test; a deployment has three.
fn start_etcd(settings: &NodeSettings, user: Option<&RunAsUser>) -> Result<Process> {
    let client_url = format!("http://127.0.0.1:{}", settings.etcd_port);
    let peer_url = format!("http://127.0.0.1:{}", pg::free_port()?);
    let program = debian::find("etcd").context("etcd is not installed")?;
    let mut etcd = as_database_user(&program, user);
    etcd.arg("--data-dir").arg(settings.dir.join("etcd")).args(["--logger", "zap", "--log-level", "error"]);
    etcd.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
    etcd.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
    etcd.args(["--initial-cluster", &format!("default={peer_url}")]);
    Process::start(&mut etcd, &settings.dir.join("etcd.log"))
}

fn start_proxy(configuration: &Path, nodes: &[Node], port: u16, log_dir: &Path) -> Result<Process> {
    let program = debian::find("haproxy").context("haproxy is not installed")?;
    let mut haproxy = Command::new(program);
    haproxy.arg("-db").arg("-f").arg(configuration);
    haproxy.env("PLATFORM_DATABASE_LISTEN", format!("127.0.0.1:{port}"));
    for (number, node) in (1..).zip(nodes) {
        haproxy.env(format!("DATABASE_{number}"), format!("127.0.0.1:{}", node.postgres_port));
        haproxy.env(format!("PATRONI_{number}"), node.rest_port.to_string());
    }
    Process::start(&mut haproxy, &log_dir.join("haproxy.log"))
}
