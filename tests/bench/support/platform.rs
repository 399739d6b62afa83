//! Starts the platform, the floor and the model server as processes.

use super::embedder::{DIMENSION, MODEL_NAME};
use super::fixtures::TenantFixture;
use super::issuer::{AUDIENCE, Issuer};
use super::process::{ServerProcess, free_port};
use anyhow::Result;
use data::testing::TestDb;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// High enough that no limit of the platform refuses a client of a benchmark.
const NO_LIMIT: &str = "4096";

/// The services that a measured server uses, besides its database.
#[derive(Clone, Copy)]
pub struct ServerDependencies<'a> {
    pub issuer: &'a Issuer,
    pub model_server_url: &'a str,
    /// Directory for the logs of the processes.
    pub log_dir: &'a Path,
}

/// A server process, and how long it took to become ready.
pub struct StartedServer {
    pub process: ServerProcess,
    pub time_to_ready: Duration,
}

/// Starts `platform-server`, with the API and a worker.
pub async fn start_platform(
    program: &Path,
    db: &TestDb,
    storage_dir: &Path,
    dependencies: ServerDependencies<'_>,
) -> Result<StartedServer> {
    let port = free_port()?;
    let mut command = Command::new(program);
    command
        .arg("all")
        .env("DATABASE_URL", db.app_url())
        .env("DATABASE_WORKER_URL", db.worker_url())
        .env("DATABASE_AUDIT_URL", db.auditor_url())
        .env("SECRET_KEY", "a secret of the benchmark")
        .env("OIDC_ISSUER", &dependencies.issuer.url)
        .env("OIDC_AUDIENCE", AUDIENCE)
        .env("LITELLM_BASE_URL", dependencies.model_server_url)
        .env("LOG_LEVEL", "warn")
        // Development mode trusts the issuer for every tenant.
        .env("PLATFORM__MODE", "development")
        .env("PLATFORM__RATE_LIMIT__ENABLED", "false")
        .env("PLATFORM__SERVER__PORT", port.to_string())
        .env("PLATFORM__SERVER__METRICS_PORT", "0")
        .env("PLATFORM__SERVER__MAX_IN_FLIGHT", NO_LIMIT)
        .env("PLATFORM__CHAT__CONCURRENT_RUNS", NO_LIMIT)
        .env("PLATFORM__CHAT__CONCURRENT_RUNS_PER_TENANT", NO_LIMIT)
        .env("PLATFORM__MODELS__DIALECT", "openai")
        .env("PLATFORM__MODELS__LOCATION", "on-premises")
        .env("PLATFORM__MODELS__CONCURRENCY", NO_LIMIT)
        .env("PLATFORM__MODELS__QUEUE__PER_TENANT", NO_LIMIT)
        .env("PLATFORM__MODELS__EMBED", MODEL_NAME)
        .env("PLATFORM__MODELS__EMBED_SOURCE", "remote")
        .env("PLATFORM__MODELS__EMBED_DIMENSION", DIMENSION.to_string())
        .env("PLATFORM__STORAGE__DIR", storage_dir.join("blobs"));
    start_server(command, port, &dependencies.log_dir.join("platform.log")).await
}

/// Starts the floor.
pub async fn start_floor(
    db: &TestDb,
    tenants: &[TenantFixture],
    dependencies: ServerDependencies<'_>,
) -> Result<StartedServer> {
    let port = free_port()?;
    let tenant_arguments: Vec<String> = tenants.iter().map(|tenant| format!("{}={}", tenant.slug, tenant.id)).collect();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["floor", "--port", &port.to_string()]);
    command.args([
        "--database",
        &db.app_url(),
        "--models",
        dependencies.model_server_url,
        "--tenants",
        &tenant_arguments.join(","),
    ]);
    command.args(["--issuer", &dependencies.issuer.url, "--audience", AUDIENCE]);
    command.args(["--modulus", &dependencies.issuer.modulus, "--exponent", &dependencies.issuer.exponent]);
    start_server(command, port, &dependencies.log_dir.join("floor.log")).await
}

/// Starts the model server, whose answers have `tokens` tokens.
pub async fn start_model_server(tokens: usize, interval: Duration, log_dir: &Path) -> Result<ServerProcess> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["models", "--port", &port.to_string(), "--tokens", &tokens.to_string()]);
    command.args(["--interval-us", &interval.as_micros().to_string()]);
    Ok(start_process(command, port, &log_dir.join("models.log"), "/health").await?.process)
}

async fn start_server(command: Command, port: u16, log: &Path) -> Result<StartedServer> {
    start_process(command, port, log, "/ready").await
}

/// Starts a program and waits until `path` responds with success.
pub async fn start_process(command: Command, port: u16, log: &Path, path: &str) -> Result<StartedServer> {
    let start = tokio::time::Instant::now();
    let mut process = ServerProcess::start(command, port, log)?;
    let time_to_ready = process.wait_until_ready(path, start).await?;
    Ok(StartedServer { process, time_to_ready })
}
