//! Asks the platform a question through the gate, as a user does, and scores the results.

use super::evaluation_set::Question;
use super::locations::{Location, RankingScores, deduplicate, score_ranking};
use super::session::Session;
use anyhow::{Context as _, Result, bail};
use domain::command::{
    BranchPoint, CreateConversation, DeleteConversation, RetrievalMode, SearchDocuments, SendMessage, TurnQuestion,
};
use domain::conversation::Citation;
use domain::ids::DocumentId;
use domain::run::RunEvent;
use domain::search::{Passage, Retrieval, SearchFilters, SearchScope};
use domain::text::MessageText;
use futures::StreamExt as _;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;
use tools::retrieval::{FusedHit, Fusion, RetrievalParams};

/// Names and fusion methods of the rankings that the configured one is compared with.
pub const ALTERNATIVES: [(&str, Fusion); 3] =
    [("dense", Fusion::Dense), ("bm25", Fusion::Lexical), ("rrf", Fusion::ReciprocalRank)];

/// What to measure in addition to the search.
#[derive(Clone, Copy, Debug)]
pub struct AskOptions {
    /// Whether to have the chat model answer the question, too.
    pub with_answers: bool,
    /// Whether to compare with [`ALTERNATIVES`].
    pub compare: bool,
    /// Whether to compare the vector index with an exact scan of all passages.
    pub check_index: bool,
}

/// The measured results of one question.
pub struct QuestionResult<'s> {
    /// The question that was asked.
    pub question: &'s Question,
    /// The ranking that the platform uses.
    pub configured_ranking: Ranking,
    /// The other rankings in the order of [`ALTERNATIVES`]; empty without a comparison.
    pub alternative_rankings: Vec<Ranking>,
    /// All candidates of the vector and the lexical search; empty without a comparison.
    pub candidates: Vec<FusedHit<Passage>>,
    /// The answer, if [`AskOptions::with_answers`] is set.
    pub answer: Option<Answer>,
    /// Duration of the search.
    pub search_duration: Duration,
    /// Share of the exact nearest passages that the vector index finds, if that was checked.
    pub index_recall: Option<f32>,
}

/// One ranking of the passages for a question.
pub struct Ranking {
    /// What the search returned.
    pub retrieval: Retrieval,
    /// The distinct locations of the hits, best first.
    pub locations: Vec<Location>,
    /// The scores; `None` for an unanswerable question.
    pub scores: Option<RankingScores>,
}

/// The platform's answer to a question.
pub struct Answer {
    /// Complete text of the answer.
    pub text: String,
    /// Locations that the answer cites.
    pub cited_locations: Vec<Location>,
    /// Whether at least one cited location is expected.
    pub cites_expected: bool,
}

impl Answer {
    /// Whether the answer cites nothing, which counts as a statement that the documents do not answer the question.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.cited_locations.is_empty()
    }
}

/// Asks one question and measures the results.
///
/// # Errors
/// If the gate refuses, or the database fails.
pub async fn ask<'s>(session: &Session, question: &'s Question, options: AskOptions) -> Result<QuestionResult<'s>> {
    let command = SearchDocuments {
        query: question.text.clone(),
        top_k: SearchDocuments::MAX_TOP_K,
        filters: SearchFilters::default(),
        explain: false,
        team: None,
    };
    let started = Instant::now();
    let found = session.platform.gate.execute(&session.caller, command).await;
    let search_duration = started.elapsed();
    let found = found.with_context(|| format!("the question {} cannot be searched for", question.id))?;
    let configured_ranking = to_ranking(session, question, found);
    let (alternative_rankings, candidates) =
        if options.compare { compare_rankings(session, question).await? } else { (Vec::new(), Vec::new()) };
    let answer = if options.with_answers { Some(answer(session, question).await?) } else { None };
    let index_recall = if options.check_index { measure_index_recall(session, question).await? } else { None };
    Ok(QuestionResult {
        question,
        configured_ranking,
        alternative_rankings,
        candidates,
        answer,
        search_duration,
        index_recall,
    })
}

