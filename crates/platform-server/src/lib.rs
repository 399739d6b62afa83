//! The server: concrete types meet their traits here, and nowhere else.
//!
//! The library exists for the end-to-end tests; the program is `platform-server`.

pub mod audit;
mod check_config;
pub mod cli;
pub mod compose;
pub mod config;
pub mod databases;
pub mod dev;
pub mod doctor;
pub mod eval;
pub mod files;
pub mod http;
pub mod identity;
pub mod instance_heartbeat;
pub mod models;
pub mod parser;
mod ports;
pub mod queue_metrics;
pub mod readiness;
pub mod reindex;
pub mod serve;
mod service_settings;
pub mod shutdown;
pub mod sweep;
pub mod system;
pub mod telemetry;

use std::io::Write as _;

/// Prints a line to standard output: what a command was asked for.
///
/// # Errors
/// If standard output is closed.
pub fn print(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Installs the process-wide TLS provider; a second call changes nothing.
pub fn install_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
