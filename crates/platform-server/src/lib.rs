//! The server: composition root, configuration and command line of the platform.
//!
//! The library target exists for the end-to-end tests; the binary is `platform-server`.

pub mod audit;
mod backup;
mod check_config;
pub mod cli;
pub mod compose;
pub mod config;
mod console_files;
pub mod databases;
pub mod dev;
pub mod doctor;
pub mod document_parser;
pub mod eval;
pub mod files;
pub mod http;
pub mod identity;
mod ingest_settings;
pub mod instance_heartbeat;
pub mod migrate;
pub mod models;
mod ports;
pub mod queue_metrics;
pub mod readiness;
pub mod reindex;
mod run_recovery;
pub mod serve;
pub mod shutdown;
pub mod sweep;
pub mod system;
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
