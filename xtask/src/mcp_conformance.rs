//! `cargo xtask mcp-conformance`: runs the official conformance suite of the Model Context Protocol against the MCP
//! endpoint of a temporary platform, in both revisions that it speaks.
//!
//! Only scenarios that apply to a server with tools of its own and without sessions run. Those that call tools of the
//! suite's reference server (`tools-call-*`, `json-schema-2020-12`, `input-required-result-*`), and those on sessions,
//! resources, prompts, completion, logging, sampling, elicitation and tasks, test what the platform does not offer.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::data_dir::DataDir;
use crate::database::Database;
use crate::node::{Node, NodeVersion};
use crate::pg::{self, PostgresPrograms};
use crate::platform::{self, Platform, ServeSettings};
use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::project;
use crate::server::{self, BuildProfile, Server};
use crate::state::SavedState;
use crate::token::{self, Role, TokenRequest};

/// Minimum version of Node.js that the suite supports.
const MINIMUM_VERSION: NodeVersion = NodeVersion { major: 22, minor: 0 };
/// Arguments that install exactly what the lock file pins, without running its scripts.
const INSTALL: &[&str] = &["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
/// How long the proxy may take to listen.
const PROXY_LIMIT: Duration = Duration::from_secs(10);

/// A scenario of the suite, and the revision in which it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Scenario {
    name: &'static str,
    revision: &'static str,
}

const fn scenario(name: &'static str, revision: &'static str) -> Scenario {
    Scenario { name, revision }
}

const SCENARIOS: &[Scenario] = &[
    scenario("server-initialize", "2025-11-25"),
    scenario("ping", "2025-11-25"),
    scenario("tools-list", "2025-11-25"),
    scenario("dns-rebinding-protection", "2025-11-25"),
    scenario("server-stateless", "2026-07-28"),
    scenario("tools-list", "2026-07-28"),
    scenario("caching", "2026-07-28"),
    scenario("http-header-validation", "2026-07-28"),
    scenario("server-sse-multiple-streams", "2026-07-28"),
    scenario("dns-rebinding-protection", "2026-07-28"),
    scenario("input-required-result-unsupported-methods", "2026-07-28"),
];

/// Runs the scenarios, and fails if one has a failure that `expected-failures.yml` does not name.
///
/// # Errors
/// If a dependency cannot be provisioned, the server stops, or a scenario fails.
pub fn run(interrupt: &Interrupt) -> Result<ExitCode> {
    let node = Node::provision(MINIMUM_VERSION, interrupt)?;
    let suite = Suite::install(&node)?;
    let dir = pg::temporary_dir(&PostgresPrograms::provision(interrupt)?)?;
    let data = DataDir::open(Some(dir.path()))?;
    let mut state = SavedState::load_or_create(data.path())?;
    let database = Database::start(&data, &mut state, interrupt)?;
    let port = pg::free_port()?;
    let listen = ServeSettings::for_port(port, interrupt)?;
    let program = server::build(BuildProfile::Dev, interrupt)?;
    let server = platform::server_for(program, &data, &state, &database.urls, Some(&listen))?;
    // The suite's requests bear the address of the proxy.
    let proxy_port = pg::free_port()?;
    let server = server
        .with_variable("PLATFORM__RATE_LIMIT__ENABLED", "false")
        .with_variable("PLATFORM__MCP__ALLOWED_ORIGINS", &format!("http://127.0.0.1:{proxy_port}"));
    let platform = Platform { server, database };
    platform.migrate(interrupt)?;
    let mut running = platform.server.start(&data.join("server.log"), &data.join("server.pid"))?;
    platform.server.wait_until_ready(&mut running, interrupt)?;
    let token = issue_token(&platform.server, interrupt)?;
    let proxy = Proxy::start(&node, &suite, ProxyPorts { own: proxy_port, target: port }, &token)?;
    let mut failed = Vec::new();
    for Scenario { name, revision } in SCENARIOS {
        print_status(&format!("{name} in {revision} …"));
        let mut command = suite.command(&node, proxy.port, Scenario { name, revision });
        if !proc::run(command.current_dir(data.path()), interrupt)?.success() {
            failed.push(format!("{name} in {revision}"));
        }
        running.check()?;
    }
    if !failed.is_empty() {
        bail!("the conformance suite found failures: {}", failed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn issue_token(server: &Server, interrupt: &Interrupt) -> Result<String> {
    let request = TokenRequest {
        tenant: "conformance",
        user: "client",
        role: Role::Admin,
        ttl: "1h",
        auth_age: None,
        grant: None,
    };
    token::issue(server, request, interrupt)
}

/// The installed suite.
struct Suite {
    dir: PathBuf,
}

impl Suite {
    /// Installs what the lock file in `tests/mcp-conformance` pins.
    fn install(node: &Node) -> Result<Self> {
        let dir = project::root()?.join("tests").join("mcp-conformance");
        print_status("installing the conformance suite …");
        proc::checked_output(node.npm(&dir).args(INSTALL), "npm ci")
            .context("the conformance suite cannot be installed")?;
        Ok(Self { dir })
    }

    fn command(&self, node: &Node, port: u16, scenario: Scenario) -> Command {
        let mut command = Command::new(&node.program);
        command.arg(self.dir.join("node_modules/@modelcontextprotocol/conformance/dist/index.js")).arg("server");
        command.args(["--url", &format!("http://127.0.0.1:{port}/mcp")]);
        command.args(["--scenario", scenario.name, "--spec-version", scenario.revision]);
        command.arg("--expected-failures").arg(self.expected_failures());
        command
    }

    fn expected_failures(&self) -> PathBuf {
        self.dir.join("expected-failures.yml")
    }
}

/// Adds the token to the suite's requests, which it cannot do itself. Dropping it stops it.
struct Proxy {
    process: Child,
    port: u16,
}

/// The ports of a proxy and of the platform behind it.
#[derive(Clone, Copy)]
struct ProxyPorts {
    own: u16,
    target: u16,
}

impl Proxy {
    fn start(node: &Node, suite: &Suite, ports: ProxyPorts, token: &str) -> Result<Self> {
        let ProxyPorts { own: port, target } = ports;
        let mut command = Command::new(&node.program);
        command.arg(suite.dir.join("proxy.mjs")).args([port.to_string(), target.to_string()]);
        let process = command.env("PLATFORM_TOKEN", token).spawn().context("the proxy cannot be started")?;
        let proxy = Self { process, port };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if started.elapsed() > PROXY_LIMIT {
                bail!("the proxy does not listen");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn each_scenario_runs_once_in_a_revision_that_the_endpoint_speaks() {
        for (index, scenario) in SCENARIOS.iter().enumerate() {
            assert!(["2025-11-25", "2026-07-28"].contains(&scenario.revision), "{scenario:?}");
            assert!(!SCENARIOS[..index].contains(scenario), "{scenario:?}");
        }
    }

    #[test]
    fn only_single_checks_of_scenarios_that_run_are_expected_to_fail() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/mcp-conformance/expected-failures.yml");
        let file = std::fs::read_to_string(path).unwrap();
        let entries: Vec<_> = file.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
        assert!(!entries.is_empty());
        for entry in entries {
            let (name, _) = entry.split_once(':').expect(entry);
            assert!(SCENARIOS.iter().any(|scenario| scenario.name == name), "{entry}");
        }
    }
}