/// Ranks the passages by each of [`ALTERNATIVES`], without the configured boost for a second passage on a page.
async fn compare_rankings(session: &Session, question: &Question) -> Result<(Vec<Ranking>, Vec<FusedHit<Passage>>)> {
    let search = &session.platform.retrieval;
    let without_boost = |(_, fusion)| RetrievalParams { fusion, page_bonus: 0.0, ..search.params() };
    let search_scope = full_scope(session);
    let depth = SearchDocuments::MAX_TOP_K as usize;
    let alternatives = ALTERNATIVES.map(without_boost);
    let comparison =
        search.compare(session.caller.scope(), question.text.as_str(), &search_scope, depth, &alternatives).await?;
    let alternative_rankings =
        comparison.results.into_iter().map(|found| to_ranking(session, question, found)).collect();
    Ok((alternative_rankings, comparison.candidates))
}

async fn measure_index_recall(session: &Session, question: &Question) -> Result<Option<f32>> {
    let (search, scope) = (&session.platform.retrieval, session.caller.scope());
    let documents: Vec<DocumentId> = session.document_names.keys().copied().collect();
    Ok(search.index_recall(scope, question.text.as_str(), &full_scope(session), &documents).await?)
}

/// A search scope with all passages that the caller may see.
fn full_scope(session: &Session) -> SearchScope {
    SearchScope { filters: SearchFilters::default(), clearance: session.caller.entitlements().clearance }
}

fn to_ranking(session: &Session, question: &Question, retrieval: Retrieval) -> Ranking {
    let locations = deduplicate(retrieval.hits.iter().map(|hit| location(session, &hit.passage)));
    let scores = question.answerable.then(|| score_ranking(&locations, &question.expected));
    Ranking { retrieval, locations, scores }
}

/// The location of a passage, with the name that the set gives its document.
pub fn location(session: &Session, passage: &Passage) -> Location {
    Location::new(
        &document_name(session, passage.document_id, &passage.file_name),
        passage.page,
        passage.section.as_deref(),
    )
}

fn document_name(session: &Session, document: DocumentId, name: &str) -> String {
    session.document_names.get(&document).cloned().unwrap_or_else(|| format!("{name} (not in the set)"))
}

/// Asks the question in a new conversation, which is deleted afterwards, and lets the platform decide whether to
/// search.
async fn answer(session: &Session, question: &Question) -> Result<Answer> {
    let gate = &session.platform.gate;
    let command = CreateConversation { title: None, model: None, metadata: json!({}), team: None };
    let conversation = gate.execute(&session.caller, command).await?;
    let command = SendMessage {
        conversation: conversation.id,
        question: TurnQuestion::New {
            message: MessageText::parse(question.text.as_str())?,
            at: BranchPoint::ActiveBranch,
        },
        model: None,
        retrieval: RetrievalMode::Auto,
        filters: SearchFilters::default(),
        teams: Vec::new(),
        agent: None,
    };
    let mut events = gate.execute(&session.caller, command).await?;
    let (mut text, mut cited_locations) = (String::new(), Vec::new());
    while let Some(event) = events.next().await {
        match event.event {
            RunEvent::Delta { text: delta } => text.push_str(&delta),
            RunEvent::Cited(Citation::Document(citation)) => {
                cited_locations.push(Location::new(
                    &document_name(session, citation.document_id, &citation.file_name),
                    citation.page,
                    citation.section.as_deref(),
                ));
            }
            RunEvent::Failed(problem) => {
                bail!("the question {} was not answered ({})", question.id, problem.code)
            }
            RunEvent::Started { .. }
            | RunEvent::Reasoning { .. }
            | RunEvent::ToolStarted { .. }
            | RunEvent::ToolFinished { .. }
            | RunEvent::StepStarted { .. }
            | RunEvent::StepFinished { .. }
            | RunEvent::ApprovalRequired { .. }
            | RunEvent::ClientToolRequested(_)
            | RunEvent::Cited(Citation::Reading(_))
            | RunEvent::Finished(_) => {}
        }
    }
    gate.execute(&session.caller, DeleteConversation { id: conversation.id }).await?;
    let cites_expected =
        cited_locations.iter().any(|location| question.expected.iter().any(|expected| expected.matches(location)));
    Ok(Answer { text, cited_locations, cites_expected })
}
