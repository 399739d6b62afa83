//! `cargo xtask bench`: the benchmarks, each a program of the workspace, with their results under `target/bench/`.

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::{Value, json};

use crate::proc::{self, Interrupt};
use crate::progress::say;
use crate::{files, model, project, test};

/// A benchmark: its name, what it measures, and the cargo command that runs it, in which `{model}` stands for the
/// directory of the embedded model. Database and model are also in the variables of `cargo xtask test`.
struct Bench {
    name: &'static str,
    measures: &'static str,
    cargo: &'static [&'static str],
}

/// Add a line here for a new benchmark.
const BENCHES: &[Bench] = &[Bench {
    name: "embed",
    measures: "chunks of 256 tokens per second, and a query's latency idle and under that load",
    cargo: &["run", "--release", "--package", "model-client", "--example", "embed_throughput", "--", "{model}"],
}];

/// Arguments of `bench`.
#[derive(Parser)]
pub struct Args {
    /// The benchmark to run [default: all of them].
    name: Option<String>,
}

/// Runs one benchmark, or all.
///
/// # Errors
/// When there is none of that name, or one fails.
pub fn run(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let chosen = choose(BENCHES, args.name.as_deref())?;
    let results = project::target_dir()?.join("bench");
    files::create_dir(&results, 0o755)?;
    let model = model::provision(interrupt)?;
    let model = model.to_str().context("the cache's path is not valid UTF-8")?;
    for bench in chosen {
        say(&format!("{}: {}", bench.name, bench.measures));
        let mut cargo = project::cargo()?;
        cargo.args(bench.cargo.iter().map(|word| word.replace("{model}", model)));
        let _database = test::provide(&mut cargo, interrupt)?;
        let (begun, mut lines) = (Instant::now(), Vec::new());
        let status = proc::run_lines(&mut cargo, interrupt, |line| {
            println!("{line}");
            lines.push(line.to_owned());
        })?;
        if !status.success() {
            bail!("the benchmark {} failed ({status})", bench.name);
        }
        let out = results.join(format!("{}.json", bench.name));
        let result = result(bench, begun.elapsed().as_secs_f64(), &lines);
        fs::write(&out, format!("{result:#}\n")).with_context(|| format!("cannot write {}", out.display()))?;
        println!("{}", out.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What is kept of a run: lines that are JSON objects are its figures, the others its words.
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
    fn figures_are_told_from_words() {
        let lines = ["load: 90 ms".to_owned(), r#"{"chunks_per_second": 31.5}"#.to_owned(), "7".to_owned()];
        let result = result(&BENCHES[0], 2.5, &lines);
        assert_eq!(result["figures"], json!([{ "chunks_per_second": 31.5 }]));
        assert_eq!(result["output"], json!(["load: 90 ms", "7"]));
    }

    #[test]
    fn an_unknown_benchmark_is_answered_with_the_known_ones() {
        let benches = [Bench { name: "search", measures: "hybrid search", cargo: &["bench"] }];
        assert_eq!(choose(&benches, None).unwrap().len(), 1);
        assert_eq!(choose(&benches, Some("search")).unwrap().len(), 1);
        let error = choose(&benches, Some("saerch")).err().unwrap().to_string();
        assert_eq!(error, "there is no benchmark saerch (known: search)");
    }
}
