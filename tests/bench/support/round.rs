//! One measurement: runs a load on one implementation and reports its latency and CPU time.

use super::environment::BenchEnvironment;
use super::load::LoadResult;
use super::options::Implementation;
use super::report::{ERRORS, Report, quantile};
use anyhow::Result;
use std::future::Future;

/// The report, and the case and implementation that the values of a measurement belong to.
pub struct ReportTarget<'a> {
    pub report: &'a mut Report,
    pub case: &'a str,
    pub implementation: Implementation,
}

/// Names of the latency metrics.
#[derive(Clone, Copy)]
pub struct LatencyMetrics {
    pub p50: &'static str,
    pub p95: &'static str,
}

/// Latency of responses that are not streamed.
pub const RESPONSE_LATENCY: LatencyMetrics = LatencyMetrics { p50: "latency_p50_ms", p95: "latency_p95_ms" };
/// Time to first token of streamed answers.
pub const FIRST_TOKEN_LATENCY: LatencyMetrics = LatencyMetrics { p50: "first_token_p50_ms", p95: "first_token_p95_ms" };

/// Runs the load and reports CPU time per request, latency, requests per second, memory and errors.
pub async fn measure(
    env: &BenchEnvironment,
    target: ReportTarget<'_>,
    latency: LatencyMetrics,
    load: impl Future<Output = Result<LoadResult>>,
) -> Result<()> {
    let ReportTarget { report, case, implementation } = target;
    let cpu_before = env.cpu(implementation).await?;
    let load_result = load.await?;
    let cpu_after = env.cpu(implementation).await?;
    let per_request = |seconds: f64| seconds / load_result.answered_requests() * 1e3;
    let application = per_request(cpu_after.application - cpu_before.application);
    let postgres = per_request(cpu_after.postgres - cpu_before.postgres);
    report.add(case, "application_cpu_ms", implementation, application);
    report.add(case, "with_postgres_cpu_ms", implementation, application + postgres);
    report.add(case, latency.p50, implementation, quantile(&load_result.latencies_ms, 0.5));
    report.add(case, latency.p95, implementation, quantile(&load_result.latencies_ms, 0.95));
    report.add(case, "requests_per_s", implementation, load_result.answered_requests() / load_result.elapsed_seconds);
    report.add(case, "resident_mb", implementation, env.server(implementation)?.process.resident_mb()?);
    report.add(case, ERRORS, implementation, load_result.errors as f64);
    Ok(())
}
