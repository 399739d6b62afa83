//! Decides whether passages support a statement: they must contain its numbers, its identifiers and enough of its
//! words, and must not contradict it.

use super::compare::SharedSubject;
use super::content::{Content, Polarity};
use super::parts::{Part, TextParser};
use super::quantities::Quantity;
use crate::language::Language;
use std::cell::OnceCell;

/// Minimum share of a statement's words that the cited passages must contain together.
const MIN_SHARED_WORDS: f64 = 0.65;
/// Minimum share of the words of each clause.
const MIN_SHARED_WORDS_OF_CLAUSE: f64 = 0.34;
/// The same for a statement with a number, which the passages must contain too.
const MIN_SHARED_WORDS_WITH_NUMBER: f64 = 0.5;
/// Minimum share of a statement's words that makes a cited passage relevant.
const MIN_RELEVANCE: f64 = 0.25;
/// Minimum share of a clause's words in a clause about the same subject, which can contradict it.
const SAME_SUBJECT: f64 = 0.6;
/// By how much another clause must be closer to a statement than the clause with its number, to show that the number
/// belongs to something else.
const MIN_LEAD: f64 = 0.1;
/// Clauses that are this much farther from a statement than the closest one are considered too.
const TIE: f64 = 0.1;

/// Maximum number of quantities of a clause whose place in the passages is checked.
const MAX_QUANTITIES: usize = 8;

/// A passage that may support statements. It is analyzed when a statement needs it: most answers are about few of their
/// passages, and only those that share a statement's words are read clause by clause.
pub(super) struct Evidence<'p> {
    headings: String,
    /// The text before the passage, used only to determine which equipment it is about.
    before: &'p str,
    content: &'p str,
    whole: OnceCell<Content>,
    parts: OnceCell<Vec<Part>>,
}

impl<'p> Evidence<'p> {
    pub(super) fn new(headings: String, before: &'p str, content: &'p str) -> Self {
        Self { headings, before, content, whole: OnceCell::new(), parts: OnceCell::new() }
    }

    pub(super) fn whole(&self) -> &Content {
        self.whole.get_or_init(|| {
            let mut whole = Content::of(&format!("{}\n{}", self.headings, self.content));
            whole.add_names_of(self.before);
            whole
        })
    }

    fn parts(&self) -> &[Part] {
        self.parts.get_or_init(|| {
            let mut parser = TextParser::default();
            let mut parts = parser.parts(&self.headings);
            parser.parts(self.before);
            parts.extend(parser.parts(self.content));
            parts
        })
    }

    pub(super) fn language(&self) -> Option<Language> {
        self.whole().language
    }

    /// Returns whether the text supports a statement without citation markers; see [`jointly_support`]. A text in
    /// another language supports only statements with a number or an identifier, since words cannot be compared.
    pub(super) fn supports_uncited(&self, statement: &Part) -> bool {
        let content = &statement.content;
        (content.has_number_or_name() || !content.is_in_other_language(self.whole()))
            && jointly_support(&[self], statement)
    }

    /// Returns whether the text has enough in common with the statement to be cited for it. A text in another language
    /// always has.
    pub(super) fn is_relevant_to(&self, statement: &Content) -> bool {
        statement.is_in_other_language(self.whole())
            || statement.shared_words(|stem| self.whole().has_word(stem)) >= MIN_RELEVANCE
            || statement.quantities.iter().any(|quantity| self.whole().states(quantity))
    }

    /// Returns whether one sentence is about all of a topic.
    pub(super) fn is_about(&self, topic: &Content, needs_number: bool) -> bool {
        self.parts().iter().map(|part| &part.content).any(|sentence| {
            let has_all = topic.shared_words(|stem| sentence.has_word(stem)) >= 1.0
                && topic.required_identifiers().all(|identifier| sentence.names(identifier));
            has_all && (!needs_number || !sentence.quantities.is_empty())
        })
    }
}

