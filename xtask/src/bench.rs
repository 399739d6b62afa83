//! `cargo xtask bench`: the benchmarks, each a program that writes its result as JSON to the file that it is told.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use crate::proc::{self, Interrupt};
use crate::progress::say;
use crate::{files, project, test};

/// A benchmark: its name, what it measures, and the cargo command that runs it. The program finds the path for its
/// JSON in `PLATFORM_BENCH_OUT`, and database and model in the variables of `cargo xtask test`.
struct Bench {
    name: &'static str,
    measures: &'static str,
    cargo: &'static [&'static str],
}

/// Add a line here for a new benchmark.
const BENCHES: &[Bench] = &[];

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
    for bench in chosen {
        let out = results.join(format!("{}.json", bench.name));
        say(&format!("{}: {}", bench.name, bench.measures));
        let mut cargo = project::cargo()?;
        cargo.args(bench.cargo).env("PLATFORM_BENCH_OUT", &out);
        let _database = test::provide(&mut cargo, interrupt)?;
        proc::run_ok(&mut cargo, interrupt, bench.name)?;
        println!("{}", out.display());
    }
    Ok(ExitCode::SUCCESS)
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
    fn an_unknown_benchmark_is_answered_with_the_known_ones() {
        let benches = [Bench { name: "search", measures: "hybrid search", cargo: &["bench"] }];
        assert_eq!(choose(&benches, None).unwrap().len(), 1);
        assert_eq!(choose(&benches, Some("search")).unwrap().len(), 1);
        let error = choose(&benches, Some("saerch")).err().unwrap().to_string();
        assert_eq!(error, "there is no benchmark saerch (known: search)");
    }
}
