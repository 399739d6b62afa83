//! `cargo xtask stack`: runs the deployment without containers, from the files in `deploy/`: nginx with TLS, two API
//! processes, a worker, PostgreSQL, Redis, Prometheus and postgres_exporter. A process that ends is restarted.

mod air_gap;
mod certificate;
mod monitoring;
mod nginx;
mod platform_processes;
mod service;
mod status_file;
mod supervisor;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::data_dir::DataDir;
use crate::database::{Database, DatabaseUrls};
use crate::debian::{self, SystemProgram};
use crate::pg::PostgresPrograms;
use crate::platform::{self, Platform, PlatformArgs};
use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::running::Note;
use crate::server::{self, BuildProfile};
use crate::state::SavedState;
use crate::test::END_TO_END_TARGET;
use crate::{files, pg, test_support, ui};
pub use certificate::Certificate;
pub use nginx::{ListenAddresses, write_configuration as write_nginx_configuration};
use platform_processes::PlatformPorts;
use status_file::StatusFile;
use supervisor::Supervisor;

/// Third-party programs that the stack needs.
const PROGRAMS: &[SystemProgram] = &[
    SystemProgram { name: "nginx", package: "nginx" },
    SystemProgram { name: "redis-server", package: "redis-server" },
    SystemProgram { name: "prometheus", package: "prometheus" },
    SystemProgram { name: "prometheus-postgres-exporter", package: "prometheus-postgres-exporter" },
    SystemProgram { name: "openssl", package: "openssl" },
];

/// Arguments of `stack`.
#[derive(Parser)]
pub struct Args {
    /// HTTPS port of nginx; 0 selects a free one.
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// Start from this backup; the data directory must be new.
    #[arg(long, value_name = "FILE")]
    restore: Option<PathBuf>,
    #[command(flatten)]
    platform: PlatformArgs,
}

/// Starts everything and serves until the user stops it.
///
/// # Errors
/// If a program is missing or does not start, or the port is in use.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    debian::require(PROGRAMS, interrupt)?;
    let data = DataDir::open(args.platform.data_dir.as_deref())?;
    let _lock = data.lock_exclusive("stack", interrupt)?;
    let _note = Note::write("stack", &data);
    status_file::stop_orphaned_processes(&data)?;
    platform::remove_env_file(&data)?;
    let port = pg::choose_port(args.port)?;
    if DatabaseUrls::from_env()?.is_some() {
        bail!("the stack runs its own database: unset DATABASE_URL");
    }
    let mut state = SavedState::load_or_create(data.path())?;
    state.dev_build = args.platform.build_profile_to_run() == BuildProfile::Dev;
    state.save(data.path())?;
    ui::build_if_possible(interrupt)?;
    let program = server::build(args.platform.build_profile_to_run(), interrupt)?;
    state.program = Some(program.clone());
    state.save(data.path())?;
    let database = Database::start(&data, &mut state, interrupt)?;
    let server = platform_processes::server_without_listener(program.clone(), &data, &state, &database.urls)?;
    let mut platform = Platform { server, database };
    if let Some(backup) = &args.restore {
        state.secret_key = restore(&platform, backup, &data, interrupt)?;
        state.save(data.path())?;
        platform.server =
            platform_processes::server_without_listener(program.clone(), &data, &state, &platform.database.urls)?;
    }
    platform.migrate(interrupt)?;
    monitoring::create_exporter_role(&platform.database, &state)?;
    serve(Prepared { platform, program, data, state, port }, interrupt)
}

/// A migrated platform whose processes are not started yet.
struct Prepared {
    platform: Platform,
    program: PathBuf,
    data: DataDir,
    state: SavedState,
    port: u16,
}

/// Starts all processes and keeps them running until the user stops the stack.
fn serve(prepared: Prepared, interrupt: &Interrupt) -> Result<ExitCode> {
    let Prepared { platform, program, data, state, port } = prepared;
    let redis_port = pg::free_port()?;
    let ports = PlatformPorts::choose()?;
    let address = format!("https://localhost:{port}");
    let certificate = certificate::provision(&data, interrupt)?;
    let redis_url = format!("redis://127.0.0.1:{redis_port}/0");
    let process_settings = platform_processes::ProcessSettings {
        program,
        data: &data,
        state: &state,
        urls: &platform.database.urls,
        redis_url: &redis_url,
        model_variables: platform::embedded_model_variables(None, interrupt)?,
    };
    let prometheus = monitoring::Prometheus::new(&data, &ports)?;
    let mut services = vec![service::redis(&data, redis_port)?];
    services.extend(process_settings.services(&ports)?);
    services.push(nginx::service(&data, port, &ports, &certificate)?);
    services.extend(prometheus.services(&data, &platform.database, &state)?);
    platform::write_env_file(&data, &address, &platform.database.urls)?;
    let status_file = StatusFile {
        url: address.clone(),
        ca_file: certificate.ca_file.clone(),
        prometheus_url: prometheus.url(),
        path: data.join("stack.json"),
    };
    print_status("starting the processes …");
    let mut supervisor = Supervisor::start(services, platform.database, status_file)?;
    supervisor.wait_until_ready(interrupt)?;
    println!("Serving on {address} until Ctrl-C; stack.json and the logs are in {}", data.path().display());
    println!("Certificate authority: {}", certificate.ca_file.display());
    println!("Prometheus: {}", prometheus.url());
    supervisor.supervise(interrupt)?;
    print_status("stopping; interrupt again to stop at once …");
    supervisor.stop(interrupt);
    Ok(ExitCode::SUCCESS)
}

/// Arguments of `stack-test`.
#[derive(Parser)]
pub struct TestArgs {
    /// Run the test in a network namespace without a way out. Needs root; skipped otherwise.
    #[arg(long)]
    air_gap: bool,
}

/// Runs the stack's end-to-end tests, which launch this executable.
///
/// # Errors
/// If a program is missing, or the test cannot be started.
pub fn test(args: &TestArgs, interrupt: &Interrupt) -> Result<ExitCode> {
    debian::require(PROGRAMS, interrupt)?;
    let program = std::env::current_exe().context("this program's path is not known")?;
    if args.air_gap {
        let arguments: Vec<_> = END_TO_END_TARGET.into_iter().chain(["--no-run"]).map(str::to_owned).collect();
        let compile = || crate::test::run_with_variables(&arguments, &[], interrupt);
        return air_gap::test(&program, compile, interrupt);
    }
    // A directory that the database's user can access, so that the clusters are in it and end with it.
    let dir = pg::temporary_dir(&PostgresPrograms::provision(interrupt)?)?;
    let variables = [("PLATFORM_TEST_XTASK", program), ("PLATFORM_TEST_STACK_DIR", dir.path().to_path_buf())];
    let result = crate::test::run_ignored_end_to_end("stack::", &variables, interrupt);
    test_support::keep_if_failed(dir, &result);
    result
}

/// Restores a backup into the new database and storage, and returns the `SECRET_KEY` that it contains.
fn restore(platform: &Platform, backup: &std::path::Path, data: &DataDir, interrupt: &Interrupt) -> Result<String> {
    let keys = data.join("restored-keys.json");
    let [backup, keys_path] = [backup, &keys].map(|path| path.display().to_string());
    let arguments = ["restore", "--from", &backup, "--keys-to", &keys_path];
    proc::run_checked(&mut platform.server.command(&arguments), interrupt, "restoring the backup")?;
    let secret_key = files::read_json_field(&keys, "secret_key")?;
    std::fs::remove_file(&keys)?;
    Ok(secret_key)
}
