//! `cargo xtask seed`: creates a tenant with sample users and documents.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use crate::platform::{Platform, PlatformArgs};
use crate::proc::{self, Interrupt};
use crate::project;
use crate::server::Server;

/// Arguments of `seed`.
#[derive(Parser)]
pub struct Args {
    /// Slug of the tenant [default: that of the sample plant].
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    #[command(flatten)]
    platform: PlatformArgs,
}

/// Creates the tenant if it does not exist yet, and queues its documents for ingestion.
///
/// # Errors
/// If the database cannot be reached or the tenant cannot be created.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let platform = Platform::attach_or_start(&args.platform, "seed", interrupt)?;
    proc::run_checked(&mut command(&platform.server, args.tenant.as_deref())?, interrupt, "seeding the tenant")?;
    Ok(ExitCode::SUCCESS)
}

/// The server's command that seeds the sample plant.
///
/// # Errors
/// If the sample plant cannot be located, or its path is not valid UTF-8.
pub fn command(server: &Server, tenant: Option<&str>) -> Result<Command> {
    let plant = plant_dir()?;
    let mut arguments =
        vec!["dev", "seed", "--plant", plant.to_str().context("the checkout's path is not valid UTF-8")?];
    if let Some(slug) = tenant {
        arguments.extend(["--tenant", slug]);
    }
    Ok(server.command(&arguments))
}

/// The directory of the sample plant.
///
/// # Errors
/// If xtask is not inside a checkout.
pub fn plant_dir() -> Result<PathBuf> {
    Ok(project::root()?.join("xtask").join("demo"))
}
