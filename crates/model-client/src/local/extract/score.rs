//! Scores the quotable units of the passages by how well they answer a question.

use super::terms::{TermExtractor, Terms, normalize_tag};
use super::units::{Unit, UnitKind, units};
use domain::model::NumberedPassage;
use std::collections::HashMap;

// Weight of a matching term by where it occurs, relative to 1 for the unit itself.
const LEAD_IN_WEIGHT: f32 = 0.6;
const SECTION_WEIGHT: f32 = 0.6;
const PASSAGE_WEIGHT: f32 = 0.25;
const TITLE_WEIGHT: f32 = 0.2;
/// Weight of a plant tag relative to a word of the same inverse document frequency.
const TAG_WEIGHT: f32 = 2.0;
/// Number of units that a plant tag is assumed to occur in. Unlike words, tags are not counted.
const ASSUMED_TAG_UNITS: usize = 4;
/// Weight of a word that occurs in no passage, relative to a word that occurs once: it may be a synonym
/// of one that does.
const ABSENT_WORD_WEIGHT: f32 = 0.8;
/// Score factor for a unit that contains a number if the question asks for one.
const NUMBER_FACTOR: f32 = 1.2;
/// Score factor for a unit that gives a reason (in its own words or its section heading) if the question asks for one.
const REASON_FACTOR: f32 = 1.5;
/// Score factor for a heading without a number.
const TITLE_FACTOR: f32 = 0.6;
/// Score factor for the header row of a table.
const HEADER_ROW_FACTOR: f32 = 0.7;
/// Score factor for a sentence of fewer than [`SHORT_SENTENCE_WORDS`] words.
const SHORT_SENTENCE_FACTOR: f32 = 0.8;
const SHORT_SENTENCE_WORDS: usize = 4;
/// Minimum [`Question::coverage`] of a unit that is an answer: the share of the question's terms, by weight, that the
/// unit and its context contain.
const MIN_COVERAGE: f32 = 0.36;
/// Like [`MIN_COVERAGE`], for units of the best search results: the search already compared their meaning, so less of
/// the question needs to be covered.
const MIN_COVERAGE_IN_BEST: f32 = 0.12;
/// Minimum search score, relative to the top one, at which a passage counts among the best.
const BEST_MIN_RELATIVE_SCORE: f32 = 0.95;
/// Influence of the passage's search score on the score of its units, 0 to 1.
const SEARCH_SCORE_INFLUENCE: f32 = 0.6;

/// Phrases in questions that ask for a number.
const NUMBER_QUESTIONS: &[&str] = &[
    "how much",
    "how many",
    "how long",
    "how far",
    "how fast",
    "how large",
    "how big",
    "how high",
    "how hot",
    "how often",
    "how old",
    "how soon",
    "temperature",
    "pressure",
    "torque",
    "setpoint",
    "range",
    "limit",
    "interval",
    "clearance",
    "speed",
    "flow",
    "level",
    "highest",
    "lowest",
    "maximum",
    "minimum",
    "number",
    "rate",
    "damping",
    "npsh",
    "when",
];

/// Stems of words that introduce a reason.
const REASON_STEMS: &[&str] =
    &["becaus", "caus", "reason", "sinc", "therefor", "due", "weil", "ursach", "ursachen", "grund", "wegen"];

/// Words that ask for a reason.
const REASON_QUESTIONS: &[&str] = &["why", "warum", "weshalb", "wieso"];

/// A unit that may answer the question.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Index of the passage in the request.
    pub passage_index: usize,
    /// The quotable unit.
    pub unit: Unit,
    /// Relevance; comparable within one request only. 0 if neither the unit nor its context shares a term with the
    /// question.
    pub score: f32,
    /// Whether the unit covers enough of the question to be an answer.
    pub is_answer: bool,
}

