//! `cargo xtask eval`: measures how well the platform of this checkout finds and cites the answers to a question set,
//! and compares the results with earlier ones.

mod comparison;
mod results;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tempfile::TempDir;

use crate::model::EmbeddedModel;
use crate::pg::{self, PostgresPrograms};
use crate::platform::{self, Platform, PlatformArgs};
use crate::proc::{self, Interrupt};
use crate::progress::StepProgress;
use crate::seed;
use results::Results;

/// Arguments of `eval`.
#[derive(Parser)]
pub struct Args {
    /// JSON file of the set, as described in docs/operations/evaluation.md [default: the sample plant and its
    /// questions].
    file: Option<PathBuf>,
    /// Also have the chat model answer each question, and check what the answers cite.
    #[arg(long)]
    answers: bool,
    /// Compare with earlier results, question by question: with one file that --json wrote, or two such files with each
    /// other, which asks nothing. Without a file, compare with other rankings: vector search only, full-text search
    /// only, reciprocal rank fusion.
    #[arg(long, value_name = "FILE", num_args = 0..=2)]
    compare: Option<Vec<PathBuf>>,
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
    /// Embed with this model in the server's process [default: the configured model].
    #[arg(long, value_name = "NAME")]
    embedded_model: Option<EmbeddedModel>,
    /// Weights of the glossary's synonyms, 0 to 1: of those in another language than the question's and, after a comma,
    /// of those in its own. One number is for both [default: 0, without synonyms].
    #[arg(long, value_name = "ACROSS[,WITHIN]")]
    glossary: Option<String>,
    /// Preference for documents whose type suits the kind of the question, 0 to 1 [default: 0].
    #[arg(long, value_name = "WEIGHT")]
    doc_type_weight: Option<String>,
    /// Without --data-dir and DATABASE_URL, a temporary database is used.
    #[command(flatten)]
    platform: PlatformArgs,
}

impl Args {
    /// Arguments for a benchmark: the release build, and a temporary database unless `DATABASE_URL` is set.
    pub fn for_bench(file: PathBuf, json: PathBuf) -> Self {
        let platform = PlatformArgs { release: true, ..PlatformArgs::default() };
        let (file, json) = (Some(file), Some(json));
        Self {
            file,
            json,
            platform,
            check_index: true,
            answers: false,
            compare: None,
            thresholds: None,
            tenant: None,
            keep: false,
            fresh: false,
            embedded_model: None,
            glossary: None,
            doc_type_weight: None,
        }
    }
}

/// Runs an evaluation. The exit code tells whether every metric reached its threshold (`--floor`).
///
/// # Errors
/// If a dependency cannot be provisioned.
pub fn run(mut args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let earlier = match args.compare.as_deref() {
        Some([before, after]) => {
            ensure!(args.file.is_none(), "two files are compared with each other: name no evaluation set");
            println!("{}", comparison::compare(&Results::read(before)?, &Results::read(after)?));
            return Ok(ExitCode::SUCCESS);
        }
        Some([before]) => Some(Results::read(before)?),
        _ => None,
    };
    if args.compare.is_none() {
        return evaluate(&args, interrupt);
    }
    // Results of this run alone are compared, so they are not written to a file that may hold earlier ones.
    let file = tempfile::NamedTempFile::new().context("a temporary file cannot be made")?;
    let wanted = args.json.replace(file.path().to_path_buf());
    let exit_code = evaluate(&args, interrupt)?;
    if std::fs::metadata(file.path()).is_ok_and(|written| written.len() > 0) {
        if let Some(json) = wanted {
            std::fs::copy(file.path(), &json).with_context(|| format!("{} cannot be written", json.display()))?;
        }
        print_comparison(earlier.as_ref(), file.path())?;
    }
    Ok(exit_code)
}

/// Prints what changed since the earlier results or, without them, from each other ranking to the configured one.
fn print_comparison(earlier: Option<&Results>, json: &Path) -> Result<()> {
    let after = Results::read(json)?;
    let Some(before) = earlier else {
        let after = Results { label: "the configured ranking".to_owned(), ..after.without_answers() };
        for before in Results::read_alternatives(json)? {
            println!("\n{}", comparison::compare(&before, &after));
        }
        return Ok(());
    };
    let after = Results { label: "this run".to_owned(), ..after };
    println!("\n{}", comparison::compare(before, &after));
    Ok(())
}

