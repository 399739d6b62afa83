//! Asks the platform a question through the gate, as a user does, and scores the results.

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

/// Names and fusion methods of the rankings with which the configured one is compared.
pub const ALTERNATIVES: [(&str, Fusion); 3] =
    [("dense", Fusion::Dense), ("bm25", Fusion::Lexical), ("rrf", Fusion::ReciprocalRank)];

/// What to measure in addition to the search.
#[derive(Clone, Copy, Debug)]
pub struct AskOptions {
    /// Whether to have the chat model answer the question, too.
    pub answers: bool,
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
    pub configured: Ranking,
    /// The other rankings in the order of [`ALTERNATIVES`]; empty without a comparison.
    pub others: Vec<Ranking>,
    /// All candidates of the vector and the lexical search; empty without a comparison.
    pub candidates: Vec<Fused<Passage>>,
    /// The answer, if [`AskOptions::answers`] is set.
    pub answer: Option<Answer>,
    /// Duration of the search.
    pub took: Duration,
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
    pub hits: Option<Hits>,
}

/// The platform's answer to a question.
pub struct Answer {
    /// Complete text of the answer.
    pub text: String,
    /// Locations that the answer cites.
    pub cited: Vec<Location>,
    /// Whether at least one cited location is expected.
    pub is_right: bool,
}

impl Answer {
    /// Whether the answer cites nothing, which counts as a statement that the documents do not answer the question.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.cited.is_empty()
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

/// Ranks the passages by each of [`ALTERNATIVES`], without the configured boost for a second passage on a page.
async fn compare(session: &Session, question: &Question) -> Result<(Vec<Ranking>, Vec<Fused<Passage>>)> {
    let search = &session.platform.retrieval;
    let plain = |(_, fusion)| RetrievalParams { fusion, second_on_page: 0.0, ..search.params() };
    let within = full_scope(session);
    let depth = SearchDocuments::MAX_TOP_K as usize;
    let alternatives = ALTERNATIVES.map(plain);
    let comparison =
        search.compare(session.caller.scope(), question.text.as_str(), &within, depth, &alternatives).await?;
    let others = comparison.results.into_iter().map(|found| ranked(session, question, found)).collect();
    Ok((others, comparison.candidates))
}

async fn check_index(session: &Session, question: &Question) -> Result<Option<f32>> {
    let (search, scope) = (&session.platform.retrieval, session.caller.scope());
    let documents: Vec<DocumentId> = session.names.keys().copied().collect();
    Ok(search.index_recall(scope, question.text.as_str(), &full_scope(session), &documents).await?)
}

/// A search scope with all passages that the caller may see.
fn full_scope(session: &Session) -> SearchScope {
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

/// Asks the question in a new conversation, which is deleted afterwards, and lets the platform decide whether to
/// search.
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
            RunEvent::Delta { text: delta } => text.push_str(&delta),
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
    let is_right = cited.iter().any(|location| question.expected.iter().any(|expected| expected.matches(location)));
    Ok(Answer { text, cited, is_right })
}
