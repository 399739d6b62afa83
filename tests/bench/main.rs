//! Benchmarks that compare the platform with a minimal implementation of the same requests (the floor):
//! `cargo xtask bench NAME`.
//!
//! The platform (the program `platform-server`), the floor and the model server run as separate processes, so that the
//! CPU time of each can be measured. Prints one JSON object.

mod audit;
mod auth;
mod chat;
mod cold;
mod floor;
mod gateway;
mod ingest;
mod scale;
mod search;
mod streams;
mod support;

use anyhow::Result;
use axum::Router;
use axum::serve::ListenerExt as _;
use clap::{Args, Parser, Subcommand};
use floor::FloorArgs;
use std::time::Duration;
use support::model_server::{self, AnswerProfile};
use support::options::Options;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Append to the audit log, seal and verify it.
    Audit(Options),
    /// Send the cheapest authenticated request.
    Auth(Options),
    /// Run chat turns that search the documents.
    Chat(Options),
    /// Measure cold start and idle memory.
    Cold(Options),
    /// Call models through the OpenAI-compatible API.
    Gateway(Options),
    /// Ingest documents, from upload until they are ready.
    Ingest(Options),
    /// Measure how latency grows with the data.
    Scale(Options),
    /// Search in tenants of different sizes.
    Search(Options),
    /// Read many concurrent streams.
    Streams(Options),
    /// Run the model server.
    Models(ModelArgs),
    /// Run the floor.
    Floor(FloorArgs),
}

#[derive(Args)]
struct ModelArgs {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    tokens: usize,
    #[arg(long)]
    interval_us: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    platform_server::install_crypto_provider();
    match Cli::parse().command {
        Command::Audit(options) => audit::run(&options).await,
        Command::Auth(options) => auth::run(&options).await,
        Command::Chat(options) => chat::run(&options).await,
        Command::Cold(options) => cold::run(&options).await,
        Command::Gateway(options) => gateway::run(&options).await,
        Command::Ingest(options) => ingest::run(&options).await,
        Command::Scale(options) => scale::run(&options).await,
        Command::Search(options) => search::run(&options).await,
        Command::Streams(options) => streams::run(&options).await,
        Command::Models(args) => {
            let profile = AnswerProfile { tokens: args.tokens, interval: Duration::from_micros(args.interval_us) };
            serve(args.port, model_server::app(profile)).await
        }
        Command::Floor(args) => serve(args.port, floor::app(&args).await?).await,
    }
}

async fn serve(port: u16, app: Router) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    // Sends each token immediately, as real model servers and the platform do.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    Ok(axum::serve(listener, app).await?)
}
