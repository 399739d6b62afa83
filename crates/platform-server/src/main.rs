//! The server binary.

use clap::Parser as _;
use platform_server::cli::{self, Cli};
use platform_server::parser;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before there is a runtime: a thread that runs already would not be confined.
    parser::run_child().unwrap_or_else(run)
}

#[tokio::main]
async fn run() -> ExitCode {
    platform_server::install_tls();
    match cli::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
