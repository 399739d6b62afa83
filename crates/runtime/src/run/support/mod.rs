//! Finds the statements of an answer that its passages do not support.
//!
//! A statement with citation markers is compared with the passages that it cites, one without markers with each passage
//! of the run. The passages must contain its numbers with their units, its identifiers and enough of its words. This
//! needs no model, and takes well below a millisecond for an answer.

mod evidence;
mod quantities;
mod statements;

use domain::conversation::TextRange;
use domain::model::NumberedPassage;
use evidence::{Evidence, TextAnalyzer};
use statements::{Statement, statements};

/// Words about the documents themselves.
const DOCUMENT_WORDS: &[&str] =
    &["document", "passage", "source", "manual", "dokument", "quelle", "unterlagen", "textstelle"];
/// Words that say that something is absent.
const ABSENCE_WORDS: &[&str] = &[" not ", " no ", "n't ", "n’t ", "nothing", "none", " nicht", "kein", "nichts"];

/// Returns the statements of `answer` that are not supported, in order. Each range counts Unicode code points and
/// includes the statement's markers.
#[must_use]
pub fn unsupported_statements(answer: &str, passages: &[NumberedPassage]) -> Vec<TextRange> {
    let comparer = TextAnalyzer::new();
    let evidence: Vec<NumberedEvidence> =
        passages.iter().map(|passage| numbered_evidence(&comparer, passage)).collect();
    let mut unsupported: Vec<TextRange> = Vec::new();
    let mut position = Position::default();
    for statement in statements(answer) {
        if is_supported(&comparer, &statement, &evidence) {
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

/// A passage's number and its analyzed text.
struct NumberedEvidence {
    n: u32,
    evidence: Evidence,
}

fn numbered_evidence(comparer: &TextAnalyzer, numbered: &NumberedPassage) -> NumberedEvidence {
    let (passage, surroundings) = (&numbered.passage, &numbered.surrounding_text);
    let parts = [
        Some(passage.file_name.as_str()),
        Some(passage.title.as_str()),
        passage.section.as_deref(),
        surroundings.before.as_deref(),
        Some(passage.content.as_str()),
        surroundings.after.as_deref(),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join("\n");
    NumberedEvidence { n: numbered.n, evidence: comparer.evidence(&text) }
}

fn is_supported(comparer: &TextAnalyzer, statement: &Statement<'_>, evidence: &[NumberedEvidence]) -> bool {
    let content = comparer.content(statement.text);
    if statement.cited_numbers.is_empty() {
        return content.is_trivial()
            || is_about_absence(statement.text)
            || evidence.iter().any(|passage| passage.evidence.supports_uncited(&content));
    }
    let cited: Vec<&Evidence> = evidence
        .iter()
        .filter(|passage| statement.cited_numbers.contains(&passage.n))
        .map(|passage| &passage.evidence)
        .collect();
    evidence::jointly_support(&cited, &content) && cited.iter().all(|passage| passage.is_relevant_to(&content))
}

/// Returns whether a statement says that the documents do not contain something.
fn is_about_absence(statement: &str) -> bool {
    let lower = format!(" {} ", statement.to_lowercase());
    let has_any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    has_any(DOCUMENT_WORDS) && has_any(ABSENCE_WORDS)
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
mod tests;
