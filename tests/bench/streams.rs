//! Many concurrent streams of 50 tokens per second each: time to first token, delay of each token, CPU time per token
//! and memory.

use crate::support::environment::{BenchEnvironment, ModelAnswerProfile};
use crate::support::fixtures::{FixtureWriter, TenantFixture, TenantShape};
use crate::support::model_server::token_times;
use crate::support::options::{Implementation, Options, RoundSeconds};
use crate::support::report::{ERRORS, Report, print_progress, quantile};
use anyhow::{Context as _, Result, bail};
use domain::ports::Clock as _;
use platform_server::system::SystemClock;
use serde_json::json;
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::Instant;

const STREAMS: &[usize] = &[64, 256, 512, 1024];
const QUICK_STREAMS: &[usize] = &[64];
/// Fewer than in the other benchmarks, because each round takes longer and has thousands of tokens.
const ROUNDS: usize = 3;
const USERS: usize = 20;
const PASSAGES: u64 = 1_000;
/// 50 tokens per second.
const INTERVAL: Duration = Duration::from_millis(20);
/// Number of streams that start per second. It is low, so that starting them adds little load.
const STARTS_PER_S: usize = 20;

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let mut report = Report::default();
    for streams in options.concurrency(if options.quick { QUICK_STREAMS } else { STREAMS }) {
        let ramp = Duration::from_secs(streams.div_ceil(STARTS_PER_S) as u64);
        let load = StreamLoad { streams, ramp, hold: options.round_duration(RoundSeconds { quick: 3.0, full: 4.0 }) };
        let tokens = (load.ramp + load.hold + Duration::from_secs(1)).as_secs_f64() / INTERVAL.as_secs_f64();
        let answers = ModelAnswerProfile { tokens: tokens as usize, interval: INTERVAL };
        let conversations_per_user = streams.div_ceil(USERS);
        let shape = TenantShape { slug: "plant".to_owned(), users: USERS, conversations_per_user, passages: PASSAGES };
        let env = BenchEnvironment::start(options, answers, &[shape]).await?;
        for round in 0..options.rounds.unwrap_or(if options.quick { 1 } else { ROUNDS }) {
            for implementation in options.implementations() {
                print_progress(&format!("{streams} streams, round {}, {}", round + 1, implementation.name()));
                measure(&env, implementation, load, &mut report).await?;
            }
        }
    }
    report.print()
}

/// The number of streams, the time within which they start, and how long all of them run at the same time.
#[derive(Clone, Copy)]
struct StreamLoad {
    streams: usize,
    ramp: Duration,
    hold: Duration,
}

/// The measurements of all streams.
#[derive(Default)]
struct StreamResults {
    first_token_ms: Vec<f64>,
    /// Delay of each token that arrived while all streams were running.
    token_delays_ms: Vec<f64>,
    errors: usize,
}

/// CPU time and memory of the server while all streams were running.
struct ServerCost {
    cpu_seconds: f64,
    resident_mb: f64,
}

async fn measure(
    env: &BenchEnvironment,
    implementation: Implementation,
    load: StreamLoad,
    report: &mut Report,
) -> Result<()> {
    let results = RefCell::new(StreamResults::default());
    let start = Instant::now();
    let readers = futures::future::join_all(
        (0..load.streams)
            .map(|number| read_stream(env, implementation, Reader { number, load, start, results: &results })),
    );
    let measure_cost = async {
        tokio::time::sleep_until(start + load.ramp).await;
        let cpu_before = env.server(implementation)?.process.cpu_seconds()?;
        tokio::time::sleep_until(start + load.ramp + load.hold).await;
        let process = &env.server(implementation)?.process;
        Ok::<_, anyhow::Error>(ServerCost {
            cpu_seconds: process.cpu_seconds()? - cpu_before,
            resident_mb: process.resident_mb()?,
        })
    };
    let (_, cost) = futures::join!(readers, measure_cost);
    let (cost, results, case) = (cost?, results.into_inner(), format!("{} streams", load.streams));
    report.add(&case, "first_token_p50_ms", implementation, quantile(&results.first_token_ms, 0.5));
    report.add(&case, "first_token_p95_ms", implementation, quantile(&results.first_token_ms, 0.95));
    report.add(&case, "token_delay_p99_ms", implementation, quantile(&results.token_delays_ms, 0.99));
    report.add(
        &case,
        "cpu_per_token_us",
        implementation,
        cost.cpu_seconds / results.token_delays_ms.len() as f64 * 1e6,
    );
    report.add(&case, "tokens_per_s", implementation, results.token_delays_ms.len() as f64 / load.hold.as_secs_f64());
    report.add(&case, "resident_mb", implementation, cost.resident_mb);
    report.add(&case, ERRORS, implementation, results.errors as f64);
    Ok(())
}

/// Which stream to read, and where to record its measurements.
struct Reader<'a> {
    number: usize,
    load: StreamLoad,
    start: Instant,
    results: &'a RefCell<StreamResults>,
}

/// Starts a stream at its time within the ramp and reads it to the end.
async fn read_stream(env: &BenchEnvironment, implementation: Implementation, reader: Reader<'_>) {
    let start_offset = reader.load.ramp.mul_f64(reader.number as f64 / reader.load.streams as f64);
    tokio::time::sleep_until(reader.start + start_offset).await;
    if let Err(error) = read_answer(env, implementation, &reader).await {
        let mut results = reader.results.borrow_mut();
        if results.errors == 0 {
            print_progress(&format!("first error: {error:#}"));
        }
        results.errors += 1;
    }
}

async fn read_answer(env: &BenchEnvironment, implementation: Implementation, reader: &Reader<'_>) -> Result<()> {
    let server = env.server(implementation)?;
    let tenant: &TenantFixture = server.tenants.first().context("no tenant")?;
    let user = &tenant.users[reader.number % USERS];
    let url = format!("{}/v1/conversations/{}/chat", server.process.url, user.conversations[reader.number / USERS]);
    let question = FixtureWriter::new(env.issuer()).question(tenant.passages, reader.number as u64);
    let body = json!({ "message": question, "retrieval": "always" });
    let request_start = Instant::now();
    let mut response = env.http.post(url).bearer_auth(&user.token).json(&body).send().await?;
    if !response.status().is_success() {
        bail!("{}: {}", response.status(), response.text().await?);
    }
    let window_start = reader.start + reader.load.ramp;
    let window = window_start..window_start + reader.load.hold;
    let (mut is_first, mut is_finished) = (true, false);
    while let Some(bytes) = response.chunk().await? {
        // A token whose event is split between two reads is not counted, which is rare.
        let text = String::from_utf8_lossy(&bytes);
        let (now, in_window) = (SystemClock.now().timestamp_micros(), window.contains(&Instant::now()));
        let mut results = reader.results.borrow_mut();
        for sent_at in token_times(&text) {
            if std::mem::take(&mut is_first) {
                results.first_token_ms.push(request_start.elapsed().as_secs_f64() * 1e3);
            }
            if in_window {
                results.token_delays_ms.push((now - sent_at) as f64 / 1e3);
            }
        }
        is_finished |= text.contains("event: run.finished");
    }
    if is_finished { Ok(()) } else { bail!("the stream ended early") }
}
