//! Developer commands: `cargo xtask up`, `test`, `check`, `migrate`, `seed`, `token`, `server`, `eval`, `schemathesis`,
//! `mcp-conformance`, `litellm`, `llama-cpp`, `open-webui`, `ui`, `ui-test`, `bench`, `stack`, `stack-test`,
//! `recovery-test`, `patroni-test`, `dist`.
//!
//! This program provisions what the platform needs (embedded database, embedding model, server binary) and supervises
//! it. Everything that needs the database or HTTP is a command of `platform-server`, so that xtask builds in seconds.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program prints to its standard streams")]

mod bench;
mod cache;
mod check;
mod chromium;
mod data_dir;
mod database;
mod debian;
mod demo;
mod dist;
mod eval;
mod files;
mod hadolint;
mod helm;
mod mcp_conformance;
mod migrate;
mod model;
mod mosquitto;
mod node;
mod oidc;
mod patroni;
mod pg;
mod pgbouncer;
mod platform;
mod proc;
mod progress;
mod project;
mod python_programs;
mod real_servers;
mod recovery;
mod redis;
mod run_as;
mod running;
mod schemathesis;
mod seed;
mod server;
mod server_command;
mod stack;
mod state;
mod test;
mod test_support;
mod token;
mod ui;
mod up;
mod venv;
mod wheel;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::proc::{Interrupt, Interrupted};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Developer commands of this project.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the whole platform, ask it one question, and serve until Ctrl-C.
    Up(up::Args),
    /// Start the deployment without containers: nginx, two API processes, a worker and the services they need.
    Stack(stack::Args),
    /// Run the test that kills the stack's processes, restarts them and restores a backup.
    StackTest(stack::TestArgs),
    /// Run the test that destroys a platform's database and restores it to a point in time.
    RecoveryTest,
    /// Run the test that kills the primary of two database servers under Patroni, twice.
    PatroniTest,
    /// Create a bundle that can be installed without internet access, and print its path.
    Dist(dist::Args),
    /// Run all tests, with a temporary database and the embedded model.
    Test(test::Args),
    /// Run the checks of the repository: format, clippy, layers, import cycles and others.
    Check(check::Args),
    /// Apply the migrations.
    Migrate(migrate::Args),
    /// Create a tenant with sample users and documents.
    Seed(seed::Args),
    /// Print a token of the development issuer, and nothing else.
    Token(token::Args),
    /// Run a command of the server with a data directory's settings, such as `-- audit verify`.
    Server(server_command::Args),
    /// Measure how well the platform finds and cites the answers to a set of questions.
    Eval(eval::Args),
    /// Fuzz a temporary platform's API with schemathesis, based on its OpenAPI document, as each role.
    Schemathesis(schemathesis::Args),
    /// Run the official conformance suite of the Model Context Protocol against a temporary platform.
    McpConformance,
    /// Install a LiteLLM proxy and run the tests that need it.
    Litellm,
    /// Build llama.cpp's server, which takes minutes, and run the tests that need it, with a small random-weight model.
    LlamaCpp,
    /// Install Open WebUI and ask the platform through it, in Chromium.
    OpenWebui,
    /// Build the browser console, which the server embeds.
    Ui,
    /// Test the browser console, in Chromium.
    UiTest,
    /// Run a benchmark, or all of them; results go to target/bench/NAME.json.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match Interrupt::install().and_then(|interrupt| run(cli.command, &interrupt)) {
        Ok(code) => code,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args, interrupt),
        Command::Stack(args) => stack::run(args, interrupt),
        Command::Dist(args) => dist::run(&args, interrupt),
        Command::StackTest(args) => stack::test(&args, interrupt),
        Command::RecoveryTest => recovery::test(interrupt),
        Command::PatroniTest => patroni::test(interrupt),
        Command::Test(args) => test::run(&args, interrupt),
        Command::Check(args) => check::run(&args, interrupt),
        Command::Migrate(args) => migrate::run(args, interrupt),
        Command::Seed(args) => seed::run(args, interrupt),
        Command::Token(args) => token::run(args, interrupt),
        Command::Server(args) => server_command::run(&args, interrupt),
        Command::Eval(args) => eval::run(args, interrupt),
        Command::Schemathesis(args) => schemathesis::run(&args, interrupt),
        Command::McpConformance => mcp_conformance::run(interrupt),
        Command::Litellm => real_servers::litellm(interrupt),
        Command::LlamaCpp => real_servers::llama_cpp(interrupt),
        Command::OpenWebui => real_servers::open_webui(interrupt),
        Command::Ui => ui::run(interrupt),
        Command::UiTest => ui::test(interrupt),
        Command::Bench(args) => bench::run(&args, interrupt),
    }
}
