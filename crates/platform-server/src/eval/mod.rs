//! `platform-server eval`: how well this platform, as it is configured, finds and cites what a set of questions asks for.
//!
//! Documents go in through the gate and the ingestion, questions through the gate: what is measured is the platform
//! itself. The comparison alone looks behind the gate, at the candidates of the search in the evaluation's tenant.

mod ask;
mod figures;
mod places;
mod report;
mod set;
mod site;

use crate::config::Settings;
use anyhow::{Context as _, Result, bail};
use ask::{Asked, Extent};
use clap::Args;
use figures::Floor;
use set::EvaluationSet;
use site::{Identity, Site};
use std::path::{Path, PathBuf};

/// How many times the questions' progress is told.
const TELLINGS: usize = 20;

/// Arguments of `eval`.
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// The set: a JSON file with documents, questions and the places of their answers.
    file: PathBuf,
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
    /// Fail where a figure is below this, as in `ndcg10=0.8,recall5=0.9`; beside what the set itself asks for.
    #[arg(long, value_name = "NAME=VALUE,…")]
    floor: Option<Floor>,
    /// Slug of the tenant [default: `eval-` and the file's name].
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Leave the documents there, so that the next run need not ingest them again.
    #[arg(long)]
    keep: bool,
    /// Ingest documents anew that an earlier run has left.
    #[arg(long)]
    fresh: bool,
    /// File with a bearer token to work with, in the token's tenant; without one, development mode is needed.
    #[arg(long, value_name = "FILE", conflicts_with = "tenant")]
    token_file: Option<PathBuf>,
}

/// Runs an evaluation.
///
/// # Errors
/// Where the set is not valid, the platform cannot be used, or a figure misses its floor.
pub async fn run(args: EvalArgs, settings: Settings) -> Result<()> {
    let set = EvaluationSet::read(&args.file)?;
    let floor = set.floor.clone().overridden_by(args.floor.clone().unwrap_or_default());
    let slug = args.tenant.clone().unwrap_or_else(|| site::own_slug(&set.name));
    let identity = match &args.token_file {
        Some(path) => Identity::Bearer(read_token(path)?),
        None => Identity::Developer(&slug),
    };
    let mut site = Site::open(settings, identity).await?;
    let ended = evaluate(&mut site, &set, &args, &floor).await;
    let tidied = if args.keep { Ok(()) } else { site.tidy().await };
    site.platform.close().await;
    let missed = ended?;
    tidied.context("the documents of the evaluation could not be removed")?;
    if missed.is_empty() { Ok(()) } else { bail!("the floor is missed: {}", missed.join("; ")) }
}

/// Measures and reports; returns what misses the floor.
async fn evaluate(site: &mut Site, set: &EvaluationSet, args: &EvalArgs, floor: &Floor) -> Result<Vec<String>> {
    site.bring(set, args.fresh).await?;
    for failed in &site.failed {
        crate::print(&format!("failed: {failed}"))?;
    }
    let answers = args.answers || floor.asks_for_answers();
    let extent = Extent { answers, compare: args.compare, check_index: args.check_index };
    let asked = ask_all(site, set, extent).await?;
    let columns = report::figures(&asked);
    let answerable = set.questions.iter().filter(|question| question.answerable).count();
    let (questions, documents) = (set.questions.len(), set.documents.len());
    crate::print(&format!("\n{questions} questions ({answerable} with an answer) on {documents} documents\n"))?;
    crate::print(&report::table(&columns))?;
    crate::print(&format!("\n{}", report::costs(site, &asked)))?;
    if let Some(path) = &args.json {
        let json = report::json(site, &set.name, &asked, &columns);
        std::fs::write(path, format!("{json:#}\n")).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(columns.first().map(|(_, figures)| floor.missed_by(figures)).unwrap_or_default())
}

async fn ask_all<'s>(site: &Site, set: &'s EvaluationSet, extent: Extent) -> Result<Vec<Asked<'s>>> {
    let total = set.questions.len();
    let mut asked = Vec::with_capacity(total);
    for question in &set.questions {
        asked.push(ask::ask(site, question, extent).await?);
        let done = asked.len();
        if done * TELLINGS / total != (done - 1) * TELLINGS / total {
            crate::print(&format!("asked {done}/{total}"))?;
        }
    }
    Ok(asked)
}

fn read_token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text.trim().to_owned())
}
