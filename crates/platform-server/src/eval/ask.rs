//! Asks the platform a question as a user would, through the gate, and scores the results.

use super::locations::{Hits, Location, distinct, score_ranking};
use super::session::Session;
use super::set::Question;
use anyhow::{Context as _, Result, bail};
use domain::command::{CreateConversation, DeleteConversation, RetrievalMode, SearchDocuments, SendMessage};
use domain::ids::DocumentId;
use domain::run::RunEvent;
use domain::search::{Passage, Retrieval, SearchFilters, SearchScope};
use domain::text::MessageText;
use futures::StreamExt as _;
use serde_json::json;
use std::time::{Duration, Instant};
use tools::retrieval::{Fused, Fusion, RetrievalParams};

/// Rankings that the configured one is compared with, with their names.
pub const ALTERNATIVES: [(&str, Fusion); 3] =
    [("dense", Fusion::Dense), ("bm25", Fusion::Lexical), ("rrf", Fusion::ReciprocalRank)];

/// What to do besides the search.
#[derive(Clone, Copy, Debug)]
pub struct AskOptions {
    /// Whether to have the question answered too.
    pub answers: bool,
    /// Whether to compare with the other rankings.
    pub compare: bool,
    /// Whether to check the vector index against comparing all passages.
    pub check_index: bool,
}

/// The results of a question.
pub struct QuestionResult<'s> {
    /// The question of the set.
    pub question: &'s Question,
    /// The ranking that the platform is configured for.
    pub configured: Ranking,
    /// The other rankings in the order of [`ALTERNATIVES`]; empty without a comparison.
    pub others: Vec<Ranking>,
    /// All candidates of the vector and the lexical search; empty without a comparison.
    pub candidates: Vec<Fused>,
    /// The answer, if [`AskOptions::answers`] is set.
    pub answer: Option<Answer>,
    /// How long the search took.
    pub took: Duration,
    /// Share of the nearest passages that the vector index finds, if that was checked.
    pub index_recall: Option<f32>,
}

/// One ranking of the passages for a question.
pub struct Ranking {
    /// What the search returned.
    pub retrieval: Retrieval,
    /// The distinct locations of the hits, best first.
    pub locations: Vec<Location>,
    /// The scores; `None` for a question that the documents do not answer.
    pub hits: Option<Hits>,
}

/// The platform's answer to a question.
pub struct Answer {
    /// The answer's whole text.
    pub text: String,
    /// The locations that it cites.
    pub cited: Vec<Location>,
    /// Whether one of them is expected.
    pub is_right: bool,
}

impl Answer {
    /// Whether the answer cites nothing, which counts as saying that the documents hold no answer.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.cited.is_empty()
    }
}

/// Asks one question.
///
/// # Errors
/// If the gate refuses, or the database fails.
pub async fn ask<'s>(session: &Session, question: &'s Question, options: AskOptions) -> Result<QuestionResult<'s>> {
    let command = SearchDocuments {
        query: question.text.clone(),
        top_k: SearchDocuments::MAX_TOP_K,
        filters: SearchFilters::default(),
    };
    let started = Instant::now();
    let found = session.platform.gate.execute(&session.caller, command).await;
    let took = started.elapsed();
    let found = found.with_context(|| format!("the question {} cannot be searched for", question.id))?;
    let configured = ranked(session, question, found);
    let (others, candidates) =
        if options.compare { compare(session, question).await? } else { (Vec::new(), Vec::new()) };
    let answer = if options.answers { Some(answer(session, question).await?) } else { None };
    let index_recall = if options.check_index { check_index(session, question).await? } else { None };
    Ok(QuestionResult { question, configured, others, candidates, answer, took, index_recall })
}

/// The question in the other rankings, without the adjustments of the configured one.
async fn compare(session: &Session, question: &Question) -> Result<(Vec<Ranking>, Vec<Fused>)> {
    let search = &session.platform.retrieval;
    let plain = |(_, fusion)| RetrievalParams { fusion, second_on_page: 0.0, ..search.params() };
    let within = everything(session);
    let depth = SearchDocuments::MAX_TOP_K as usize;
    let ways = ALTERNATIVES.map(plain);
    let comparison = search.compare(session.caller.scope(), question.text.as_str(), &within, depth, &ways).await?;
    let others = comparison.results.into_iter().map(|found| ranked(session, question, found)).collect();
    Ok((others, comparison.candidates))
}

async fn check_index(session: &Session, question: &Question) -> Result<Option<f32>> {
    let (search, scope) = (&session.platform.retrieval, session.caller.scope());
    let documents: Vec<DocumentId> = session.names.keys().copied().collect();
    Ok(search.index_recall(scope, question.text.as_str(), &everything(session), &documents).await?)
}

/// The scope of everything that the caller may see.
fn everything(session: &Session) -> SearchScope {
    SearchScope { filters: SearchFilters::default(), clearance: session.caller.entitlements().clearance }
}

fn ranked(session: &Session, question: &Question, retrieval: Retrieval) -> Ranking {
    let locations = distinct(retrieval.hits.iter().map(|hit| location(session, &hit.passage)));
    let hits = question.answerable.then(|| score_ranking(&locations, &question.expected));
    Ranking { retrieval, locations, hits }
}

/// The location of a passage, with the name that the set gives its document.
pub fn location(session: &Session, passage: &Passage) -> Location {
    Location::of(&name(session, passage.document_id, &passage.doc), passage.page, passage.section.as_deref())
}

fn name(session: &Session, document: DocumentId, name: &str) -> String {
    session.names.get(&document).cloned().unwrap_or_else(|| format!("{name} (not in the set)"))
}

/// Asks the question in a conversation of its own and leaves it to the platform whether to search.
async fn answer(session: &Session, question: &Question) -> Result<Answer> {
    let gate = &session.platform.gate;
    let command = CreateConversation { title: None, model: None, metadata: json!({}) };
    let conversation = gate.execute(&session.caller, command).await?;
    let command = SendMessage {
        conversation: conversation.id,
        message: MessageText::parse(question.text.as_str())?,
        model: None,
        retrieval: RetrievalMode::Auto,
        filters: SearchFilters::default(),
    };
    let mut events = gate.execute(&session.caller, command).await?;
    let (mut text, mut cited) = (String::new(), Vec::new());
    while let Some(event) = events.next().await {
        match event.event {
            RunEvent::Delta { text: piece } => text.push_str(&piece),
            RunEvent::Cited(of) => {
                cited.push(Location::of(&name(session, of.document_id, &of.doc), of.page, of.section.as_deref()));
            }
            RunEvent::Failed(problem) => {
                bail!("the question {} was not answered ({})", question.id, problem.code)
            }
            RunEvent::Started { .. }
            | RunEvent::Reasoning { .. }
            | RunEvent::ToolStarted { .. }
            | RunEvent::ToolFinished { .. }
            | RunEvent::ToolWanted(_)
            | RunEvent::Finished(_) => {}
        }
    }
    gate.execute(&session.caller, DeleteConversation { id: conversation.id }).await?;
    let is_right = cited.iter().any(|location| question.expected.iter().any(|expected| expected.is_at(location)));
    Ok(Answer { text, cited, is_right })
}
