//! Which pieces of the passages answer a question.

use super::terms::{Reader, Terms, squeeze};
use super::units::{Kind, Unit, units};
use domain::model::NumberedPassage;
use std::collections::HashMap;

/// What a word counts where it stands: in the piece itself, its lead-in, its section or beside it, the document.
const IN_LEAD: f32 = 0.6;
const IN_SECTION: f32 = 0.6;
const IN_PASSAGE: f32 = 0.25;
const IN_TITLE: f32 = 0.2;
/// An identifier counts this many times a word that is as rare.
const TAG_WEIGHT: f32 = 2.0;
/// What a piece gains by a number, where the question asks for one.
const NUMBER_GAIN: f32 = 1.2;
/// What a piece gains where the question asks for a reason and the piece, or its section, gives one.
const REASON_GAIN: f32 = 1.5;
/// Where a piece covers less than this share of the question, it answers something else.
const LEAST_COVERAGE: f32 = 0.36;
/// The same in the passages that the search found best: it knows meaning, so that fewer words have to agree.
const LEAST_IN_BEST: f32 = 0.12;
/// A passage whose score is this share of the best one's is among the best.
const AMONG_BEST: f32 = 0.95;
/// How much of a piece's score hangs on how well its passage was found: the search knows meaning, which words do not.
const SEARCH_SHARE: f32 = 0.6;

/// Words that ask for a number.
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

/// Stems of words that announce a reason.
const REASONS: &[&str] = &["becaus", "caus", "reason", "sinc", "therefor", "due"];

/// A piece that answers.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The passage's place in the request.
    pub passage: usize,
    /// The piece.
    pub unit: Unit,
    /// How well it answers; comparable within one request only.
    pub score: f32,
}

