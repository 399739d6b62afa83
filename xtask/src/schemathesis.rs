//! `cargo xtask schemathesis`: fuzzes the API of a temporary platform, as each role, with valid and invalid requests
//! generated from its OpenAPI document. A response that the document does not describe is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::Parser;

use crate::data_dir::DataDir;
use crate::database::Database;
use crate::pg::{self, PostgresPrograms};
use crate::platform::{self, Platform, ServeSettings};
use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::project;
use crate::server::{self, BuildProfile, Server};
use crate::state::SavedState;
use crate::token::{self, Role, TokenRequest};
use crate::venv::{self, PackageFormats};

/// The tenant whose tokens are used, and another tenant whose data must not appear.
const TENANTS: [&str; 2] = ["fuzzed", "neighbour"];

/// Arguments of `schemathesis`.
#[derive(Parser)]
pub struct Args {
    /// Duration for each of the three roles, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Arguments for `schemathesis run`, as in: cargo xtask schemathesis -- --include-path /v1/search
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs schemathesis as viewer, user and admin, and fails if any of the runs finds a failure.
///
/// # Errors
/// If a dependency cannot be provisioned, or the server stops.
pub fn run(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let schemathesis = provision(interrupt)?;
    let dir = pg::temporary_dir(&PostgresPrograms::provision(interrupt)?)?;
    let data = DataDir::open(Some(dir.path()))?;
    let mut state = SavedState::load_or_create(data.path())?;
    let database = Database::start(&data, &mut state, interrupt)?;
    let port = pg::free_port()?;
    let listen = ServeSettings::for_port(port, interrupt)?;
    let program = server::build(BuildProfile::Dev, interrupt)?;
    let server = platform::server_for(program, &data, &state, &database.urls, Some(&listen))?;
    let server = server.with_variable("PLATFORM__RATE_LIMIT__ENABLED", "false");
    let platform = Platform { server, database };
    platform.migrate(interrupt)?;
    let mut running = platform.server.start(&data.join("server.log"), &data.join("server.pid"))?;
    platform.server.wait_until_ready(&mut running, interrupt)?;
    let mut failed = Vec::new();
    for role in [Role::Viewer, Role::User, Role::Admin] {
        print_status(&format!("fuzzing as {} …", role.name()));
        let mut command = fuzz_command(&schemathesis, port, args);
        command.current_dir(data.path()).env("PLATFORM_TOKEN", issue_token(&platform.server, role, interrupt)?);
        if !proc::run(&mut command, interrupt)?.success() {
            failed.push(role.name());
        }
        running.check()?;
    }
    if !failed.is_empty() {
        bail!("schemathesis found failures as {}", failed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn issue_token(server: &Server, role: Role, interrupt: &Interrupt) -> Result<String> {
    let token_request =
        |tenant| TokenRequest { tenant, user: role.name(), role, ttl: "1h", auth_age: None, grant: None };
    token::issue(server, token_request(TENANTS[1]), interrupt)?;
    token::issue(server, token_request(TENANTS[0]), interrupt)
}

fn fuzz_command(schemathesis: &Path, port: u16, args: &Args) -> Command {
    let mut command = Command::new(schemathesis);
    command.arg("--config-file").arg(config_dir().join("schemathesis.toml")).arg("--no-color").arg("run");
    command.arg(format!("http://127.0.0.1:{port}/openapi.json"));
    command.args(["--phases", "examples,coverage,fuzzing,stateful", "--warnings", "off"]);
    command.args(["--max-time", &args.seconds.to_string()]).args(&args.more);
    command
}

fn config_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis")
}

/// Path of the program, in a virtual environment in the cache whose packages are pinned by hash.
fn provision(interrupt: &Interrupt) -> Result<PathBuf> {
    if let Some(program) = project::env_var("SCHEMATHESIS") {
        return Ok(PathBuf::from(program));
    }
    let venv_dir = venv::provision(
        "schemathesis",
        &requirements(),
        PackageFormats::WheelsOnly,
        "SCHEMATHESIS to the program",
        interrupt,
    )?;
    Ok(venv_dir.join("bin").join("schemathesis"))
}

fn requirements() -> PathBuf {
    config_dir().join("requirements.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_duration_is_bounded_and_arguments_are_passed_on() {
        let args = Args::parse_from(["schemathesis", "--seconds", "7", "--", "--include-path", "/v1/me"]);
        let command = fuzz_command(Path::new("st"), 1, &args);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert!(words.windows(2).any(|pair| pair == ["--max-time", "7"]), "{words:?}");
        assert_eq!(words[words.len() - 2..], ["--include-path", "/v1/me"]);
        assert!(words.contains(&"http://127.0.0.1:1/openapi.json"));
    }

    #[test]
    fn everything_that_is_installed_is_pinned_by_its_hash() {
        venv::assert_pinned(&requirements());
    }
}
