//! Cold start: the time until the server is ready, its memory when idle, and the size of the executable.

use crate::support::environment::{BenchEnvironment, ModelAnswerProfile};
use crate::support::fixtures::TenantShape;
use crate::support::options::{Implementation, Options};
use crate::support::report::{Report, print_progress};
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

/// Idle time between the start and the measurement of memory and CPU time.
const IDLE_TIME: Duration = Duration::from_secs(3);
const CASE: &str = "cold start";

/// Runs the benchmark. Each round uses a new database, which is created before the server starts.
pub async fn run(options: &Options) -> Result<()> {
    let shape = TenantShape { slug: "plant".to_owned(), users: 1, conversations_per_user: 1, passages: 50 };
    let mut report = Report::default();
    for round in 0..options.rounds() {
        print_progress(&format!("round {}", round + 1));
        let answers = ModelAnswerProfile { tokens: 1, interval: Duration::ZERO };
        let env = BenchEnvironment::start(options, answers, std::slice::from_ref(&shape)).await?;
        tokio::time::sleep(IDLE_TIME).await;
        for implementation in options.implementations() {
            let server = env.server(implementation)?;
            report.add(CASE, "ready_ms", implementation, server.time_to_ready.as_secs_f64() * 1e3);
            report.add(CASE, "resident_mb", implementation, server.process.resident_mb()?);
            report.add(CASE, "cpu_ms_until_rest", implementation, server.process.cpu_seconds()? * 1e3);
        }
    }
    report.add(CASE, "program_mb", Implementation::Platform, file_size_mb(&options.server)?);
    report.print()
}

fn file_size_mb(file: &Path) -> Result<f64> {
    Ok(std::fs::metadata(file)?.len() as f64 / f64::from(1 << 20))
}
