//! Ingestion, from the upload of a document until it is ready: pages per second and CPU time per page, by format.
//! Embedding runs in the model server and is not counted. The floor is poppler's pdftotext on the same PDF; the other
//! formats have none.

use crate::chat::{self, Load};
use crate::support::documents::{Format, Sample};
use crate::support::load::unary;
use crate::support::options::{Options, Side};
use crate::support::process::Times;
use crate::support::report::{Report, progress, quantile};
use crate::support::site::{Answers, Cpu, Site};
use crate::support::world::TenantShape;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FORMATS: &[Format] = &[Format::Pdf, Format::Docx, Format::Markdown, Format::Text];
const PAGES: usize = 500;
/// Number of documents of each format.
const ROUNDS: usize = 3;
const QUICK_PAGES: usize = 100;
/// Passages that the chats search.
const PASSAGES: u64 = 1_000;
/// Number of concurrent chats while a document is ingested.
const CHATS: usize = 4;
/// Number of the first document that is ingested while chats run; it must not repeat an earlier one.
const MEANWHILE: usize = 100;
/// Interval between two polls of the document's status.
const INTERVAL: Duration = Duration::from_millis(50);
/// Time after which a document that is not ready fails the benchmark.
const LIMIT: Duration = Duration::from_secs(600);
const BOUNDARY: &str = "boundary-of-the-benchmark";

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let shape =
        TenantShape { slug: "plant".to_owned(), users: chat::USERS, conversations_per_user: 1, passages: PASSAGES };
    let site = Site::start(options, Answers { tokens: chat::TOKENS, interval: Duration::ZERO }, &[shape]).await?;
    let pages = if options.quick { QUICK_PAGES } else { PAGES };
    let mut report = Report::default();
    for format in FORMATS {
        let case = format!("{}, {pages} pages", format.name());
        for round in 0..options.rounds.unwrap_or(if options.quick { 1 } else { ROUNDS }) {
            let sample = Sample::write(*format, pages, round)?;
            for side in options.sides() {
                progress(&format!("{case}, round {}, {}", round + 1, side.name()));
                let cost = match side {
                    Side::Platform => Some(ingest(&site, &sample).await?),
                    Side::Floor if *format == Format::Pdf => Some(pdftotext(options, &sample)?),
                    Side::Floor => None,
                };
                if let Some(cost) = cost {
                    cost.report(&case, side, pages, &mut report);
                }
            }
        }
    }
    if options.only != Some(Side::Floor) {
        chat_meanwhile(&site, options, pages, &mut report).await?;
    }
    report.print()
}

/// Measures the time to first token of chats without other load, and while a PDF is ingested.
async fn chat_meanwhile(site: &Site, options: &Options, pages: usize, report: &mut Report) -> Result<()> {
    let time = options.round_time(1.0, 3.0);
    for round in 0..options.rounds.unwrap_or(if options.quick { 1 } else { ROUNDS }) {
        progress(&format!("chats while a PDF is ingested, round {}", round + 1));
        let load = Load { clients: CHATS, time, seed: 1 + round as u64 };
        let alone = chat::load(site, Side::Platform, load).await?;
        let sample = Sample::write(Format::Pdf, pages, MEANWHILE + round)?;
        let (meanwhile, _) = futures::try_join!(chat::load(site, Side::Platform, load), ingest(site, &sample))?;
        for (name, observed) in [("alone", alone), ("while a PDF is ingested", meanwhile)] {
            let case = format!("{CHATS} chats {name}");
            report.add(&case, "first_token_p50_ms", Side::Platform, quantile(&observed.first_ms, 0.5));
            report.add(&case, "first_token_p95_ms", Side::Platform, quantile(&observed.first_ms, 0.95));
        }
    }
    Ok(())
}

/// The time and CPU that one document took.
struct Cost {
    seconds: f64,
    cpu: Cpu,
}

impl Cost {
    fn report(&self, case: &str, side: Side, pages: usize, report: &mut Report) {
        let per_page = |seconds: f64| seconds / pages as f64 * 1e3;
        report.add(case, "pages_per_s", side, pages as f64 / self.seconds);
        report.add(case, "application_cpu_ms_per_page", side, per_page(self.cpu.application));
        report.add(case, "with_postgres_cpu_ms_per_page", side, per_page(self.cpu.application + self.cpu.postgres));
    }
}

/// Uploads a document and waits until it is ready.
async fn ingest(site: &Site, sample: &Sample) -> Result<Cost> {
    let measured = site.measured(Side::Platform)?;
    let user = measured.tenants.first().and_then(|tenant| tenant.users.first()).context("no user")?;
    let (before, began) = (site.cpu(Side::Platform).await?, Instant::now());
    let request = site.http.post(format!("{}/v1/documents/upload", measured.part.url)).bearer_auth(&user.token);
    let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    let uploaded = unary(request.body(form(sample))).await?.json()?;
    let id = uploaded["document_id"].as_str().context("no document_id")?;
    let url = format!("{}/v1/documents/{id}", measured.part.url);
    while began.elapsed() < LIMIT {
        let document: Value = unary(site.http.get(&url).bearer_auth(&user.token)).await?.json()?;
        match document["status"].as_str() {
            Some("ready") => {
                let seconds = began.elapsed().as_secs_f64();
                let after = site.cpu(Side::Platform).await?;
                let cpu = Cpu {
                    application: after.application - before.application,
                    postgres: after.postgres - before.postgres,
                };
                return Ok(Cost { seconds, cpu });
            }
            Some("failed") => bail!("{document}"),
            _ => tokio::time::sleep(INTERVAL).await,
        }
    }
    bail!("{} is not ready after {} s", sample.name, LIMIT.as_secs())
}

fn form(sample: &Sample) -> Vec<u8> {
    let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{}\"", sample.name);
    let mut body =
        format!("--{BOUNDARY}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n").into_bytes();
    body.extend_from_slice(&sample.bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Measures pdftotext on the same document.
fn pdftotext(options: &Options, sample: &Sample) -> Result<Cost> {
    let path: PathBuf = options.work.join(&sample.name);
    std::fs::write(&path, &sample.bytes)?;
    let own = std::process::id();
    let (before, began) = (Times::of(own)?.ended_children, Instant::now());
    let status = Command::new("pdftotext").arg(&path).arg("-").stdout(Stdio::null()).status();
    let seconds = began.elapsed().as_secs_f64();
    let status = status.context("pdftotext cannot be started: install poppler-utils")?;
    ensure!(status.success(), "pdftotext failed ({status})");
    let application = Times::of(own)?.ended_children - before;
    Ok(Cost { seconds, cpu: Cpu { application, postgres: 0.0 } })
}
