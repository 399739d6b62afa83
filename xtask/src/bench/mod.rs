//! `cargo xtask bench`: runs benchmarks with the release profile and writes their results to `target/bench/`. Each is a
//! part of `tests/bench` (the platform compared with a baseline), an example program, an evaluation of a large
//! generated set, or several of them.

mod list;
mod sets;
mod side_by_side;
mod table;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::{Value, json};

use crate::pg::ClusterPurpose;
use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::server::{self, BuildProfile};
use crate::{eval, files, model, project, seed, test};
use list::BENCHES;

/// A benchmark: its name, a description of what it measures, and the steps to run.
struct Bench {
    name: &'static str,
    description: &'static str,
    steps: &'static [Step],
    /// Steps that take minutes, which `--quick` leaves out.
    long_steps: &'static [Step],
}

/// One step of a benchmark. Programs get the variables that `cargo xtask test` sets, for a database that waits for the
/// disk.
enum Step {
    /// The benchmark of the same name in `tests/bench`.
    SideBySide,
    /// An example of a package. Arguments may contain placeholders for directories: `{model}` and `{multilingual}` for
    /// the embedded models, `{plant}` for the sample plant, `{work}` for the benchmark's working directory.
    Example { package: &'static str, name: &'static str, arguments: &'static [&'static str] },
    /// Evaluates, with the release build of the server, the set that this function writes to the working directory.
    Evaluate(fn(&Path) -> Result<()>),
}

/// Arguments of `bench`.
#[derive(Parser)]
pub struct Args {
    /// The benchmarks to run [default: all of them].
    names: Vec<String>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Run fewer and shorter rounds on less data, to check that the benchmarks work.
    #[arg(long)]
    quick: bool,
    /// Build with symbols and line numbers, for a profiler.
    #[arg(long)]
    symbols: bool,
    /// Options of the benchmark, as in: cargo xtask bench chat -- --concurrency 32 --seconds 60 --only platform
    #[arg(last = true)]
    options: Vec<String>,
}