/// Scores the units of all passages, best first. If the question contains plant tags, passages that lack one of them
/// are skipped. Empty if the question has no terms.
pub(super) fn candidates(question: &str, passages: &[NumberedPassage]) -> Vec<Candidate> {
    let extractor = TermExtractor::new();
    let question_terms = extractor.extract(question);
    let analyzed_passages: Vec<AnalyzedPassage> =
        passages.iter().map(|passage| AnalyzedPassage::new(&extractor, passage)).collect();
    let Some(question) = Question::new(question_terms, question, &analyzed_passages) else { return Vec::new() };
    let best_score = passages.iter().map(|passage| passage.score).fold(f32::MIN_POSITIVE, f32::max);
    let mut candidates: Vec<Candidate> = Vec::new();
    for (index, passage) in analyzed_passages.iter().enumerate() {
        let tag_match = question.tag_match(passage);
        if tag_match == 0.0 {
            continue;
        }
        let min_coverage = if passages[index].score >= BEST_MIN_RELATIVE_SCORE * best_score {
            MIN_COVERAGE_IN_BEST
        } else {
            MIN_COVERAGE
        };
        let search_factor = 1.0 - SEARCH_SCORE_INFLUENCE + SEARCH_SCORE_INFLUENCE * passages[index].score / best_score;
        for unit in &passage.units {
            let coverage = question.coverage(unit, passage);
            let score = coverage * search_factor * tag_match * question.kind_boost(unit, passage);
            candidates.push(Candidate {
                passage_index: index,
                unit: unit.source.clone(),
                score,
                is_answer: coverage >= min_coverage,
            });
        }
    }
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates
}

/// A passage with its units and the terms of its parts.
struct AnalyzedPassage {
    units: Vec<AnalyzedUnit>,
    content: Terms,
    section: Terms,
    title: Terms,
    /// Normalized file name, so that the tag `SOP-MNT-014` matches `SOP-MNT-014-….pdf`.
    file_name: String,
}

struct AnalyzedUnit {
    source: Unit,
    terms: Terms,
    lead_in: Terms,
    word_count: usize,
}

impl AnalyzedPassage {
    fn new(extractor: &TermExtractor, numbered: &NumberedPassage) -> Self {
        let passage = &numbered.passage;
        let text = passage.content.as_str();
        let unit = |unit: Unit| AnalyzedUnit {
            terms: extractor.extract(&text[unit.span.clone()]),
            lead_in: unit.lead_in.clone().map(|lead| extractor.extract(&text[lead])).unwrap_or_default(),
            word_count: text[unit.span.clone()].split_whitespace().count(),
            source: unit,
        };
        Self {
            units: units(text).into_iter().map(unit).collect(),
            content: extractor.extract(text),
            section: extractor.extract(passage.section.as_deref().unwrap_or_default()),
            title: extractor.extract(&passage.title),
            file_name: normalize_tag(&passage.file_name),
        }
    }

    fn has_word(&self, word: &str) -> bool {
        [&self.content, &self.section, &self.title].iter().any(|terms| terms.words.contains(word))
    }
}

/// The question's terms, weighted by their inverse document frequency, where each unit counts as a document.
struct Question {
    words: Vec<(String, f32)>,
    tags: Vec<(String, f32)>,
    total_weight: f32,
    wants_number: bool,
    wants_reason: bool,
}

impl Question {
    /// Weights the terms of a question; `None` if it has none.
    fn new(terms: Terms, text: &str, passages: &[AnalyzedPassage]) -> Option<Self> {
        let units: Vec<&AnalyzedUnit> = passages.iter().flat_map(|passage| &passage.units).collect();
        let mut occurrences: HashMap<&str, usize> = HashMap::new();
        for word in units.iter().flat_map(|unit| &unit.terms.words) {
            *occurrences.entry(word).or_default() += 1;
        }
        let idf = |count: usize| (1.0 + units.len() as f32 / (count as f32 + 0.5)).ln();
        let weight = |word: &str| match occurrences.get(word) {
            Some(count) => idf(*count),
            None if passages.iter().any(|passage| passage.has_word(word)) => idf(1),
            None => ABSENT_WORD_WEIGHT * idf(1),
        };
        let words: Vec<(String, f32)> = terms.words.into_iter().map(|word| (word.clone(), weight(&word))).collect();
        let tags: Vec<(String, f32)> =
            terms.tags.into_iter().map(|tag| (tag, TAG_WEIGHT * idf(ASSUMED_TAG_UNITS))).collect();
        let total: f32 = words.iter().chain(&tags).map(|(_, weight)| weight).sum();
        let lowercase = text.to_lowercase();
        let wants_number = NUMBER_QUESTIONS.iter().any(|words| lowercase.contains(words));
        let wants_reason = lowercase.split_whitespace().any(|word| REASON_QUESTIONS.contains(&word));
        (total > 0.0).then_some(Self { words, tags, total_weight: total, wants_number, wants_reason })
    }

