//! Ingestion, from the upload of a document until it is ready: pages per second and CPU time per page, by format.
//! Embedding runs in the model server and is not counted. The floor is poppler's pdftotext on the same PDF; the other
//! formats have no floor.

use crate::chat::{self, Load};
use crate::support::documents::{Format, SampleDocument};
use crate::support::environment::{BenchEnvironment, Cpu, ModelAnswerProfile};
use crate::support::fixtures::TenantShape;
use crate::support::load::timed_request;
use crate::support::options::{Implementation, Options, RoundSeconds};
use crate::support::process::ProcessStat;
use crate::support::report::{Report, print_progress, quantile};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

const FORMATS: &[Format] =
    &[Format::Pdf, Format::Docx, Format::Xlsx, Format::Csv, Format::Html, Format::Markdown, Format::Text];
const PAGES: usize = 500;
/// Number of documents of each format.
const ROUNDS: usize = 3;
const QUICK_PAGES: usize = 100;
/// Passages that the chats search.
const PASSAGES: u64 = 1_000;
/// Number of concurrent chats while a document is ingested.
const CHATS: usize = 4;
/// Number of the first document that is ingested while chats run. It differs from all earlier numbers, because an
/// identical document would not be ingested again.
const FIRST_CONCURRENT_DOCUMENT: usize = 100;
/// Interval between two polls of the document's status.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Time after which a document that is not ready fails the benchmark.
const READY_TIMEOUT: Duration = Duration::from_secs(600);
const BOUNDARY: &str = "benchmark-boundary";

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let shape =
        TenantShape { slug: "plant".to_owned(), users: chat::USERS, conversations_per_user: 1, passages: PASSAGES };
    let env = BenchEnvironment::start(
        options,
        ModelAnswerProfile { tokens: chat::TOKENS_PER_ANSWER, interval: Duration::ZERO },
        &[shape],
    )
    .await?;
    let pages = if options.quick { QUICK_PAGES } else { PAGES };
    let mut report = Report::default();
    for format in FORMATS {
        let case = format!("{}, {pages} pages", format.name());
        for round in 0..options.rounds.unwrap_or(if options.quick { 1 } else { ROUNDS }) {
            let sample = SampleDocument::generate(*format, pages, round)?;
            for implementation in options.implementations() {
                print_progress(&format!("{case}, round {}, {}", round + 1, implementation.name()));
                let cost = match implementation {
                    Implementation::Platform => Some(ingest_document(&env, &sample).await?),
                    Implementation::Floor if *format == Format::Pdf => Some(pdftotext(options, &sample)?),
                    Implementation::Floor => None,
                };
                if let Some(cost) = cost {
                    cost.report(&case, implementation, pages, &mut report);
                }
            }
        }
    }
    if options.only != Some(Implementation::Floor) {
        measure_chat_during_ingestion(&env, options, pages, &mut report).await?;
    }
    report.print()
}

/// Measures the time to first token of chats without other load, and while a PDF is ingested.
async fn measure_chat_during_ingestion(
    env: &BenchEnvironment,
    options: &Options,
    pages: usize,
    report: &mut Report,
) -> Result<()> {
    let duration = options.round_duration(RoundSeconds { quick: 1.0, full: 3.0 });
    for round in 0..options.rounds.unwrap_or(if options.quick { 1 } else { ROUNDS }) {
        print_progress(&format!("chats while a PDF is ingested, round {}", round + 1));
        let load = Load { clients: CHATS, duration, seed: 1 + round as u64 };
        let baseline = chat::run_load(env, Implementation::Platform, load).await?;
        let sample = SampleDocument::generate(Format::Pdf, pages, FIRST_CONCURRENT_DOCUMENT + round)?;
        let (during_ingestion, _) =
            futures::try_join!(chat::run_load(env, Implementation::Platform, load), ingest_document(env, &sample))?;
        for (name, load_result) in [("alone", baseline), ("while a PDF is ingested", during_ingestion)] {
            let case = format!("{CHATS} chats {name}");
            report.add(&case, "first_token_p50_ms", Implementation::Platform, quantile(&load_result.latencies_ms, 0.5));
            report.add(
                &case,
                "first_token_p95_ms",
                Implementation::Platform,
                quantile(&load_result.latencies_ms, 0.95),
            );
        }
    }
    Ok(())
}

/// The time and CPU that one document took.
struct IngestionCost {
    seconds: f64,
    cpu: Cpu,
}

impl IngestionCost {
    fn report(&self, case: &str, implementation: Implementation, pages: usize, report: &mut Report) {
        let per_page = |seconds: f64| seconds / pages as f64 * 1e3;
        report.add(case, "pages_per_s", implementation, pages as f64 / self.seconds);
        report.add(case, "application_cpu_ms_per_page", implementation, per_page(self.cpu.application));
        report.add(
            case,
            "with_postgres_cpu_ms_per_page",
            implementation,
            per_page(self.cpu.application + self.cpu.postgres),
        );
    }
}

/// Uploads a document and waits until it is ready.
async fn ingest_document(env: &BenchEnvironment, sample: &SampleDocument) -> Result<IngestionCost> {
    let server = env.server(Implementation::Platform)?;
    let user = server.tenants.first().and_then(|tenant| tenant.users.first()).context("no user")?;
    let (cpu_before, start) = (env.cpu(Implementation::Platform).await?, Instant::now());
    let request = env.http.post(format!("{}/v1/documents/upload", server.process.url)).bearer_auth(&user.token);
    let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    let upload_response = timed_request(request.body(multipart_body(sample))).await?.json()?;
    let id = upload_response["document_id"].as_str().context("no document_id")?;
    let url = format!("{}/v1/documents/{id}", server.process.url);
    while start.elapsed() < READY_TIMEOUT {
        let document: Value = timed_request(env.http.get(&url).bearer_auth(&user.token)).await?.json()?;
        match document["status"].as_str() {
            Some("ready") => {
                let seconds = start.elapsed().as_secs_f64();
                let cpu_after = env.cpu(Implementation::Platform).await?;
                let cpu = Cpu {
                    application: cpu_after.application - cpu_before.application,
                    postgres: cpu_after.postgres - cpu_before.postgres,
                };
                return Ok(IngestionCost { seconds, cpu });
            }
            Some("failed") => bail!("{document}"),
            _ => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
    bail!("{} is not ready after {} s", sample.name, READY_TIMEOUT.as_secs())
}

fn multipart_body(sample: &SampleDocument) -> Vec<u8> {
    let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{}\"", sample.name);
    let mut body =
        format!("--{BOUNDARY}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n").into_bytes();
    body.extend_from_slice(&sample.bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Measures pdftotext on the same document.
fn pdftotext(options: &Options, sample: &SampleDocument) -> Result<IngestionCost> {
    let path: PathBuf = options.work.join(&sample.name);
    std::fs::write(&path, &sample.bytes)?;
    let own_pid = std::process::id();
    let (cpu_before, start) = (ProcessStat::read(own_pid)?.ended_children_cpu_seconds, Instant::now());
    let status = Command::new("pdftotext").arg(&path).arg("-").stdout(Stdio::null()).status();
    let seconds = start.elapsed().as_secs_f64();
    let status = status.context("pdftotext cannot be started: install poppler-utils")?;
    ensure!(status.success(), "pdftotext failed ({status})");
    let application = ProcessStat::read(own_pid)?.ended_children_cpu_seconds - cpu_before;
    Ok(IngestionCost { seconds, cpu: Cpu { application, postgres: 0.0 } })
}
