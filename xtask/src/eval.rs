//! `cargo xtask eval`: how well the platform of this checkout finds and cites what a set of questions asks for.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use tempfile::TempDir;

use crate::pg::{self, Programs};
use crate::platform::{self, Platform, Which};
use crate::proc::{self, Interrupt};
use crate::progress::Steps;
use crate::seed;

/// Arguments of `eval`.
#[derive(Parser)]
pub struct Args {
    /// The set: a JSON file as in docs/operations/evaluation.md [default: the sample plant and its questions].
    file: Option<PathBuf>,
    /// Have each question answered too, and weigh what is cited.
    #[arg(long)]
    answers: bool,
    /// Rank in other ways too: by vectors alone, by words alone, by reciprocal ranks.
    #[arg(long)]
    compare: bool,
    /// Check the vector index against comparing all passages, document by document.
    #[arg(long)]
    check_index: bool,
    /// Write everything, question by question, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail where a figure is below this, as in ndcg10=0.8,recall5=0.9; beside what the set itself asks for.
    #[arg(long, value_name = "NAME=VALUE,…")]
    floor: Option<String>,
    /// Slug of the tenant [default: eval- and the file's name].
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Leave the documents there for the next run; needs --data-dir or a database of your own.
    #[arg(long)]
    keep: bool,
    /// Ingest documents anew that an earlier run has left.
    #[arg(long)]
    fresh: bool,
    /// Without it the database is a throw-away one, unless DATABASE_URL is set.
    #[command(flatten)]
    which: Which,
}

impl Args {
    /// Those of a benchmark: the optimized server, on a database of its own.
    pub fn for_bench(file: PathBuf, json: PathBuf) -> Self {
        let which = Which { release: true, ..Which::default() };
        let (file, json) = (Some(file), Some(json));
        Self {
            file,
            json,
            which,
            check_index: true,
            answers: false,
            compare: false,
            floor: None,
            tenant: None,
            keep: false,
            fresh: false,
        }
    }
}

/// Runs an evaluation and passes on whether it reached its floor.
///
/// # Errors
/// If something that it needs cannot be provisioned.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut which = args.which.clone();
    let _throw_away = throw_away(&mut which, interrupt)?;
    let model = platform::embedded_model(interrupt)?;
    let platform = Platform::borrow(&which, "eval", interrupt)?;
    let mut command = platform.server.command(&["eval"]);
    if let Some(dir) = model {
        command.env("PLATFORM__MODELS__EMBEDDED_DIR", dir);
    }
    arguments(&mut command, &args)?;
    let mut steps = Steps::new(&[("ingested", "ingesting the documents"), ("asked", "asking the questions")]);
    let status = proc::run_lines(&mut command, interrupt, |line| steps.tell(line))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A data directory for this run alone, where the user has named neither one nor a database.
fn throw_away(which: &mut Which, interrupt: &Interrupt) -> Result<Option<TempDir>> {
    if which.data_dir.is_some() || crate::project::secret("DATABASE_URL")?.is_some() {
        return Ok(None);
    }
    let dir = pg::throw_away_dir(&Programs::provision(interrupt)?)?;
    which.data_dir = Some(dir.path().to_path_buf());
    Ok(Some(dir))
}

/// Hands the arguments on to the server's command.
fn arguments(command: &mut Command, args: &Args) -> Result<()> {
    let demo = || seed::plant().map(|plant| plant.join("evaluation.json"));
    command.arg(args.file.clone().map_or_else(demo, Ok).context("there is no sample plant to evaluate")?);
    let flags = [
        ("--answers", args.answers),
        ("--compare", args.compare),
        ("--check-index", args.check_index),
        ("--keep", args.keep),
        ("--fresh", args.fresh),
    ];
    command.args(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| flag));
    if let Some(json) = &args.json {
        command.arg("--json").arg(json);
    }
    for (flag, value) in [("--floor", &args.floor), ("--tenant", &args.tenant)] {
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
    fn what_the_user_asks_for_reaches_the_server() {
        let args = Args::parse_from(["eval", "set.json", "--compare", "--json", "out.json", "--floor", "mrr=0.5"]);
        let mut command = Command::new("server");
        arguments(&mut command, &args).unwrap();
        let given: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(given, ["set.json", "--compare", "--json", "out.json", "--floor", "mrr=0.5"]);
    }

    #[test]
    fn the_sample_plant_is_evaluated_unless_a_set_is_named() {
        let mut command = Command::new("server");
        arguments(&mut command, &Args::parse_from(["eval"])).unwrap();
        let file = command.get_args().next().map(PathBuf::from).unwrap();
        assert!(file.is_file(), "{} is not there", file.display());
    }
}
