//! `cargo xtask bench`: runs benchmarks and writes their results to `target/bench/`. A benchmark is an example program
//! of the workspace, an evaluation of a large generated set, or both.

mod sets;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::{Value, json};

use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::{eval, files, model, project, seed, test};

/// A benchmark: its name, a description of what it measures, and the steps to run.
struct Bench {
    name: &'static str,
    measures: &'static str,
    steps: &'static [Step],
}

/// One step of a benchmark. Arguments may contain placeholders for directories: `{model}` for the embedded model,
/// `{plant}` for the sample plant, `{work}` for the benchmark's working directory.
enum Step {
    /// Arguments of a cargo command. It gets the same database and model variables as `cargo xtask test` sets.
    Cargo(&'static [&'static str]),
    /// Evaluates, with the release build of the server, the set that this function writes to the working directory.
    Evaluate(fn(&Path) -> Result<()>),
}

/// All benchmarks; add an entry here for a new one.
const BENCHES: &[Bench] = &[
    Bench {
        name: "embed",
        measures: "chunks of 256 tokens per second, and a query's latency idle and under that load",
        steps: &[Step::Cargo(&[
            "run",
            "--release",
            "--package",
            "model-client",
            "--example",
            "embed_throughput",
            "--",
            "{model}",
        ])],
    },
    Bench {
        name: "audit",
        measures: "appends to the audit log with and without its chain, sealing, and verifying a million events",
        steps: &[Step::Cargo(&[
            "run",
            "--release",
            "--package",
            "data",
            "--features",
            "testing",
            "--example",
            "audit_throughput",
        ])],
    },
    Bench {
        name: "ingest",
        measures: "pages per second of the PDF reader beside poppler's pdftotext, and of the ingestion of 2,000 pages",
        steps: &[
            Step::Cargo(&[
                "run",
                "--release",
                "--package",
                "tools",
                "--example",
                "read_throughput",
                "--",
                "{plant}/documents/MAN-P101-feedwater-pump-manual.pdf",
                "2000",
                "{work}/volume.pdf",
            ]),
            Step::Evaluate(sets::volume),
        ],
    },
    Bench {
        name: "pass_through",
        measures: "CPU of the OpenAI-compatible surface per request and per streamed token beside a bare proxy's",
        steps: &[Step::Cargo(&["run", "--release", "--package", "tests", "--example", "pass_through"])],
    },
    Bench {
        name: "search",
        measures: "latency of searches through the gate among 15,000 passages, and what the vector index loses",
        steps: &[Step::Evaluate(sets::logbooks)],
    },
];

/// Arguments of `bench`.
#[derive(Parser)]
pub struct Args {
    /// The benchmark to run [default: all of them].
    name: Option<String>,
}

/// Runs the named benchmark, or all of them.
///
/// # Errors
/// If there is no benchmark of that name, or one fails.
pub fn run(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let chosen = choose(BENCHES, args.name.as_deref())?;
    let results = project::target_dir()?.join("bench");
    for bench in chosen {
        print_status(&format!("{}: {}", bench.name, bench.measures));
        let work = results.join(bench.name);
        files::create_dir(&work, 0o755)?;
        let (started, mut lines) = (Instant::now(), Vec::new());
        for step in bench.steps {
            match step {
                Step::Cargo(words) => lines.extend(run_cargo(words, &work, interrupt)?),
                Step::Evaluate(write_set) => lines.push(evaluate(*write_set, &work, interrupt)?),
            }
        }
        let out = results.join(format!("{}.json", bench.name));
        let result = result(bench, started.elapsed().as_secs_f64(), &lines);
        fs::write(&out, format!("{result:#}\n")).with_context(|| format!("cannot write {}", out.display()))?;
        println!("{}", out.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a cargo command with the placeholders replaced; returns the lines that it prints.
fn run_cargo(words: &[&str], work: &Path, interrupt: &Interrupt) -> Result<Vec<String>> {
    let placeholders =
        [("{model}", model::provision(interrupt)?), ("{plant}", seed::plant()?), ("{work}", work.to_path_buf())];
    let mut cargo = project::cargo()?;
    for word in words {
        let mut word = (*word).to_owned();
        for (name, path) in &placeholders {
            word = word.replace(name, path.to_str().context("a path is not valid UTF-8")?);
        }
        cargo.arg(word);
    }
    let _database = test::provide(&mut cargo, interrupt)?;
    let mut lines = Vec::new();
    let status = proc::run_lines(&mut cargo, interrupt, |line| {
        println!("{line}");
        lines.push(line.to_owned());
    })?;
    if !status.success() {
        bail!("the benchmark failed ({status})");
    }
    Ok(lines)
}

/// Evaluates a set; returns its metrics, latencies and memory use as one line of JSON.
fn evaluate(write_set: fn(&Path) -> Result<()>, work: &Path, interrupt: &Interrupt) -> Result<String> {
    write_set(work)?;
    let out = work.join("evaluation.json");
    let status = eval::run(eval::Args::for_bench(work.join(sets::FILE), out.clone()), interrupt)?;
    if status != ExitCode::SUCCESS {
        bail!("the evaluation failed");
    }
    let mut result: Value = serde_json::from_str(&fs::read_to_string(&out)?).context("cannot parse the result")?;
    let kept = ["figures", "ingested", "search", "peak_memory_bytes", "failed"];
    let kept: serde_json::Map<_, _> = kept.iter().map(|key| ((*key).to_owned(), result[*key].take())).collect();
    Ok(Value::Object(kept).to_string())
}

/// The stored result of a run: lines that are JSON objects go into `figures`, all others into `output`.
fn result(bench: &Bench, seconds: f64, lines: &[String]) -> Value {
    let parse = |line: &String| serde_json::from_str::<Value>(line).ok().filter(Value::is_object);
    let figures: Vec<_> = lines.iter().filter_map(parse).collect();
    let output: Vec<_> = lines.iter().filter(|line| parse(line).is_none()).collect();
    json!({
        "bench": bench.name, "measures": bench.measures, "wall_seconds_with_build": seconds,
        "figures": figures, "output": output,
    })
}

fn choose<'a>(benches: &'a [Bench], name: Option<&str>) -> Result<Vec<&'a Bench>> {
    let chosen: Vec<_> = benches.iter().filter(|bench| name.is_none_or(|name| bench.name == name)).collect();
    if chosen.is_empty() {
        let known: Vec<_> = benches.iter().map(|bench| bench.name).collect();
        let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
        bail!("there is no benchmark {} (known: {known})", name.unwrap_or("at all"));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_are_figures_and_other_lines_are_output() {
        let lines = ["load: 90 ms".to_owned(), r#"{"chunks_per_second": 31.5}"#.to_owned(), "7".to_owned()];
        let result = result(&BENCHES[0], 2.5, &lines);
        assert_eq!(result["figures"], json!([{ "chunks_per_second": 31.5 }]));
        assert_eq!(result["output"], json!(["load: 90 ms", "7"]));
    }

    #[test]
    fn the_error_for_an_unknown_benchmark_lists_the_known_ones() {
        let benches = [Bench { name: "search", measures: "hybrid search", steps: &[] }];
        assert_eq!(choose(&benches, None).unwrap().len(), 1);
        assert_eq!(choose(&benches, Some("search")).unwrap().len(), 1);
        let error = choose(&benches, Some("saerch")).err().unwrap().to_string();
        assert_eq!(error, "there is no benchmark saerch (known: search)");
    }
}
