//! `cargo xtask migrate`: migrates the embedded database, or the user's own.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::platform::{Platform, PlatformArgs};
use crate::proc::Interrupt;

/// Arguments of `migrate`.
#[derive(Parser)]
pub struct Args {
    #[command(flatten)]
    platform: PlatformArgs,
}

/// Applies the migrations.
///
/// # Errors
/// If the database cannot be reached or a migration fails.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let platform = Platform::attach_or_start(&args.platform, "migrate", interrupt)?;
    platform.migrate(interrupt)?;
    Ok(ExitCode::SUCCESS)
}
