//! Finds the statements of an answer that its passages and readings do not support.
//!
//! A statement with citation markers is compared with the passages and readings that it cites, one without markers with
//! each passage and each reading of the run. They must contain its numbers with their units, its identifiers and enough
//! of its words, and must not say the opposite. A statement about a stale or bad reading must say that it is stale or
//! bad. This needs no model.

mod absence;
mod compare;
mod content;
mod evidence;
mod lexicon;
mod order;
mod parts;
mod periods;
mod quantities;
mod readings;
mod statements;
mod units;
mod words;

use super::citations::CitableSources;
use crate::language::Language;
use absence::{AbsenceStatement, absence};
use domain::conversation::TextRange;
use domain::model::NumberedPassage;
use evidence::Evidence;
use parts::Part;
use readings::ReadingEvidence;
use statements::{Statement, statements};

/// Minimum length, in bytes, of a word that names a topic by itself.
const MIN_SPECIFIC_WORD: usize = 8;
/// Words of questions that a number answers.
const QUANTITY_QUESTIONS: &[&str] =
    &["how often", "how much", "how many", "how long", "how high", "wie oft", "wie viel", "wie lange", "wie hoch"];
/// Words of questions that the same sentence may leave open: the reason, the person, the place, the method.
const OPEN_QUESTIONS: &[&str] = &[
    "why",
    "who",
    "where",
    "how to",
    "how the",
    "whether",
    "what happens",
    "which",
    "warum",
    "wer ",
    "wo ",
    "womit",
    "ob ",
    "welche",
    "was ",
];

/// Returns the statements of `answer` that are not supported, in order. Each range counts Unicode code points and
/// includes the statement's markers.
#[must_use]
pub fn unsupported_statements(answer: &str, sources: CitableSources<'_>) -> Vec<TextRange> {
    let evidence = RunEvidence {
        passages: sources.passages.iter().map(numbered_evidence).collect(),
        readings: sources.readings.iter().map(ReadingEvidence::new).collect(),
    };
    let language_of_passages = || evidence.passages.iter().find_map(|passage| passage.evidence.language());
    let language = content::language(answer).or_else(language_of_passages);
    let mut unsupported: Vec<TextRange> = Vec::new();
    let mut position = Position::default();
    for statement in statements(answer) {
        if is_supported(&statement, language, &evidence) {
            continue;
        }
        let range = TextRange {
            start: position.advance(answer, statement.span.start),
            end: position.advance(answer, statement.span.end),
        };
        unsupported.push(range);
    }
    unsupported
}

/// The sources with which the statements of an answer are compared.
struct RunEvidence<'p> {
    passages: Vec<NumberedEvidence<'p>>,
    readings: Vec<ReadingEvidence>,
}

/// A passage's number and its text.
struct NumberedEvidence<'p> {
    n: u32,
    evidence: Evidence<'p>,
}

/// The text around a passage determines which equipment it is about. It is not cited, so it supports nothing.
fn numbered_evidence(numbered: &NumberedPassage) -> NumberedEvidence<'_> {
    let passage = &numbered.passage;
    let headings = [Some(passage.file_name.as_str()), Some(passage.title.as_str()), passage.section.as_deref()];
    let headings = headings.into_iter().flatten().collect::<Vec<_>>().join("\n");
    let before = numbered.surrounding_text.before.as_deref().unwrap_or_default();
    NumberedEvidence { n: numbered.n, evidence: Evidence::new(headings, before, &passage.content) }
}

fn is_supported(statement: &Statement<'_>, language: Option<Language>, evidence: &RunEvidence<'_>) -> bool {
    let is_cited = |n: u32| statement.cited_numbers.is_empty() || statement.cited_numbers.contains(&n);
    let passages = evidence.passages.iter().filter(|passage| is_cited(passage.n));
    let passages: Vec<&Evidence<'_>> = passages.map(|passage| &passage.evidence).collect();
    let readings: Vec<&ReadingEvidence> = evidence.readings.iter().filter(|reading| is_cited(reading.n)).collect();
    let is_supported = |claim: &Part| {
        if statement.cited_numbers.is_empty() {
            is_claim_supported(claim, statement, &passages)
                || readings.iter().any(|reading| readings::supports_uncited(reading, claim, statement.text))
        } else if readings.is_empty() {
            is_claim_supported(claim, statement, &passages)
        } else {
            readings::jointly_support(&readings, &passages, claim, statement.text)
        }
    };
    let Some(AbsenceStatement { absent, claim }) = absence(statement.text) else {
        let claim = Part::of_statement(statement.text, language);
        return is_supported(&claim);
    };
    let is_denial_true = !passages.iter().any(|passage| answers(passage, &absent));
    let claim = Part::of_statement(&claim, language);
    is_denial_true && (claim.content.is_empty() || is_supported(&claim))
}

fn is_claim_supported(claim: &Part, statement: &Statement<'_>, passages: &[&Evidence<'_>]) -> bool {
    if statement.cited_numbers.is_empty() {
        return claim.content.is_trivial() || passages.iter().any(|passage| passage.supports_uncited(claim));
    }
    evidence::jointly_support(passages, claim) && passages.iter().all(|passage| passage.is_relevant_to(&claim.content))
}

/// Returns whether a passage has what a sentence says to be absent. Errs on the side of the sentence: the passage must
/// have all of its words in one sentence, and a number if that is what is missing.
fn answers(passage: &Evidence<'_>, absent: &str) -> bool {
    let lower = absent.to_lowercase();
    let has_any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let topic = absence::topic(absent);
    let is_single = topic.identifiers.len() + topic.stems.len() < 2;
    let is_specific = !is_single || topic.stems.iter().any(|stem| stem.len() >= MIN_SPECIFIC_WORD);
    let needs_number = is_single || has_any(QUANTITY_QUESTIONS);
    is_specific && (needs_number || !has_any(OPEN_QUESTIONS)) && passage.is_about(&topic, needs_number)
}

/// A position in a text, in bytes and in code points.
#[derive(Default)]
struct Position {
    bytes: usize,
    code_points: u32,
}

impl Position {
    /// Moves forward to a byte of the text, and returns the number of code points before it.
    fn advance(&mut self, text: &str, bytes: usize) -> u32 {
        let between = text.get(self.bytes..bytes).map_or(0, |between| between.chars().count());
        self.code_points = self.code_points.saturating_add(u32::try_from(between).unwrap_or(u32::MAX));
        self.bytes = bytes;
        self.code_points
    }
}

#[cfg(test)]
mod labelled;
#[cfg(test)]
mod tests;
