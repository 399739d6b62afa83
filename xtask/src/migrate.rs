//! `cargo xtask migrate`: the migrations of the embedded database, or of the user's own.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::platform::{Platform, Which};
use crate::proc::Interrupt;

/// Arguments of `migrate`.
#[derive(Parser)]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

/// Applies the migrations.
///
/// # Errors
/// If the database cannot be reached or a migration fails.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let platform = Platform::borrow(&args.which, "migrate", interrupt)?;
    platform.migrate(interrupt)?;
    Ok(ExitCode::SUCCESS)
}
