//! The `platform-server` binary.

use clap::Parser as _;
use platform_server::cli::{self, Cli};
use platform_server::document_parser;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Must run before the Tokio runtime starts, because the sandbox would not apply to threads that already exist.
    document_parser::run_if_child().unwrap_or_else(run)
}

#[tokio::main]
async fn run() -> ExitCode {
    platform_server::install_crypto_provider();
    match cli::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