/// Evaluates the set with the server of this checkout.
fn evaluate(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut platform_args = args.platform.clone();
    let _temporary_dir = use_temporary_dir(&mut platform_args, interrupt)?;
    let model_variables = platform::embedded_model_variables(args.embedded_model, interrupt)?;
    let platform = Platform::attach_or_start(&platform_args, "eval", interrupt)?;
    let mut command = platform.server.command(&["eval"]);
    command.envs(model_variables);
    add_arguments(&mut command, args)?;
    let mut steps = StepProgress::new(&[("ingested", "ingesting the documents"), ("asked", "asking the questions")]);
    let status = proc::run_lines(&mut command, interrupt, |line| steps.on_line(line))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Creates a temporary data directory if the user has named neither a data directory nor a database.
fn use_temporary_dir(platform_args: &mut PlatformArgs, interrupt: &Interrupt) -> Result<Option<TempDir>> {
    if platform_args.data_dir.is_some() || crate::project::secret_from_env("DATABASE_URL")?.is_some() {
        return Ok(None);
    }
    let dir = pg::temporary_dir(&PostgresPrograms::provision(interrupt)?)?;
    platform_args.data_dir = Some(dir.path().to_path_buf());
    Ok(Some(dir))
}

/// Adds the arguments to the server's `eval` command.
fn add_arguments(command: &mut Command, args: &Args) -> Result<()> {
    let sample_set = || seed::plant_dir().map(|plant| plant.join("evaluation.json"));
    command.arg(args.file.clone().map_or_else(sample_set, Ok).context("there is no sample plant to evaluate")?);
    let flags = [
        ("--answers", args.answers),
        ("--compare", args.compare.as_ref().is_some_and(Vec::is_empty)),
        ("--check-index", args.check_index),
        ("--keep", args.keep),
        ("--fresh", args.fresh),
    ];
    command.args(flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag));
    if let Some(json) = &args.json {
        command.arg("--json").arg(json);
    }
    let values = [
        ("--floor", &args.thresholds),
        ("--tenant", &args.tenant),
        ("--glossary", &args.glossary),
        ("--doc-type-weight", &args.doc_type_weight),
    ];
    for (flag, value) in values {
        if let Some(value) = value {
            command.args([flag, value]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn arguments_are_passed_on_to_the_server() {
        let args = Args::parse_from(["eval", "set.json", "--compare", "--json", "out.json", "--floor", "mrr=0.5"]);
        let mut command = Command::new("server");
        add_arguments(&mut command, &args).unwrap();
        let passed_arguments: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(passed_arguments, ["set.json", "--compare", "--json", "out.json", "--floor", "mrr=0.5"]);
    }

    #[test]
    fn the_server_measures_other_rankings_unless_results_are_compared() {
        for (arguments, expected) in [
            (&["set.json", "--compare"][..], true),
            (&["set.json", "--compare", "before.json"][..], false),
            (&["set.json"][..], false),
        ] {
            let args = Args::parse_from([&["eval"], arguments].concat());
            let mut command = Command::new("server");
            add_arguments(&mut command, &args).unwrap();
            assert_eq!(command.get_args().any(|word| word == "--compare"), expected, "{arguments:?}");
        }
    }

    #[test]
    fn two_results_are_compared_without_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let question = |answerable: bool| {
            serde_json::json!([{
                "id": "1", "question": "Which bolts?", "answerable": false,
                "configured": { "answerable": answerable, "hits": null },
            }])
        };
        let before = results::tests::write_results(dir.path(), "before.json", &question(true));
        let after = results::tests::write_results(dir.path(), "after.json", &question(false));
        let args =
            Args::parse_from([OsStr::new("eval"), OsStr::new("--compare"), before.as_os_str(), after.as_os_str()]);
        assert_eq!(args.compare, Some(vec![before.clone(), after.clone()]));
        let text = comparison::compare(&Results::read(&before).unwrap(), &Results::read(&after).unwrap());
        assert!(text.contains("verdict answerable (wrong) → no answer (right)"), "{text}");
    }

    #[test]
    fn the_sample_plant_is_evaluated_unless_a_set_is_named() {
        let mut command = Command::new("server");
        add_arguments(&mut command, &Args::parse_from(["eval"])).unwrap();
        let file = command.get_args().next().map(PathBuf::from).unwrap();
        assert!(file.is_file(), "{} does not exist", file.display());
    }
}
