//! The command line: arguments, subcommands and their dispatch.

use crate::audit::{self, AuditCommand};
use crate::backup;
use crate::config::{Environment, ServiceType, Settings};
use crate::dev::DevCommand;
use crate::doctor::{self, DoctorCommand};
use crate::eval::EvalArgs;
use crate::{check_config, dev, document_parser, eval, http, migrate, reindex, serve, shutdown, telemetry};
use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use tokio_util::task::TaskTracker;

/// The plant-wide agent platform.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// The configuration file (TOML); also `PLATFORM_CONFIG`
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API.
    Serve,
    /// Run the jobs of the ingestion queue.
    Worker,
    /// Read the plant systems.
    Plant,
    /// Serve the API, run jobs and read the plant systems.
    All,
    /// Apply the migrations and set the roles' passwords from the database URLs.
    Migrate,
    /// Validate the configuration and stop.
    CheckConfig {
        /// Connect to each model backend, list its models, and test each configured model.
        #[arg(long)]
        probe: bool,
    },
    /// Exit with 0 if the running server is ready; for container health checks.
    Healthcheck,
    /// Write database, files, checkpoints and keys to one file. DATABASE_MIGRATION_URL must name a superuser.
    Backup {
        /// File to write, which must not exist. Encrypted if BACKUP_KEY is set.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Restore a backup into an empty database and storage, and verify it.
    Restore {
        /// File that `backup` wrote.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// File to which the backup's keys are written, as JSON.
        #[arg(long, value_name = "FILE")]
        keys_to: Option<PathBuf>,
    },
    /// Verify, export or retire the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Find misconfigurations and explain how to fix them.
    #[command(subcommand)]
    Doctor(DoctorCommand),
    /// Measure how well the platform finds and cites the answers to a set of questions.
    Eval(EvalArgs),
    /// Embed all documents again with `models.next_embed`, then switch search to it.
    Reindex,
    /// Commands for development: seed a demo, print a token, ask a question.
    #[command(subcommand)]
    Dev(DevCommand),
}

/// Loads the settings and runs the command.
///
/// # Errors
/// If the command fails; the error is printed by the caller.
pub async fn run(cli: Cli) -> Result<()> {
    let environment = Environment::from_process();
    if let Some(Command::Dev(DevCommand::Generate { check })) = cli.command {
        return dev::generate::run(check);
    }
    let mut settings = Settings::load(cli.config.as_deref(), &environment)?;
    settings.parser = Some(document_parser::parser_program()?);
    settings.launcher = Some(document_parser::launcher()?);
    let service = settings.service_type.unwrap_or(ServiceType::All);
    match cli.command {
        None => serve_until_signal(settings, service).await,
        Some(Command::Serve) => serve_until_signal(settings, ServiceType::Api).await,
        Some(Command::Worker) => serve_until_signal(settings, ServiceType::Worker).await,
        Some(Command::Plant) => serve_until_signal(settings, ServiceType::Plant).await,
        Some(Command::All) => serve_until_signal(settings, ServiceType::All).await,
        Some(Command::Migrate) => migrate::run(&settings).await,
        Some(Command::CheckConfig { probe }) => check_config::run(&settings, probe).await,
        Some(Command::Healthcheck) => http::expect_ready(&settings).await,
        Some(Command::Backup { to }) => backup::backup(&settings, &to).await,
        Some(Command::Restore { from, keys_to }) => backup::restore(&settings, &from, keys_to.as_deref()).await,
        Some(Command::Reindex) => reindex::run(settings).await,
        Some(Command::Audit(command)) => audit::run(command, &settings).await,
        Some(Command::Doctor(command)) => doctor::run(command, &settings).await,
        Some(Command::Eval(args)) => eval::run(args, settings).await,
        Some(Command::Dev(command)) => dev::run(command, settings).await,
    }
}

async fn serve_until_signal(settings: Settings, service: ServiceType) -> Result<()> {
    let telemetry = telemetry::start(&settings.telemetry)?;
    let signals = TaskTracker::new();
    let stop = shutdown::on_signal(&signals)?;
    let result = serve::run(settings, service, stop).await;
    if let Err(error) = &result {
        tracing::error!(error = format!("{error:#}"), "the server cannot run");
    }
    telemetry.stop().await;
    result
}
