//! `platform-server eval`: measures how well the configured platform finds and cites the answers to a question set.
//!
//! Documents and questions go through the policy gate, so the measurement covers the whole platform. Only `--compare`
//! and `--check-index` call the search directly.

mod ask;
mod evaluation_set;
mod groups;
mod interval;
mod locations;
mod measured;
mod metrics;
mod ranking;
mod report;
mod session;

use crate::config::Settings;
use anyhow::{Context as _, Result, bail};
use ask::{AskOptions, QuestionResult};
use clap::Args;
use evaluation_set::EvaluationSet;
use metrics::Thresholds;
use ranking::RankingArgs;
use session::{Identity, Session};
use std::path::{Path, PathBuf};

/// Maximum number of progress lines printed while the questions are asked.
const MAX_PROGRESS_LINES: usize = 20;

/// Command line arguments of `eval`.
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// JSON file of the set: documents, questions, and the pages of their answers.
    file: PathBuf,
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
    /// Fail if a metric is worse than its value, as in `ndcg10=0.8,recall5=0.9`. Overrides the set's thresholds.
    #[arg(long = "floor", value_name = "NAME=VALUE,…")]
    thresholds: Option<Thresholds>,
    /// Slug of the tenant [default: `eval-` and the file's name]
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Keep the documents, so that the next run does not need to ingest them again.
    #[arg(long)]
    keep: bool,
    /// Delete the documents of an evaluation tenant first, so that they are ingested again.
    #[arg(long)]
    fresh: bool,
    /// File with the bearer token to use, in the token's tenant; without one, development mode is required.
    #[arg(long, value_name = "FILE", conflicts_with = "tenant")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    ranking: RankingArgs,
}

/// Runs an evaluation.
///
/// # Errors
/// If the set is not valid, the platform cannot be used, or a metric misses its threshold.
pub async fn run(args: EvalArgs, settings: Settings) -> Result<()> {
    let set = EvaluationSet::read(&args.file)?;
    let thresholds = set.thresholds.clone().merged_with(args.thresholds.clone().unwrap_or_default());
    let slug = args.tenant.clone().unwrap_or_else(|| session::tenant_slug(&set.name));
    let identity = match &args.token_file {
        Some(path) => Identity::Bearer(read_token(path)?),
        None => Identity::Developer(&slug),
    };
    let mut session = Session::open(settings, identity, args.ranking.params()).await?;
    let result = evaluate(&mut session, &set, &args, &thresholds).await;
    let clean_up_result = if args.keep { Ok(()) } else { session.clean_up().await };
    session.platform.close().await;
    let violations = result?;
    clean_up_result.context("the documents of the evaluation could not be removed")?;
    if violations.is_empty() { Ok(()) } else { bail!("below the thresholds: {}", violations.join("; ")) }
}

/// Runs the evaluation and prints the report; returns a message for each metric that misses its threshold.
async fn evaluate(
    session: &mut Session,
    set: &EvaluationSet,
    args: &EvalArgs,
    thresholds: &Thresholds,
) -> Result<Vec<String>> {
    session.upload_documents(set, args.fresh).await?;
    for failed in &session.failures {
        crate::print(&format!("failed: {failed}"))?;
    }
    let answers = args.answers || thresholds.needs_answers();
    let options = AskOptions { with_answers: answers, compare: args.compare, check_index: args.check_index };
    let results = ask_questions(session, set, options).await?;
    let columns = report::ranking_columns(&results);
    let answerable = set.questions.iter().filter(|question| question.answerable).count();
    let (questions, documents) = (set.questions.len(), set.documents.len());
    crate::print(&format!("\n{questions} questions ({answerable} with an answer) on {documents} documents\n"))?;
    crate::print(&report::table(&columns))?;
    for table in groups::groupings(&results).iter().filter_map(|grouping| grouping.table()) {
        crate::print(&format!("\n{table}"))?;
    }
    crate::print(&format!("\n{}", report::resource_summary(session, &results)))?;
    if let Some(path) = &args.json {
        let json = report::json_report(session, &set.name, &results, &columns);
        std::fs::write(path, format!("{json:#}\n")).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(columns.first().map(|(_, values)| thresholds.violations(values)).unwrap_or_default())
}

async fn ask_questions<'s>(
    session: &Session,
    set: &'s EvaluationSet,
    options: AskOptions,
) -> Result<Vec<QuestionResult<'s>>> {
    let total = set.questions.len();
    let mut results = Vec::with_capacity(total);
    for question in &set.questions {
        results.push(ask::ask(session, question, options).await?);
        let done = results.len();
        if done * MAX_PROGRESS_LINES / total != (done - 1) * MAX_PROGRESS_LINES / total {
            crate::print(&format!("asked {done}/{total}"))?;
        }
    }
    Ok(results)
}

fn read_token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text.trim().to_owned())
}
