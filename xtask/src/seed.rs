//! `cargo xtask seed`: a tenant with its sample users and documents.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use crate::platform::{Platform, Which};
use crate::proc::{self, Interrupt};
use crate::project;
use crate::server::Server;

/// Arguments of `seed`.
#[derive(Parser)]
pub struct Args {
    /// The tenant's short name [default: that of the sample plant].
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    #[command(flatten)]
    which: Which,
}

/// Creates the tenant where it is not there yet, and queues its documents for ingestion.
///
/// # Errors
/// If the database cannot be reached or the tenant cannot be created.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let platform = Platform::borrow(&args.which, "seed", interrupt)?;
    proc::run_ok(&mut command(&platform.server, args.tenant.as_deref())?, interrupt, "seeding the tenant")?;
    Ok(ExitCode::SUCCESS)
}

/// The server's command that seeds the sample plant.
///
/// # Errors
/// If the sample plant is not where it belongs in the checkout.
pub fn command(server: &Server, tenant: Option<&str>) -> Result<Command> {
    let plant = plant()?;
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
/// If this is no checkout.
pub fn plant() -> Result<PathBuf> {
    Ok(project::root()?.join("xtask").join("demo"))
}
