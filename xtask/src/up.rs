//! `cargo xtask up`: starts the whole platform from a fresh clone, runs the demo, and serves until Ctrl-C.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;

use crate::data_dir::DataDir;
use crate::database::{Database, DatabaseUrls};
use crate::model::EmbeddedModel;
use crate::platform::{self, Platform, PlatformArgs, ServeSettings};
use crate::proc::Interrupt;
use crate::progress::print_status;
use crate::running::Note;
use crate::server::{self, BuildProfile, RunningServer};
use crate::state::SavedState;
use crate::token;
use crate::{demo, pg, ui};

/// Arguments of `up`.
#[derive(Parser)]
pub struct Args {
    /// Port of the HTTP API on 127.0.0.1; 0 selects a free one.
    #[arg(long, default_value_t = 8000, env = "PLATFORM__SERVER__PORT")]
    port: u16,
    /// Skip the demo: start without the sample plant and its question.
    #[arg(long)]
    no_demo: bool,
    /// Embed with this model in the server's process [default: the configured model].
    #[arg(long, value_name = "NAME")]
    embedded_model: Option<EmbeddedModel>,
    #[command(flatten)]
    platform: PlatformArgs,
}

/// Starts the platform and serves until the user stops it.
///
/// # Errors
/// If a dependency is missing, in use, or does not start, or if the server stops unexpectedly.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let data = DataDir::open(args.platform.data_dir.as_deref())?;
    let _lock = data.lock_exclusive("up", interrupt)?;
    let _note = Note::write("up", &data);
    server::stop_orphaned_process(&pid_file(&data))?;
    platform::remove_env_file(&data)?;
    let port = pg::choose_port(args.port)?;
    let user_urls = DatabaseUrls::from_env()?;
    if let Some(urls) = &user_urls {
        urls.require_migration()?;
    }

    let mut state = SavedState::load_or_create(data.path())?;
    state.dev_build = args.platform.build_profile_to_run() == BuildProfile::Dev;
    state.save(data.path())?;
    let database = match user_urls {
        Some(urls) => Database::external(urls),
        None => Database::start(&data, &mut state, interrupt)?,
    };
    let listen = ServeSettings::with_embedded_model(port, args.embedded_model, interrupt)?;
    ui::build_if_possible(interrupt)?;
    let program = server::build(args.platform.build_profile_to_run(), interrupt)?;
    state.program = Some(program.clone());
    state.save(data.path())?;
    let server = platform::server_for(program, &data, &state, &database.urls, Some(&listen))?;
    let mut platform = Platform { server, database };
    platform.migrate(interrupt)?;

    let address = format!("http://127.0.0.1:{port}");
    platform::write_env_file(&data, &address, &platform.database.urls)?;
    print_status("starting the server …");
    let mut running = platform.server.start(&log_path(&data), &pid_file(&data))?;
    platform.server.wait_until_ready(&mut running, interrupt)?;
    let token_command = token::command_text(args.platform.data_dir.as_deref());
    if args.no_demo {
        print_empty_platform_hint(&address, &token_command);
    } else {
        demo::run(&platform.server, &address, &token_command, interrupt)?;
    }
    println!("\nServing on {address} until Ctrl-C; the log is {}", log_path(&data).display());
    serve(&mut running, &mut platform.database, interrupt)
}

fn serve(running: &mut RunningServer, database: &mut Database, interrupt: &Interrupt) -> Result<ExitCode> {
    while interrupt.sleep(Duration::from_millis(200)).is_ok() {
        running.check()?;
        if database.has_stopped() {
            bail!("the embedded database has stopped: see logs/postgres.log in the data directory");
        }
    }
    print_status("stopping; interrupt again to stop at once …");
    running.stop(interrupt)?;
    Ok(ExitCode::SUCCESS)
}

fn print_empty_platform_hint(address: &str, token_command: &str) {
    println!("The platform is empty. Create a tenant and a token for its first user:");
    println!("  {token_command} --tenant acme --user eva --role admin");
    println!("API documentation: {address}/docs");
}

fn log_path(data: &DataDir) -> PathBuf {
    data.join("logs").join("server.log")
}

fn pid_file(data: &DataDir) -> PathBuf {
    data.join("server.pid")
}
