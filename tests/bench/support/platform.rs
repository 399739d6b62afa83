//! Starts the platform, the floor and the model server as processes.

use super::issuer::{AUDIENCE, Issuer};
use super::process::{Part, free_port};
use super::vectors::{DIMENSION, MODEL};
use super::world::TenantWorld;
use anyhow::Result;
use data::testing::TestDb;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// High enough that no limit of the platform refuses a client of a benchmark.
const NO_LIMIT: &str = "4096";

/// The services that a measured server uses, besides its database.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Issuer of the users' tokens.
    pub issuer: &'a Issuer,
    /// URL of the model server.
    pub models: &'a str,
    /// Directory for the logs of the processes.
    pub dir: &'a Path,
}

/// A server process, and the time that it took to become ready.
pub struct Started {
    pub part: Part,
    pub ready_after: Duration,
}

/// Starts `platform-server`, with the API and a worker.
pub async fn start_platform(program: &Path, db: &TestDb, storage: &Path, around: Surroundings<'_>) -> Result<Started> {
    let port = free_port()?;
    let mut command = Command::new(program);
    command
        .arg("all")
        .env("DATABASE_URL", db.app_url())
        .env("DATABASE_WORKER_URL", db.worker_url())
        .env("DATABASE_AUDIT_URL", db.auditor_url())
        .env("SECRET_KEY", "a secret of the benchmark")
        .env("OIDC_ISSUER", &around.issuer.url)
        .env("OIDC_AUDIENCE", AUDIENCE)
        .env("LITELLM_BASE_URL", around.models)
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
        .env("PLATFORM__MODELS__EMBED", MODEL)
        .env("PLATFORM__MODELS__EMBED_SOURCE", "remote")
        .env("PLATFORM__MODELS__EMBED_DIMENSION", DIMENSION.to_string())
        .env("PLATFORM__STORAGE__DIR", storage.join("blobs"));
    started(command, port, &around.dir.join("platform.log")).await
}

/// Starts the floor.
pub async fn start_floor(db: &TestDb, tenants: &[TenantWorld], around: Surroundings<'_>) -> Result<Started> {
    let port = free_port()?;
    let ids: Vec<String> = tenants.iter().map(|tenant| format!("{}={}", tenant.slug, tenant.id)).collect();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["floor", "--port", &port.to_string()]);
    command.args(["--database", &db.app_url(), "--models", around.models, "--tenants", &ids.join(",")]);
    command.args(["--issuer", &around.issuer.url, "--audience", AUDIENCE]);
    command.args(["--modulus", &around.issuer.modulus, "--exponent", &around.issuer.exponent]);
    started(command, port, &around.dir.join("floor.log")).await
}

/// Starts the model server, whose answers have `tokens` tokens.
pub async fn start_models(tokens: usize, interval: Duration, dir: &Path) -> Result<Part> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["models", "--port", &port.to_string(), "--tokens", &tokens.to_string()]);
    command.args(["--interval-us", &interval.as_micros().to_string()]);
    Ok(started_on(command, port, &dir.join("models.log"), "/health").await?.part)
}

async fn started(command: Command, port: u16, log: &Path) -> Result<Started> {
    started_on(command, port, log, "/ready").await
}

/// Starts a program and waits until `path` responds with success.
pub async fn started_on(command: Command, port: u16, log: &Path, path: &str) -> Result<Started> {
    let began = std::time::Instant::now();
    let mut part = Part::start(command, port, log)?;
    let ready_after = part.wait_until_ready(path, began).await?;
    Ok(Started { part, ready_after })
}
