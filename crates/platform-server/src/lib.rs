//! The server: composition root, configuration and command line of the platform.
//!
//! The library target exists for the end-to-end tests; the binary is `platform-server`.

mod approvals;
pub mod audit;
mod backup;
mod blobs;
mod channels;
mod check_config;
pub mod cli;
pub mod compose;
pub mod config;
mod console_files;
mod database_metrics;
pub mod databases;
pub mod dev;
pub mod doctor;
pub mod document_parser;
pub mod eval;
pub mod files;
mod goals;
pub mod http;
pub mod identity;
mod ingest_metrics;
mod ingest_settings;
pub mod instance_heartbeat;
mod key_metrics;
mod mcp;
mod mcp_metrics;
pub mod migrate;
pub mod models;
pub mod plant;
mod plant_metrics;
pub mod plant_mode_metrics;
mod ports;
pub mod queue_metrics;
pub mod readiness;
pub mod reindex;
mod remote_systems;
mod run_recovery;
pub mod serve;
pub mod shutdown;
pub mod sweep;
pub mod system;
mod teams;
pub mod telemetry;

use std::io::Write as _;

/// Prints a line of a command's result to standard output and flushes it.
///
/// # Errors
/// If standard output is closed.
pub fn print(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Installs the process-wide crypto provider of rustls; further calls have no effect.
pub fn install_crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