    /// How well the passage matches the question's plant tags, 0 to 1: 1 if the question has none, 0 if the passage
    /// lacks one of them. A question about P-801 must not be answered from a passage about P-101A.
    fn tag_match(&self, passage: &AnalyzedPassage) -> f32 {
        let best_match = |tag: &str| {
            if tag.len() > 3 && passage.file_name.contains(tag) {
                return 1.0;
            }
            let term_sets = [&passage.content, &passage.section, &passage.title];
            term_sets.map(|terms| terms.tag_match(tag)).into_iter().fold(0.0, f32::max)
        };
        self.tags.iter().map(|(tag, _)| best_match(tag)).fold(1.0, f32::min)
    }

    /// The share of the question's terms, by weight, that the unit and its context cover, 0 to 1; 0 for a unit without
    /// terms.
    fn coverage(&self, unit: &AnalyzedUnit, passage: &AnalyzedPassage) -> f32 {
        let term_sets = [
            (&unit.terms, 1.0),
            (&unit.lead_in, LEAD_IN_WEIGHT),
            (&passage.section, SECTION_WEIGHT),
            (&passage.content, PASSAGE_WEIGHT),
            (&passage.title, TITLE_WEIGHT),
        ];
        let best_word_match = |word: &str| {
            term_sets.iter().map(|(terms, set_weight)| terms.word_match(word) * set_weight).fold(0.0, f32::max)
        };
        let best_tag_match = |tag: &str| {
            term_sets.iter().map(|(terms, set_weight)| terms.tag_match(tag) * set_weight).fold(0.0, f32::max)
        };
        let term_count = unit.terms.words.len() + unit.terms.tags.len();
        if term_count == 0 {
            return 0.0;
        }
        let covered_weight: f32 = self.words.iter().map(|(term, weight)| weight * best_word_match(term)).sum::<f32>()
            + self.tags.iter().map(|(term, weight)| weight * best_tag_match(term)).sum::<f32>();
        covered_weight / self.total_weight
    }

    /// Score factor for the form of the unit: higher if it has the number or reason that the question asks for, lower
    /// for headings, header rows and very short sentences.
    fn kind_boost(&self, unit: &AnalyzedUnit, passage: &AnalyzedPassage) -> f32 {
        let number_factor = if self.wants_number && unit.terms.has_number { NUMBER_FACTOR } else { 1.0 };
        let reason_factor = if self.wants_reason && gives_reason(unit, passage) { REASON_FACTOR } else { 1.0 };
        let heading_factor = match unit.source.kind {
            UnitKind::Title if !unit.terms.has_number => TITLE_FACTOR,
            UnitKind::HeaderRow => HEADER_ROW_FACTOR,
            _ => 1.0,
        };
        let length_factor = if unit.word_count < SHORT_SENTENCE_WORDS && unit.source.kind == UnitKind::Sentence {
            SHORT_SENTENCE_FACTOR
        } else {
            1.0
        };
        number_factor * reason_factor * heading_factor * length_factor
    }
}

/// Whether the unit gives a reason, in its own words or in its section heading.
fn gives_reason(unit: &AnalyzedUnit, passage: &AnalyzedPassage) -> bool {
    REASON_STEMS.iter().any(|stem| unit.terms.words.contains(*stem) || passage.section.words.contains(*stem))
}