/// The pieces of `passages` that answer `question`, best first; empty where nothing does.
pub(super) fn candidates(question: &str, passages: &[NumberedPassage]) -> Vec<Candidate> {
    let reader = Reader::new();
    let asked = reader.read(question);
    let read: Vec<ReadPassage> = passages.iter().map(|passage| ReadPassage::new(&reader, passage)).collect();
    let Some(question) = Question::weigh(asked, question, &read) else { return Vec::new() };
    let best_score = passages.iter().map(|passage| passage.score).fold(f32::MIN_POSITIVE, f32::max);
    let mut found: Vec<Candidate> = Vec::new();
    for (at, passage) in read.iter().enumerate() {
        let tags = question.tags_in(passage);
        if tags == 0.0 {
            continue;
        }
        let least = if passages[at].score >= AMONG_BEST * best_score { LEAST_IN_BEST } else { LEAST_COVERAGE };
        let found_by_search = 1.0 - SEARCH_SHARE + SEARCH_SHARE * passages[at].score / best_score;
        for piece in &passage.pieces {
            let coverage = question.coverage(piece, passage);
            if coverage >= least {
                let score = coverage * found_by_search * tags * question.form(piece, passage);
                found.push(Candidate { passage: at, unit: piece.unit.clone(), score });
            }
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

/// A passage taken apart.
struct ReadPassage {
    pieces: Vec<Piece>,
    whole: Terms,
    section: Terms,
    title: Terms,
    /// The file's name without separators: `SOP-MNT-014-….pdf` is asked for as `SOP-MNT-014`.
    name: String,
}

struct Piece {
    unit: Unit,
    own: Terms,
    lead: Terms,
    words: usize,
}

impl ReadPassage {
    fn new(reader: &Reader, numbered: &NumberedPassage) -> Self {
        let passage = &numbered.passage;
        let text = passage.content.as_str();
        let piece = |unit: Unit| Piece {
            own: reader.read(&text[unit.span.clone()]),
            lead: unit.lead.clone().map(|lead| reader.read(&text[lead])).unwrap_or_default(),
            words: text[unit.span.clone()].split_whitespace().count(),
            unit,
        };
        Self {
            pieces: units(text).into_iter().map(piece).collect(),
            whole: reader.read(text),
            section: reader.read(passage.section.as_deref().unwrap_or_default()),
            title: reader.read(&passage.title),
            name: squeeze(&passage.doc),
        }
    }

    fn has_word(&self, word: &str) -> bool {
        [&self.whole, &self.section, &self.title].iter().any(|terms| terms.words.contains(word))
    }
}

/// A question, its terms weighed by how rare they are in what was found.
struct Question {
    words: Vec<(String, f32)>,
    tags: Vec<(String, f32)>,
    total: f32,
    wants_number: bool,
    wants_reason: bool,
}

impl Question {
    /// `None` where the question has no words to go by.
    fn weigh(asked: Terms, text: &str, passages: &[ReadPassage]) -> Option<Self> {
        let pieces: Vec<&Piece> = passages.iter().flat_map(|passage| &passage.pieces).collect();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for word in pieces.iter().flat_map(|piece| &piece.own.words) {
            *seen.entry(word).or_default() += 1;
        }
        let rarity = |count: usize| (1.0 + pieces.len() as f32 / (count as f32 + 0.5)).ln();
        let weight = |word: &str| match seen.get(word) {
            Some(count) => rarity(*count),
            None if passages.iter().any(|passage| passage.has_word(word)) => rarity(1),
            // A word that stands nowhere may just be the asker's own for something that does.
            None => 0.8 * rarity(1),
        };
        let words: Vec<(String, f32)> = asked.words.into_iter().map(|word| (word.clone(), weight(&word))).collect();
        let tags: Vec<(String, f32)> = asked.tags.into_iter().map(|tag| (tag, TAG_WEIGHT * rarity(4))).collect();
        let total: f32 = words.iter().chain(&tags).map(|(_, weight)| weight).sum();
        let lower = text.to_lowercase();
        let wants_number = NUMBER_QUESTIONS.iter().any(|words| lower.contains(words));
        let wants_reason = lower.split_whitespace().any(|word| word == "why");
        (total > 0.0).then_some(Self { words, tags, total, wants_number, wants_reason })
    }

    /// How far the passage is about what the question names: 1 where the question names nothing, 0 where the passage
    /// has nothing of it. What is asked of P-801 must not be answered from a page on P-101A.
    fn tags_in(&self, passage: &ReadPassage) -> f32 {
        let best = |tag: &str| {
            if tag.len() > 3 && passage.name.contains(tag) {
                return 1.0;
            }
            let places = [&passage.whole, &passage.section, &passage.title];
            places.map(|terms| terms.has_tag(tag)).into_iter().fold(0.0, f32::max)
        };
        self.tags.iter().map(|(tag, _)| best(tag)).fold(1.0, f32::min)
    }

    /// The share of the question, by weight, that the piece speaks of.
    fn coverage(&self, piece: &Piece, passage: &ReadPassage) -> f32 {
        let places = [
            (&piece.own, 1.0),
            (&piece.lead, IN_LEAD),
            (&passage.section, IN_SECTION),
            (&passage.whole, IN_PASSAGE),
            (&passage.title, IN_TITLE),
        ];
        let word = |word: &str| places.iter().map(|(terms, worth)| terms.has(word) * worth).fold(0.0, f32::max);
        let tag = |tag: &str| places.iter().map(|(terms, worth)| terms.has_tag(tag) * worth).fold(0.0, f32::max);
        let own = piece.own.words.len() + piece.own.tags.len();
        if own == 0 {
            return 0.0;
        }
        let sum: f32 = self.words.iter().map(|(term, weight)| weight * word(term)).sum::<f32>()
            + self.tags.iter().map(|(term, weight)| weight * tag(term)).sum::<f32>();
        sum / self.total
    }

    /// What the piece's form is worth: a heading says little, and a number is wanted or not.
    fn form(&self, piece: &Piece, passage: &ReadPassage) -> f32 {
        let number = if self.wants_number && piece.own.has_number { NUMBER_GAIN } else { 1.0 };
        let gives_reason =
            REASONS.iter().any(|word| piece.own.words.contains(*word) || passage.section.words.contains(*word));
        let reason = if self.wants_reason && gives_reason { REASON_GAIN } else { 1.0 };
        let kind = match piece.unit.kind {
            Kind::Title if !piece.own.has_number => 0.6,
            Kind::HeaderRow => 0.7,
            _ => 1.0,
        };
        let length = if piece.words < 4 && piece.unit.kind == Kind::Sentence { 0.8 } else { 1.0 };
        number * reason * kind * length
    }
}