/// Runs the named benchmarks, or all of them.
///
/// # Errors
/// If a name is unknown, or a benchmark fails.
pub fn run(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut benches = select_benches(BENCHES, &args.names)?;
    if args.quick {
        benches.retain(|bench| !bench.steps.is_empty());
    }
    let directory = project::target_dir()?.join("bench");
    let mut results = Vec::new();
    for bench in benches {
        print_status(&format!("{}: {}", bench.name, bench.description));
        let result = run_bench(bench, &directory, args, interrupt)?;
        if !args.json {
            print_table(&result);
        }
        results.push(result);
    }
    if args.json {
        let single = (results.len() == 1).then(|| results.pop()).flatten();
        println!("{:#}", single.unwrap_or_else(|| json!({ "benches": results })));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a benchmark and writes its result.
fn run_bench(bench: &Bench, directory: &Path, args: &Args, interrupt: &Interrupt) -> Result<Value> {
    let work_dir = directory.join(bench.name);
    files::create_dir(&work_dir, 0o755)?;
    let (started, mut lines) = (Instant::now(), Vec::new());
    let long_steps = if args.quick { &[] } else { bench.long_steps };
    for step in bench.steps.iter().chain(long_steps) {
        match step {
            Step::SideBySide => {
                let command = side_by_side::command(bench.name, &work_dir, args, interrupt)?;
                lines.extend(run_program(command, interrupt)?);
            }
            Step::Example { package, name, arguments } => {
                let mut command = Command::new(build_example(package, name, args, interrupt)?);
                for argument in *arguments {
                    command.arg(expand_placeholders(argument, &work_dir, interrupt)?);
                }
                lines.extend(run_program(command, interrupt)?);
            }
            Step::Evaluate(write_set) => lines.push(evaluate(*write_set, &work_dir, interrupt)?),
        }
    }
    let result = build_result(bench, started.elapsed().as_secs_f64(), &lines);
    let output_path = directory.join(format!("{}.json", bench.name));
    fs::write(&output_path, format!("{result:#}\n"))
        .with_context(|| format!("cannot write {}", output_path.display()))?;
    print_status(&format!("{}: written to {}", bench.name, output_path.display()));
    Ok(result)
}

fn build_example(package: &str, name: &str, args: &Args, interrupt: &Interrupt) -> Result<std::path::PathBuf> {
    let build = if args.symbols { BuildProfile::Profiling } else { BuildProfile::Release };
    server::build_program(build, &["--package", package, "--all-features", "--example", name], name, interrupt)
}

/// Replaces the placeholders in an argument by their directories.
fn expand_placeholders(argument: &str, work_dir: &Path, interrupt: &Interrupt) -> Result<String> {
    let path = |path: &Path| path.to_str().map(str::to_owned).context("a path is not valid UTF-8");
    let mut argument = argument.replace("{work}", &path(work_dir)?);
    if argument.contains("{model}") {
        argument = argument.replace("{model}", &path(&model::provision(interrupt)?)?);
    }
    if argument.contains("{multilingual}") {
        argument = argument.replace("{multilingual}", &path(&model::provision_multilingual(interrupt)?)?);
    }
    if argument.contains("{plant}") {
        argument = argument.replace("{plant}", &path(&seed::plant_dir()?)?);
    }
    Ok(argument)
}

/// Runs a program with a database; returns the lines that it prints.
fn run_program(mut program: Command, interrupt: &Interrupt) -> Result<Vec<String>> {
    program.current_dir(project::root()?);
    let _database = test::provide_test_environment(&mut program, ClusterPurpose::Benchmark, interrupt)?;
    let mut lines = Vec::new();
    let status = proc::run_lines(&mut program, interrupt, |line| lines.push(line.to_owned()))?;
    if !status.success() {
        bail!("the benchmark failed ({status})");
    }
    Ok(lines)
}

/// Evaluates a set; returns its metrics, latencies and memory use as one line of JSON.
fn evaluate(write_set: fn(&Path) -> Result<()>, work_dir: &Path, interrupt: &Interrupt) -> Result<String> {
    write_set(work_dir)?;
    let output_path = work_dir.join("evaluation.json");
    let status = eval::run(eval::Args::for_bench(work_dir.join(sets::SET_FILE_NAME), output_path.clone()), interrupt)?;
    if status != ExitCode::SUCCESS {
        bail!("the evaluation failed");
    }
    let mut result: Value =
        serde_json::from_str(&fs::read_to_string(&output_path)?).context("cannot parse the result")?;
    let keys = ["metrics", "ingested", "search", "peak_memory_bytes", "failed"];
    let fields: serde_json::Map<_, _> = keys.iter().map(|key| ((*key).to_owned(), result[*key].take())).collect();
    Ok(Value::Object(fields).to_string())
}

/// The stored result of a run. The `rows` of JSON objects are collected; other JSON objects go into `metrics`, and all
/// other lines into `output`.
fn build_result(bench: &Bench, seconds: f64, lines: &[String]) -> Value {
    let (mut rows, mut metrics, mut output) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        match serde_json::from_str::<Value>(line).ok().filter(Value::is_object) {
            Some(mut object) => match object["rows"].take() {
                Value::Array(new_rows) => rows.extend(new_rows),
                _ => {
                    object.as_object_mut().map(|object| object.remove("rows"));
                    metrics.push(object);
                }
            },
            None => output.push(line),
        }
    }
    json!({
        "bench": bench.name, "measures": bench.description, "wall_seconds_with_build": seconds,
        "rows": rows, "metrics": metrics, "output": output,
    })
}

fn print_table(result: &Value) {
    let list = |key: &str| result[key].as_array().cloned().unwrap_or_default();
    let rows = list("rows");
    if !rows.is_empty() {
        println!("{}", table::render(&rows));
    }
    for line in list("metrics").iter().chain(&list("output")) {
        println!("{}", line.as_str().map_or_else(|| line.to_string(), str::to_owned));
    }
}

fn select_benches<'a>(benches: &'a [Bench], names: &[String]) -> Result<Vec<&'a Bench>> {
    if names.is_empty() {
        return Ok(benches.iter().collect());
    }
    let find_bench = |name: &String| {
        benches.iter().find(|bench| bench.name == name).with_context(|| {
            let known_names: Vec<_> = benches.iter().map(|bench| bench.name).collect();
            format!("there is no benchmark {name}; there are {}", known_names.join(", "))
        })
    };
    names.iter().map(find_bench).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_are_rows_or_metrics_and_other_lines_are_output() {
        let row = r#"{"rows": [{"case": "8 clients"}]}"#;
        let lines = ["load: 90 ms", r#"{"chunks_per_second": 31.5}"#, row, "7"].map(str::to_owned);
        let result = build_result(&BENCHES[0], 2.5, &lines);
        assert_eq!(result["rows"], json!([{ "case": "8 clients" }]));
        assert_eq!(result["metrics"], json!([{ "chunks_per_second": 31.5 }]));
        assert_eq!(result["output"], json!(["load: 90 ms", "7"]));
    }

    #[test]
    fn the_error_for_an_unknown_benchmark_lists_the_known_ones() {
        let benches = [Bench { name: "search", description: "hybrid search", steps: &[], long_steps: &[] }];
        assert_eq!(select_benches(&benches, &[]).unwrap().len(), 1);
        assert_eq!(select_benches(&benches, &["search".to_owned()]).unwrap().len(), 1);
        let error = select_benches(&benches, &["saerch".to_owned()]).err().unwrap().to_string();
        assert_eq!(error, "there is no benchmark saerch; there are search");
    }
}
