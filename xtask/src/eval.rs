//! `cargo xtask eval`: measures how well the platform of this checkout finds and cites the answers to a question set.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use tempfile::TempDir;

use crate::pg::{self, PostgresPrograms};
use crate::platform::{self, Platform, PlatformSelector};
use crate::proc::{self, Interrupt};
use crate::progress::StepProgress;
use crate::seed;

/// Arguments of `eval`.
#[derive(Parser)]
pub struct Args {
    /// JSON file of the set, as described in docs/operations/evaluation.md [default: the sample plant and its
    /// questions].
    file: Option<PathBuf>,
    /// Also have the chat model answer each question, and check what the answers cite.
    #[arg(long)]
    answers: bool,
    /// Compare with other rankings: vector search only, full-text search only, reciprocal rank fusion.
    #[arg(long)]
    compare: bool,
    /// Compare the results of the vector index with an exact scan of all passages.
    #[arg(long)]
    check_index: bool,
    /// Write the results of each question to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail if a metric is worse than its value, as in ndcg10=0.8,recall5=0.9. Overrides the set's thresholds.
    #[arg(long = "floor", value_name = "NAME=VALUE,…")]
    thresholds: Option<String>,
    /// Slug of the tenant [default: `eval-` and the file's name].
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Keep the documents for the next run; needs --data-dir or DATABASE_URL.
    #[arg(long)]
    keep: bool,
    /// Delete the documents of an evaluation tenant first, so that they are ingested again.
    #[arg(long)]
    fresh: bool,
    /// Without --data-dir and DATABASE_URL, a temporary database is used.
    #[command(flatten)]
    selector: PlatformSelector,
}

impl Args {
    /// Arguments for a benchmark: release build, temporary database.
    pub fn for_bench(file: PathBuf, json: PathBuf) -> Self {
        let selector = PlatformSelector { release: true, ..PlatformSelector::default() };
        let (file, json) = (Some(file), Some(json));
        Self {
            file,
            json,
            selector,
            check_index: true,
            answers: false,
            compare: false,
            thresholds: None,
            tenant: None,
            keep: false,
            fresh: false,
        }
    }
}

/// Runs an evaluation. The exit code tells whether every metric reached its threshold (`--floor`).
///
/// # Errors
/// If a dependency cannot be provisioned.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut selector = args.selector.clone();
    let _temporary_dir = use_temporary_dir(&mut selector, interrupt)?;
    let model = platform::embedded_model(interrupt)?;
    let platform = Platform::attach(&selector, "eval", interrupt)?;
    let mut command = platform.server.command(&["eval"]);
    if let Some(dir) = model {
        command.env("PLATFORM__MODELS__EMBEDDED_DIR", dir);
    }
    add_arguments(&mut command, &args)?;
    let mut steps = StepProgress::new(&[("ingested", "ingesting the documents"), ("asked", "asking the questions")]);
    let status = proc::run_lines(&mut command, interrupt, |line| steps.on_line(line))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Creates a temporary data directory if the user has named neither a data directory nor a database.
fn use_temporary_dir(selector: &mut PlatformSelector, interrupt: &Interrupt) -> Result<Option<TempDir>> {
    if selector.data_dir.is_some() || crate::project::secret("DATABASE_URL")?.is_some() {
        return Ok(None);
    }
    let dir = pg::temporary_dir(&PostgresPrograms::provision(interrupt)?)?;
    selector.data_dir = Some(dir.path().to_path_buf());
    Ok(Some(dir))
}

/// Adds the arguments to the server's `eval` command.
fn add_arguments(command: &mut Command, args: &Args) -> Result<()> {
    let sample_set = || seed::plant_dir().map(|plant| plant.join("evaluation.json"));
    command.arg(args.file.clone().map_or_else(sample_set, Ok).context("there is no sample plant to evaluate")?);
    let flags = [
        ("--answers", args.answers),
        ("--compare", args.compare),
        ("--check-index", args.check_index),
        ("--keep", args.keep),
        ("--fresh", args.fresh),
    ];
    command.args(flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag));
    if let Some(json) = &args.json {
        command.arg("--json").arg(json);
    }
    for (flag, value) in [("--floor", &args.thresholds), ("--tenant", &args.tenant)] {
        if let Some(value) = value {
            command.args([flag, value]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_passed_on_to_the_server() {
        let args = Args::parse_from(["eval", "set.json", "--compare", "--json", "out.json", "--floor", "mrr=0.5"]);
        let mut command = Command::new("server");
        add_arguments(&mut command, &args).unwrap();
        let passed_arguments: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(passed_arguments, ["set.json", "--compare", "--json", "out.json", "--floor", "mrr=0.5"]);
    }

    #[test]
    fn the_sample_plant_is_evaluated_unless_a_set_is_named() {
        let mut command = Command::new("server");
        add_arguments(&mut command, &Args::parse_from(["eval"])).unwrap();
        let file = command.get_args().next().map(PathBuf::from).unwrap();
        assert!(file.is_file(), "{} does not exist", file.display());
    }
}
