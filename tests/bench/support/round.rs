//! One measurement: runs a load on one side and reports its latency and CPU time.

use super::load::Observed;
use super::options::Side;
use super::report::{ERRORS, Report, quantile};
use super::site::Site;
use anyhow::Result;
use std::future::Future;

/// The report, and the case and side that the values of a measurement belong to.
pub struct Target<'a> {
    pub report: &'a mut Report,
    pub case: &'a str,
    pub side: Side,
}

/// Names of the latency metrics.
#[derive(Clone, Copy)]
pub struct Latency {
    pub p50: &'static str,
    pub p95: &'static str,
}

/// Latency of responses that are not streamed.
pub const WHOLE: Latency = Latency { p50: "latency_p50_ms", p95: "latency_p95_ms" };
/// Time to first token of streamed answers.
pub const FIRST_TOKEN: Latency = Latency { p50: "first_token_p50_ms", p95: "first_token_p95_ms" };

/// Runs the load and reports CPU time per request, latency, requests per second, memory and errors.
pub async fn measure(
    site: &Site,
    target: Target<'_>,
    latency: Latency,
    load: impl Future<Output = Result<Observed>>,
) -> Result<()> {
    let Target { report, case, side } = target;
    let before = site.cpu(side).await?;
    let observed = load.await?;
    let after = site.cpu(side).await?;
    let per_request = |seconds: f64| seconds / observed.answered() * 1e3;
    let application = per_request(after.application - before.application);
    let postgres = per_request(after.postgres - before.postgres);
    report.add(case, "application_cpu_ms", side, application);
    report.add(case, "with_postgres_cpu_ms", side, application + postgres);
    report.add(case, latency.p50, side, quantile(&observed.first_ms, 0.5));
    report.add(case, latency.p95, side, quantile(&observed.first_ms, 0.95));
    report.add(case, "requests_per_s", side, observed.answered() / observed.seconds);
    report.add(case, "resident_mb", side, site.measured(side)?.part.resident_mb()?);
    report.add(case, ERRORS, side, observed.errors as f64);
    Ok(())
}
