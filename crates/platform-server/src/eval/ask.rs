//! Asks a question of the platform as a user would, through the gate, and weighs what comes back.

use super::places::{Hits, Place, distinct, weigh};
use super::set::Question;
use super::site::Site;
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

/// Ways to rank that the configured one is compared with.
pub const WAYS: [(&str, Fusion); 3] =
    [("dense", Fusion::Dense), ("bm25", Fusion::Lexical), ("rrf", Fusion::ReciprocalRank)];

/// What is asked beside the search.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Whether to have the question answered too.
    pub answers: bool,
    /// Whether to rank in the other ways too.
    pub compare: bool,
    /// Whether to check the vector index against comparing all passages.
    pub check_index: bool,
}

/// A question with what came back.
pub struct Asked<'s> {
    /// The question.
    pub question: &'s Question,
    /// As the platform is configured.
    pub configured: Ranked,
    /// In the order of [`WAYS`]; empty where nothing is compared.
    pub others: Vec<Ranked>,
    /// Everything that either side found; empty where nothing is compared.
    pub candidates: Vec<Fused>,
    /// The answer, where one was asked for.
    pub answer: Option<Answered>,
    /// How long the search took.
    pub took: Duration,
    /// Share of the nearest passages that the vector index finds, where that was checked.
    pub index_recall: Option<f32>,
}

/// What one way to rank made of a question.
pub struct Ranked {
    /// As the search returned it.
    pub retrieval: Retrieval,
    /// The places of the hits, best first.
    pub places: Vec<Place>,
    /// How well they hit; `None` for a question without expected places.
    pub hits: Option<Hits>,
}

/// An answer.
pub struct Answered {
    /// Its text.
    pub text: String,
    /// The places that it cites.
    pub cited: Vec<Place>,
    /// Whether one of them is expected.
    pub is_right: bool,
}

impl Answered {
    /// Whether it says that the documents hold no answer: it rests on none of them.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.cited.is_empty()
    }
}

/// Asks one question.
///
/// # Errors
/// Where the platform refuses, or the database fails.
pub async fn ask<'s>(site: &Site, question: &'s Question, extent: Extent) -> Result<Asked<'s>> {
    let command = SearchDocuments {
        query: question.text.clone(),
        top_k: SearchDocuments::MAX_TOP_K,
        filters: SearchFilters::default(),
    };
    let begun = Instant::now();
    let found = site.platform.gate.execute(&site.caller, command).await;
    let took = begun.elapsed();
    let found = found.with_context(|| format!("the question {} cannot be searched for", question.id))?;
    let configured = ranked(site, question, found);
    let (others, candidates) = if extent.compare { compare(site, question).await? } else { (Vec::new(), Vec::new()) };
    let answer = if extent.answers { Some(answer(site, question).await?) } else { None };
    let index_recall = if extent.check_index { check_index(site, question).await? } else { None };
    Ok(Asked { question, configured, others, candidates, answer, took, index_recall })
}

/// The same question in the other ways: plain lists, as somebody would build them who starts from them.
async fn compare(site: &Site, question: &Question) -> Result<(Vec<Ranked>, Vec<Fused>)> {
    let search = &site.platform.retrieval;
    let plain = |(_, fusion)| RetrievalParams { fusion, second_on_page: 0.0, ..search.params() };
    let within = everything(site);
    let depth = SearchDocuments::MAX_TOP_K as usize;
    let ways = WAYS.map(plain);
    let comparison = search.compare(site.caller.scope(), question.text.as_str(), &within, depth, &ways).await?;
    let others = comparison.results.into_iter().map(|found| ranked(site, question, found)).collect();
    Ok((others, comparison.candidates))
}

async fn check_index(site: &Site, question: &Question) -> Result<Option<f32>> {
    let (search, scope) = (&site.platform.retrieval, site.caller.scope());
    let documents: Vec<DocumentId> = site.names.keys().copied().collect();
    Ok(search.index_recall(scope, question.text.as_str(), &everything(site), &documents).await?)
}

/// All that the caller may see.
fn everything(site: &Site) -> SearchScope {
    SearchScope { filters: SearchFilters::default(), clearance: site.caller.entitlements().clearance }
}

fn ranked(site: &Site, question: &Question, retrieval: Retrieval) -> Ranked {
    let places = distinct(retrieval.hits.iter().map(|hit| place(site, &hit.passage)));
    let hits = question.answerable.then(|| weigh(&places, &question.expected));
    Ranked { retrieval, places, hits }
}

/// The place of a passage, by the name that the set gives its document.
pub fn place(site: &Site, passage: &Passage) -> Place {
    Place::of(&name(site, passage.document_id, &passage.doc), passage.page, passage.section.as_deref())
}

fn name(site: &Site, document: DocumentId, name: &str) -> String {
    site.names.get(&document).cloned().unwrap_or_else(|| format!("{name} (not of the set)"))
}

/// Has the question answered in a conversation of its own, as a client does that leaves retrieval to the platform.
async fn answer(site: &Site, question: &Question) -> Result<Answered> {
    let gate = &site.platform.gate;
    let command = CreateConversation { title: None, model: None, metadata: json!({}) };
    let conversation = gate.execute(&site.caller, command).await?;
    let command = SendMessage {
        conversation: conversation.id,
        message: MessageText::parse(question.text.as_str())?,
        model: None,
        retrieval: RetrievalMode::Auto,
        filters: SearchFilters::default(),
    };
    let mut events = gate.execute(&site.caller, command).await?;
    let (mut text, mut cited) = (String::new(), Vec::new());
    while let Some(event) = events.next().await {
        match event.event {
            RunEvent::Delta { text: piece } => text.push_str(&piece),
            RunEvent::Cited(of) => {
                cited.push(Place::of(&name(site, of.document_id, &of.doc), of.page, of.section.as_deref()));
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
    gate.execute(&site.caller, DeleteConversation { id: conversation.id }).await?;
    let is_right = cited.iter().any(|place| question.expected.iter().any(|expected| expected.is_at(place)));
    Ok(Answered { text, cited, is_right })
}