/// Returns whether the passages that a statement cites support it together: each number with its unit and each
/// identifier is in one of them, they contain enough of its words, and none has a sentence that contradicts it.
///
/// Words are not compared across languages.
pub(super) fn jointly_support(cited: &[&Evidence<'_>], statement: &Part) -> bool {
    let content = &statement.content;
    let any = |is_in: &dyn Fn(&Content) -> bool| cited.iter().any(|evidence| is_in(evidence.whole()));
    let is_stated = |quantity: &Quantity| any(&|whole| whole.states(quantity));
    let is_named = |identifier: &String| any(&|whole| whole.names(identifier));
    let is_comparable = cited.iter().any(|evidence| !content.is_in_other_language(evidence.whole()));
    let shared_words = content.shared_words(|stem| any(&|whole| whole.has_word(stem)));
    let min_shared_words = if content.quantities.is_empty() { MIN_SHARED_WORDS } else { MIN_SHARED_WORDS_WITH_NUMBER };
    let is_known = |clause: &Content| {
        clause.stems.len() < 2
            || clause.shared_words(|stem| any(&|whole| whole.has_word(stem))) >= MIN_SHARED_WORDS_OF_CLAUSE
    };
    let parts = || cited.iter().flat_map(|evidence| evidence.parts()).collect::<Vec<_>>();
    !cited.is_empty()
        && content.quantities.iter().all(is_stated)
        && content.required_identifiers().all(is_named)
        && (!is_comparable || (shared_words >= min_shared_words && statement.clauses.iter().all(is_known)))
        && !is_contradicted(statement, &parts())
}

fn is_contradicted(statement: &Part, parts: &[&Part]) -> bool {
    statement.clauses.iter().any(|clause| {
        let candidates = candidates(clause, &statement.content, parts);
        has_only_opposites(clause, &candidates)
            || has_only_other_equipment(clause, &candidates)
            || clause
                .quantities
                .iter()
                .take(MAX_QUANTITIES)
                .any(|quantity| is_of_something_else(quantity, clause, &candidates))
            || mixes_quantities(clause, parts)
            || is_negated_without_evidence(clause, &candidates)
    }) || has_only_other_equipment(&statement.content, &candidates(&statement.content, &statement.content, parts))
        || has_only_opposite_sentences(&statement.content, parts)
        || is_in_reverse_order(statement, parts)
}

/// A clause or a sentence of a passage that is compared with a clause of a statement.
struct Candidate<'c> {
    content: &'c Content,
    /// Its comparison with the clause.
    shared: SharedSubject,
    /// How close it is to the clause and its sentence to the statement, 0 to 1.
    score: f64,
    /// The share of the statement's subject that its sentence has.
    of_sentence: f64,
    is_sentence: bool,
}

fn candidates<'c>(clause: &Content, statement: &Content, parts: &[&'c Part]) -> Vec<Candidate<'c>> {
    let mut found = Vec::new();
    for part in parts {
        let of_sentence = statement.shared_subject(&part.content).share();
        let candidate = |content: &'c Content, is_sentence: bool| {
            let shared = clause.shared_subject(content);
            Candidate { content, shared, score: score(shared.share(), of_sentence), of_sentence, is_sentence }
        };
        found.extend(part.clauses.iter().map(|clause| candidate(clause, false)));
        found.extend((part.clauses.len() > 1).then(|| candidate(&part.content, true)));
    }
    found
}

fn score(of_clause: f64, of_sentence: f64) -> f64 {
    (2.0 * of_clause + of_sentence) / 3.0
}

/// Returns the candidates that are about as close as the closest one.
fn closest<'a, 'c>(candidates: &[&'a Candidate<'c>]) -> Vec<&'a Candidate<'c>> {
    let best = candidates.iter().map(|candidate| candidate.score).fold(0.0, f64::max);
    candidates.iter().filter(|candidate| candidate.score >= best - TIE).copied().collect()
}

/// Returns whether all clauses that are closest to a statement's clause say the opposite. If it has numbers, the
/// clauses with these are the closest; whole sentences are compared only if no clause is about the same subject.
fn has_only_opposites(clause: &Content, candidates: &[Candidate<'_>]) -> bool {
    let is_about_same =
        |candidate: &&Candidate<'_>| candidate.shared.share() >= SAME_SUBJECT && candidate.shared.is_specific();
    let has_number = |candidate: &&Candidate<'_>| {
        candidate.shared.share() >= MIN_RELEVANCE && clause.quantities.iter().any(|q| candidate.content.states(q))
    };
    let clauses: Vec<&Candidate<'_>> = candidates.iter().filter(|candidate| !candidate.is_sentence).collect();
    let choices: [Vec<&Candidate<'_>>; 3] = [
        clauses.iter().copied().filter(has_number).collect(),
        clauses.iter().copied().filter(is_about_same).collect(),
        candidates.iter().filter(is_about_same).collect(),
    ];
    let chosen = choices.iter().find(|choice| !choice.is_empty());
    chosen.is_some_and(|choice| closest(choice).iter().all(|found| clause.is_opposite_of(found.content)))
}

