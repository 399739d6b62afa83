//! Many concurrent streams of 50 tokens per second each: time to first token, delay of each token, CPU time per token
//! and memory.

use crate::support::model_server::token_times;
use crate::support::options::{Options, Side};
use crate::support::report::{ERRORS, Report, progress, quantile};
use crate::support::site::{Answers, Site};
use crate::support::world::{TenantShape, TenantWorld, Writer};
use anyhow::{Context as _, Result, bail};
use domain::ports::Clock as _;
use platform_server::system::SystemClock;
use serde_json::json;
use std::cell::RefCell;
use std::time::{Duration, Instant};

const STREAMS: &[usize] = &[64, 256, 512, 1024];
const QUICK_STREAMS: &[usize] = &[64];
/// Fewer rounds than elsewhere: each takes long and has thousands of tokens.
const ROUNDS: usize = 3;
const USERS: usize = 20;
const PASSAGES: u64 = 1_000;
/// 50 tokens per second.
const INTERVAL: Duration = Duration::from_millis(20);
/// Number of streams that start per second, low enough that starting them is not a load of its own.
const STARTS_PER_S: usize = 20;

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let mut report = Report::default();
    for streams in options.concurrency(if options.quick { QUICK_STREAMS } else { STREAMS }) {
        let ramp = Duration::from_secs(streams.div_ceil(STARTS_PER_S) as u64);
        let held = Held { streams, ramp, hold: options.round_time(3.0, 4.0) };
        let tokens = (held.ramp + held.hold + Duration::from_secs(1)).as_secs_f64() / INTERVAL.as_secs_f64();
        let answers = Answers { tokens: tokens as usize, interval: INTERVAL };
        let conversations_per_user = streams.div_ceil(USERS);
        let shape = TenantShape { slug: "plant".to_owned(), users: USERS, conversations_per_user, passages: PASSAGES };
        let site = Site::start(options, answers, &[shape]).await?;
        for round in 0..options.rounds.unwrap_or(if options.quick { 1 } else { ROUNDS }) {
            for side in options.sides() {
                progress(&format!("{streams} streams, round {}, {}", round + 1, side.name()));
                measure(&site, side, held, &mut report).await?;
            }
        }
    }
    report.print()
}

/// The number of streams, the time within which they start, and how long all of them run at the same time.
#[derive(Clone, Copy)]
struct Held {
    streams: usize,
    ramp: Duration,
    hold: Duration,
}

/// The measurements of the readers of all streams.
#[derive(Default)]
struct Seen {
    first_ms: Vec<f64>,
    /// Delay of each token that arrived while all streams were running.
    delay_ms: Vec<f64>,
    errors: usize,
}

/// CPU time and memory of the server while all streams were running.
struct Cost {
    cpu: f64,
    resident_mb: f64,
}

async fn measure(site: &Site, side: Side, held: Held, report: &mut Report) -> Result<()> {
    let seen = RefCell::new(Seen::default());
    let began = Instant::now();
    let readers = futures::future::join_all(
        (0..held.streams).map(|number| read(site, side, Reader { number, held, began, seen: &seen })),
    );
    let cpu = async {
        tokio::time::sleep_until((began + held.ramp).into()).await;
        let before = site.measured(side)?.part.cpu()?;
        tokio::time::sleep_until((began + held.ramp + held.hold).into()).await;
        let measured = &site.measured(side)?.part;
        Ok::<_, anyhow::Error>(Cost { cpu: measured.cpu()? - before, resident_mb: measured.resident_mb()? })
    };
    let (_, cost) = futures::join!(readers, cpu);
    let (cost, seen, case) = (cost?, seen.into_inner(), format!("{} streams", held.streams));
    report.add(&case, "first_token_p50_ms", side, quantile(&seen.first_ms, 0.5));
    report.add(&case, "first_token_p95_ms", side, quantile(&seen.first_ms, 0.95));
    report.add(&case, "token_delay_p99_ms", side, quantile(&seen.delay_ms, 0.99));
    report.add(&case, "cpu_per_token_us", side, cost.cpu / seen.delay_ms.len() as f64 * 1e6);
    report.add(&case, "tokens_per_s", side, seen.delay_ms.len() as f64 / held.hold.as_secs_f64());
    report.add(&case, "resident_mb", side, cost.resident_mb);
    report.add(&case, ERRORS, side, seen.errors as f64);
    Ok(())
}

/// The reader of one stream.
struct Reader<'a> {
    number: usize,
    held: Held,
    began: Instant,
    seen: &'a RefCell<Seen>,
}

/// Starts a stream at its time within the ramp and reads it to the end.
async fn read(site: &Site, side: Side, reader: Reader<'_>) {
    let start = reader.held.ramp.mul_f64(reader.number as f64 / reader.held.streams as f64);
    tokio::time::sleep_until((reader.began + start).into()).await;
    if let Err(error) = answer(site, side, &reader).await {
        let mut seen = reader.seen.borrow_mut();
        if seen.errors == 0 {
            progress(&format!("the first error: {error:#}"));
        }
        seen.errors += 1;
    }
}

async fn answer(site: &Site, side: Side, reader: &Reader<'_>) -> Result<()> {
    let measured = site.measured(side)?;
    let tenant: &TenantWorld = measured.tenants.first().context("no tenant")?;
    let user = &tenant.users[reader.number % USERS];
    let url = format!("{}/v1/conversations/{}/chat", measured.part.url, user.conversations[reader.number / USERS]);
    let question = Writer::new(site.issuer()).question(tenant.passages, reader.number as u64);
    let body = json!({ "message": question, "retrieval": "always" });
    let asked = Instant::now();
    let mut answer = site.http.post(url).bearer_auth(&user.token).json(&body).send().await?;
    if !answer.status().is_success() {
        bail!("{}: {}", answer.status(), answer.text().await?);
    }
    let begin = reader.began + reader.held.ramp;
    let window = begin..begin + reader.held.hold;
    let (mut is_first, mut ended) = (true, false);
    while let Some(bytes) = answer.chunk().await? {
        // A token whose event is split between two reads is not counted, which is rare.
        let text = String::from_utf8_lossy(&bytes);
        let (now, is_held) = (SystemClock.now().timestamp_micros(), window.contains(&Instant::now()));
        let mut seen = reader.seen.borrow_mut();
        for sent in token_times(&text) {
            if std::mem::take(&mut is_first) {
                seen.first_ms.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            if is_held {
                seen.delay_ms.push((now - sent) as f64 / 1e3);
            }
        }
        ended |= text.contains("event: run.finished");
    }
    if ended { Ok(()) } else { bail!("the stream ended early") }
}
