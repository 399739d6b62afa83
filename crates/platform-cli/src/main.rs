//! `platform`: the platform's command-line client, for people and scripts.
//!
//! It uses only the server's HTTP API, like every other client. Data goes to standard output, messages go to standard
//! error, and the exit code says what went wrong (`error.rs`).

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