/// Returns whether all clauses that have the most of a clause's words are about other equipment of the same kind.
fn has_only_other_equipment(clause: &Content, candidates: &[Candidate<'_>]) -> bool {
    let scored = |are_sentences: bool| {
        let candidates = candidates.iter().filter(move |candidate| candidate.is_sentence == are_sentences);
        let comparable = candidates.filter(|candidate| !candidate.content.is_in_other_language(clause));
        let shared = |content: &Content| clause.shared_words(|stem| content.has_word(stem));
        let scored = comparable.map(|candidate| (shared(candidate.content), candidate.content));
        scored.filter(|(share, _)| clause.stems.len() >= 2 && *share >= SAME_SUBJECT).collect::<Vec<_>>()
    };
    let of_clauses = scored(false);
    let scored = if of_clauses.is_empty() { scored(true) } else { of_clauses };
    let best = scored.iter().map(|(share, _)| *share).fold(0.0, f64::max);
    let mut closest = scored.iter().filter(|(share, _)| *share >= best - TIE);
    !scored.is_empty() && closest.all(|(_, content)| clause.names_other_equipment_than(content))
}

/// Returns whether a quantity is in the passages, but not for what the clause is about: another clause that has a
/// different quantity of this kind is closer to it, or the quantity belongs to other equipment or to another limit.
fn is_of_something_else(quantity: &Quantity, clause: &Content, candidates: &[Candidate<'_>]) -> bool {
    let clauses = candidates.iter().filter(|candidate| !candidate.is_sentence);
    let (with, without): (Vec<_>, Vec<_>) = clauses.partition(|found| found.content.states(quantity));
    let is_alone = clause.quantities.len() == 1;
    let is_alike = |own: &&Quantity| *own != quantity && own.has_unit() && own.is_implied() == quantity.is_implied();
    let is_rival = |found: &&&Candidate<'_>| {
        let states_other_of_clause = || clause.quantities.iter().filter(is_alike).any(|own| found.content.states(own));
        let has_comparable = found.content.quantities.iter().any(|other| quantity.is_comparable_with(other));
        has_comparable && if quantity.has_unit() { !states_other_of_clause() } else { is_alone }
    };
    let strict_score = |found: &Candidate<'_>| {
        let others = clause.quantities.iter().filter(|other| *other != quantity && !other.has_unit());
        let shared = others.fold(found.shared, |shared, other| shared.with_quantity(found.content.states(other)));
        score(shared.strict_share(), found.of_sentence)
    };
    let best =
        |found: &mut dyn Iterator<Item = &&Candidate<'_>>| found.map(|found| strict_score(found)).fold(0.0, f64::max);
    let is_other = |found: &&Candidate<'_>| {
        clause.has_excluded_limit(found.content) || clause.names_other_equipment_than(found.content)
    };
    let rival = best(&mut without.iter().filter(is_rival));
    !with.is_empty() && (with.iter().all(is_other) || rival > best(&mut with.iter()) + MIN_LEAD)
}

/// Returns whether two quantities of a clause are nowhere together, although a sentence has one of them together with
/// another quantity of the other's kind.
fn mixes_quantities(clause: &Content, parts: &[&Part]) -> bool {
    let is_mixed = |a: &Quantity, b: &Quantity| {
        let mut with_a = parts.iter().filter(|part| part.content.states(a)).peekable();
        let has_other = |part: &&&Part| part.clauses.iter().any(|clause| clause.states(a) && clause.has_other_than(b));
        with_a.peek().is_some()
            && with_a.clone().all(|part| !part.content.states(b))
            && with_a.any(|part| has_other(&part))
    };
    let quantities = || clause.quantities.iter().take(MAX_QUANTITIES);
    let pairs = quantities().flat_map(|a| quantities().map(move |b| (a, b)));
    let is_only = |a: &Quantity| clause.quantities.iter().filter(|other| a.is_comparable_with(other)).count() == 1;
    pairs
        .filter(|(a, b)| is_only(a) && is_only(b) && a.has_unit() && b.has_unit() && !a.is_comparable_with(b))
        .any(|(a, b)| is_mixed(a, b))
}

/// Returns whether each of the closest sentences excludes what the statement says: it says `closed` where they say
/// `open`.
fn has_only_opposite_sentences(statement: &Content, parts: &[&Part]) -> bool {
    let scored: Vec<_> = parts
        .iter()
        .map(|part| (statement.shared_subject(&part.content), &part.content))
        .filter(|(shared, _)| shared.share() >= SAME_SUBJECT && shared.is_specific())
        .map(|(shared, content)| (shared.share(), content))
        .collect();
    let best = scored.iter().map(|(score, _)| *score).fold(0.0, f64::max);
    let mut closest = scored.iter().filter(|(score, _)| *score >= best - TIE);
    !scored.is_empty() && closest.all(|(_, sentence)| statement.is_excluded_by(sentence))
}

fn is_in_reverse_order(statement: &Part, parts: &[&Part]) -> bool {
    let step = |part: &&&Part| part.step.is_some();
    let steps: Vec<&Content> = parts.iter().filter(step).map(|part| &part.content).collect();
    statement.orders.iter().any(|order| {
        let orders = || parts.iter().flat_map(|part| &part.orders);
        let is_in_sequence = |part: &&&Part| order.is_reverse_of_steps(&part.clauses.iter().collect::<Vec<_>>());
        orders().any(|other| order.is_reverse_of(other))
            || order.is_reverse_of_steps(&steps)
            || parts.iter().filter(|part| part.orders.is_empty()).any(|part| is_in_sequence(&part))
    })
}

/// Returns whether a clause negates what no passage negates.
fn is_negated_without_evidence(clause: &Content, candidates: &[Candidate<'_>]) -> bool {
    let is_evidence = |candidate: &Candidate<'_>| {
        let is_negated = candidate.content.polarity != Polarity::Affirmed;
        candidate.shared.share() >= MIN_SHARED_WORDS_OF_CLAUSE
            && (is_negated || clause.has_other_side(candidate.content))
    };
    let is_comparable = candidates.iter().any(|candidate| !candidate.content.is_in_other_language(clause));
    clause.is_negated_claim() && is_comparable && !candidates.iter().any(is_evidence)
}
