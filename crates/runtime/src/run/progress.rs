//! The state and output of a run so far. It stays valid however the loop ends.

use super::answer::AnswerText;
use super::budget::BudgetReservation;
use super::call_recorder::CallRecorder;
use super::citations::CitableSources;
use super::definition::Run;
use super::grounding;
use super::provenance::Provenance;
use crate::prompt::passages;
use crate::prompt::tokens::{TokenBudget, TokenCounter};
use domain::classified::HasClassification;
use domain::conversation::TextRange;
use domain::ids::ApprovalId;
use domain::model::NumberedPassage;
use domain::model_call::ServedBy;
use domain::plant::{CatalogTag, NumberedReading, ReadingContent};
use domain::privacy::PatternCounts;
use domain::role::Classification;
use domain::run::TokenUsage;
use domain::search::Hit;
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The state and output of a run so far.
pub struct RunProgress {
    pub answer: AnswerText,
    /// Passages that were included in prompts or tool results, numbered from 1.
    pub passages: Vec<NumberedPassage>,
    /// Readings that were included in prompts or tool results. They share the numbering of the passages.
    pub readings: Vec<NumberedReading>,
    /// Tags that were found in the catalogue, which indicate the equipment of readings.
    pub known_tags: Vec<CatalogTag>,
    /// Why plant systems that the question is about were not read, for the user.
    pub readings_failure: Option<String>,
    pub provenance: Provenance,
    pub visibility: Visibility,
    pub model: ModelUsage,
    /// Names of the platform's tools that were called, in order.
    pub tools_used: Vec<String>,
    /// Number of tool calls that the model has asked for and that were executed or refused.
    pub tool_calls: u32,
    /// Digests of the instructions of the agents that have worked on the run, by name.
    pub agents: BTreeMap<String, String>,
    /// Names of the tools that returned a result.
    pub successful_tools: BTreeSet<String>,
    /// Approvals that were requested.
    pub approvals: Vec<ApprovalId>,
    /// Whether a fallback served a reply, or a component such as retrieval was unavailable.
    pub degraded: bool,
    /// Byte offset of the platform's acknowledgement in the answer, if there is one.
    pub acknowledgement_start: Option<usize>,
    /// Outcome of the search before the model was called.
    pub search: SearchOutcome,
    /// Budget reserved for the run; [`super::budget_reservation::BudgetReserver::extend`] can increase it.
    pub budget: BudgetReservation,
    /// Counts the tokens of what is added.
    pub counter: TokenCounter,
}

/// Outcome of the search before the model is called. The passages are stored in [`RunProgress::passages`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SearchOutcome {
    /// No search was needed, or it failed.
    NotSearched,
    Searched {
        /// Whether no passage matches the question well.
        is_weak_match: bool,
    },
}

/// The highest classification that the model may see, and the number of items omitted for that reason.
#[derive(Clone, Copy, Debug)]
pub struct Visibility {
    /// The highest classification that the model may see.
    pub max_classification: Classification,
    /// Number of passages, documents, memories and earlier messages that were left out.
    pub omitted_count: u32,
}

/// The model calls, and the backends that served them.
#[derive(Debug, Default)]
pub struct ModelUsage {
    pub calls: CallRecorder,
    /// Token usage of all complete replies.
    pub usage: TokenUsage,
    /// Backend and model that served the last reply.
    pub served_by: Option<ServedBy>,
    /// Whether a fallback served one of the replies.
    pub used_fallback: bool,
    /// For each privacy pattern, the largest number of values that were replaced in one request.
    pub replaced: PatternCounts,
}

impl Visibility {
    /// Removes the items that the model may not see, and counts them as omitted.
    pub fn retain_visible<T: HasClassification>(&mut self, items: &mut Vec<T>) {
        let total = items.len();
        items.retain(|item| item.classification() <= self.max_classification);
        let removed = u32::try_from(total - items.len()).unwrap_or(u32::MAX);
        self.omitted_count = self.omitted_count.saturating_add(removed);
    }
}

impl RunProgress {
    pub fn new(run: &Run) -> Self {
        Self {
            answer: AnswerText::new(run.agent.format),
            passages: Vec::new(),
            readings: Vec::new(),
            known_tags: Vec::new(),
            readings_failure: None,
            provenance: Provenance::default(),
            visibility: Visibility {
                max_classification: run.model_classification_limit,
                omitted_count: run.input.omitted_count(),
            },
            model: ModelUsage::default(),
            tools_used: Vec::new(),
            tool_calls: 0,
            agents: BTreeMap::new(),
            successful_tools: BTreeSet::new(),
            approvals: Vec::new(),
            degraded: false,
            acknowledgement_start: None,
            search: SearchOutcome::NotSearched,
            budget: run.budget.clone(),
            counter: run.agent.counter.clone(),
        }
    }

    /// Returns the statements of the model's answer that no passage or reading supports. Empty if no documents were
    /// searched and no plant system was read, and for a verbatim answer, whose text is not kept.
    pub fn unsupported_statements(&self) -> Vec<TextRange> {
        let has_sources = !self.passages.is_empty() || !self.readings.is_empty();
        if self.search != SearchOutcome::NotSearched || has_sources {
            let text = self.answer.text();
            let written_by_model = text.get(..self.acknowledgement_start.unwrap_or(text.len())).unwrap_or(text);
            let sources = CitableSources { passages: &self.passages, readings: &self.readings };
            grounding::unsupported_statements(written_by_model, sources)
        } else {
            Vec::new()
        }
    }

    /// Adds as many new passages as fit into `budget`, with consecutive numbers. Known passages keep their number.
    /// Returns the indexes of the new ones.
    pub fn add_passages(&mut self, hits: Vec<Hit>, budget: TokenBudget) -> Range<usize> {
        let first = self.passages.len();
        for hit in hits {
            if self.passages.iter().any(|known| known.passage.chunk_id == hit.passage.chunk_id) {
                continue;
            }
            let n = self.next_number();
            let Hit { passage, score, surrounding_text: surroundings, .. } = hit;
            self.passages.push(NumberedPassage { n, passage, score, surrounding_text: surroundings });
        }
        let fitting_count = passages::count_fitting(&self.passages[first..], &self.counter, budget);
        self.passages.truncate(first + fitting_count);
        for NumberedPassage { passage, .. } in &self.passages[first..] {
            self.provenance.sources.add(passage.document_id, passage.classification);
        }
        first..self.passages.len()
    }

    /// Adds readings with consecutive numbers. A tag that is read again gets another number, since its value may be
    /// another. Returns the indexes of the new ones.
    pub fn add_readings(&mut self, contents: Vec<ReadingContent>, read_at: Timestamp) -> Range<usize> {
        let first = self.readings.len();
        for content in contents {
            let mut reading = NumberedReading { n: self.next_number(), content, equipment: None, read_at };
            let known = self.known_tags.iter().find(|known| known.tag == reading.tag());
            reading.equipment = known.and_then(|known| known.equipment.clone());
            self.readings.push(reading);
        }
        first..self.readings.len()
    }

    fn next_number(&self) -> u32 {
        u32::try_from(self.passages.len() + self.readings.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}
