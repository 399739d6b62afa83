//! Benchmarks of the program `bench` in `tests/bench`, which compare the platform with a baseline (`floor`) in one run.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Args;
use crate::proc::Interrupt;
use crate::server::{self, BuildProfile};

/// Builds the server and the benchmark; returns the command that runs it.
///
/// # Errors
/// If one of the two cannot be built.
pub fn command(name: &str, work_dir: &Path, args: &Args, interrupt: &Interrupt) -> Result<Command> {
    let build = if args.symbols { BuildProfile::Profiling } else { BuildProfile::Release };
    let server = server::build(build, interrupt)?;
    let selection = ["--package", "tests", "--example", "bench"];
    let mut command = Command::new(server::build_program(build, &selection, "bench", interrupt)?);
    command.arg(name).env("PLATFORM_BENCH_SERVER", server).env("PLATFORM_BENCH_WORK", work_dir).args(&args.options);
    if args.quick {
        command.arg("--quick");
    }
    Ok(command)
}
