//! `cargo xtask server -- …`: a command of `platform-server` with the settings of a data directory, as `audit verify`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::platform::{Platform, Which};
use crate::proc::{self, Interrupt};

/// Arguments of `server`.
#[derive(Parser)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// The command, as in: cargo xtask server -- audit verify
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the command and passes on its exit code; it works while `up` runs.
///
/// # Errors
/// If the platform cannot be reached.
pub fn run(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let platform = Platform::borrow(&args.which, "server", interrupt)?;
    let words: Vec<_> = args.command.iter().map(String::as_str).collect();
    let status = proc::run(&mut platform.server.command(&words), interrupt)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
