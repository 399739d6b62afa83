//! `cargo xtask server -- …`: runs a `platform-server` command, such as `audit verify`, with a data directory's
//! settings.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::platform::{Platform, PlatformArgs};
use crate::proc::{self, Interrupt};

/// Arguments of `server`.
#[derive(Parser)]
pub struct Args {
    #[command(flatten)]
    platform: PlatformArgs,
    /// The command, as in: cargo xtask server -- audit verify
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the command and returns its exit code. It also works while `up` runs.
///
/// # Errors
/// If a dependency is missing or does not start, or the command cannot be run.
pub fn run(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let platform = Platform::attach_or_start(&args.platform, "server", interrupt)?;
    let arguments: Vec<_> = args.command.iter().map(String::as_str).collect();
    let status = proc::run(&mut platform.server.command(&arguments), interrupt)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
