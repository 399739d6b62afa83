//! Benchmarks an in-process embedding model: how many chunks of 256 tokens and how many short texts it embeds per
//! second, and the latency of a query when idle and under that load.
//!
//! ```text
//! time cargo run --release -p model-client --example embed_throughput -- \
//!     all-minilm-l6-v2|use-multilingual-v3 <model directory> [threads] [chunks]
//! ```
//! `time` reports the CPU seconds, which measure the cost even if the machine is busy with other work.

#![expect(clippy::print_stdout, reason = "a command line program")]

use domain::model::EmbedPurpose;
use model_client::config::EmbeddedModel;
use model_client::local::embed::{EmbedError, LocalEmbedder};
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("the argument <model> is missing")?;
    let model: EmbeddedModel = serde_json::from_value(name.into())?;
    let model_dir = arguments.next().map(PathBuf::from).ok_or("the argument <model directory> is missing")?;
    let threads = arguments.next().map_or(Ok(2), |threads| threads.parse())?;
    let chunks = arguments.next().map_or(Ok(200), |chunks| chunks.parse())?;

    let start = Instant::now();
    let embedder = LocalEmbedder::load(model, &model_dir, threads)?;
    println!("{}, load: {:.0} ms", embedder.name(), milliseconds(start.elapsed()));

    let chunk = "The operator closes the valve and notes the pressure. ".repeat(40);
    println!("tokens: {} of {} in a chunk", embedder.count_tokens(&chunk), embedder.max_tokens());
    embedder.embed(EmbedPurpose::Document, vec![chunk.clone(); threads]).await?;

    let start = Instant::now();
    embedder.embed(EmbedPurpose::Document, vec![chunk.clone(); chunks]).await?;
    println!("documents: {:.1} chunks/s on {threads} threads", chunks as f64 / start.elapsed().as_secs_f64());

    let texts = chunks * 10;
    let start = Instant::now();
    embedder.embed(EmbedPurpose::Document, vec!["The operator closes the valve.".to_owned(); texts]).await?;
    println!("short texts: {:.0} per second", texts as f64 / start.elapsed().as_secs_f64());

    let start = Instant::now();
    let counted = (0..chunks).map(|_| embedder.count_tokens(&chunk)).sum::<usize>();
    println!("tokenizer: {:.0} tokens/s on one thread", counted as f64 / start.elapsed().as_secs_f64());

    print_latencies("query, idle", &mut latencies(&embedder).await?);
    let mut load = std::pin::pin!(embedder.embed(EmbedPurpose::Document, vec![chunk; chunks]));
    tokio::select! {
        finished = &mut load => { finished?; println!("the load ended before the queries did; use more chunks"); }
        times = latencies(&embedder) => print_latencies("query, under load", &mut times?),
    }
    Ok(())
}

/// Measures the latency of fifty queries of about twenty tokens each, run one after another.
async fn latencies(embedder: &LocalEmbedder) -> Result<Vec<Duration>, EmbedError> {
    let query = "Which torque does the manual give for the bolts of the casing of the feed water pump?";
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        embedder.embed(EmbedPurpose::Query, vec![query.to_owned()]).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn print_latencies(label: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let percentile = |percent: usize| milliseconds(times[(times.len() - 1) * percent / 100]);
    println!("{label}: median {:.1} ms, p95 {:.1} ms", percentile(50), percentile(95));
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
