//! `platform`: the platform on the command line, for people and scripts.
//!
//! It knows the server by its HTTP API alone, as every other client does. Data go to standard output, messages to
//! standard error, and the exit code says what went wrong (`error.rs`).

mod api;
mod args;
mod commands;
mod error;
mod login;
mod settings;
mod terminal;

use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match commands::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::report(&error);
            error.exit_code()
        }
    }
}
