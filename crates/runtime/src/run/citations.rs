//! Citations: finds the passages that an answer cites, and the quote from each that supports the cited statement.

use domain::conversation::Citation;
use domain::model::NumberedPassage;
use std::collections::HashSet;
use std::num::IntErrorKind;

/// Maximum length of a quote, in characters.
const MAX_QUOTE_CHARS: usize = 300;

/// Finds the citation markers of an answer (`[1]`, `[1, 2]`) while it is streamed.
#[derive(Default)]
pub struct CitationScanner {
    text: String,
    scanned_bytes: usize,
    cited_numbers: HashSet<u32>,
}

impl CitationScanner {
    /// Appends the next piece of the answer. Returns the new citations, whose first marker this piece completes; each
    /// passage is returned once.
    pub fn push(&mut self, piece: &str, passages: &[NumberedPassage]) -> Vec<Citation> {
        self.text.push_str(piece);
        let mut found = Vec::new();
        while let Some(open) = self.text[self.scanned_bytes..].find('[').map(|at| at + self.scanned_bytes) {
            let Some(close) = self.text[open..].find(']').map(|at| at + open) else {
                // A later piece may complete the marker, unless the text is already too long for one.
                if self.text.len() - open > 32 {
                    self.scanned_bytes = open + 1;
                    continue;
                }
                break;
            };
            let statement = statement_before(&self.text[..open]);
            for n in marker_numbers(&self.text[open + 1..close]) {
                if let Some(passage) = passages.iter().find(|passage| passage.n == n)
                    && self.cited_numbers.insert(n)
                {
                    found.push(citation(passage, statement));
                }
            }
            self.scanned_bytes = close + 1;
        }
        found
    }

    /// Returns the text of the answer so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the complete text of the answer.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

/// Parses the numbers in a marker: `1`, `1, 2` or `1;2`. A number that is too large becomes `u32::MAX`, which no
/// passage has. Returns an empty list for any other text in brackets.
pub(super) fn marker_numbers(marker_text: &str) -> Vec<u32> {
    let number = |part: &str| match part.trim().trim_start_matches('^').parse::<u32>() {
        Ok(number) => Some(number),
        Err(error) => (*error.kind() == IntErrorKind::PosOverflow).then_some(u32::MAX),
    };
    marker_text.split([',', ';']).map(number).collect::<Option<Vec<u32>>>().unwrap_or_default()
}

/// Returns the statement before a marker: the quotation directly before it, or otherwise the text after the end of the
/// previous sentence, line or marker.
fn statement_before(text: &str) -> &str {
    let text = text.trim_end();
    if let Some(quoted) = text.strip_suffix(['"', '”'])
        && let Some(open) = quoted.rfind(['"', '“'])
    {
        return &text[open..];
    }
    let body = text.trim_end_matches(['.', '!', '?']);
    let start = body.rfind(['\n', ']']).map_or(0, |at| at + 1).max(sentence_start(body));
    text[start..].trim()
}

fn sentence_start(text: &str) -> usize {
    [". ", "! ", "? "].iter().filter_map(|end| text.rfind(end)).max().map_or(0, |at| at + 2)
}

fn citation(numbered_passage: &NumberedPassage, statement: &str) -> Citation {
    let passage = &numbered_passage.passage;
    Citation {
        n: numbered_passage.n,
        document_id: passage.document_id,
        file_name: passage.file_name.clone(),
        title: passage.title.clone(),
        page: passage.page,
        section: passage.section.clone(),
        chunk_id: passage.chunk_id,
        quote: quote(&passage.content, statement),
        score: numbered_passage.score,
    }
}

/// Returns the part of `content` that supports `statement`: the statement itself if `content` contains each of its
/// lines verbatim, or otherwise the sentence or line that shares the most words with it.
#[must_use]
pub fn quote(content: &str, statement: &str) -> String {
    let trimmed = |text: &str| text.trim_matches(|c: char| c.is_whitespace() || "\"“”>*".contains(c)).to_owned();
    let lines: Vec<String> = statement.lines().map(trimmed).filter(|line| !line.is_empty()).collect();
    let is_long_enough = lines.iter().map(String::len).sum::<usize>() >= 8;
    if is_long_enough && lines.iter().all(|line| content.contains(line)) {
        return truncate_quote(&lines.join("\n"));
    }
    let statement_words = words(statement);
    let best_sentence = sentences(content)
        .map(|sentence| (overlap_score(&words(sentence), &statement_words), sentence))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(content, |(_, sentence)| sentence);
    truncate_quote(best_sentence)
}

fn sentences(content: &str) -> impl Iterator<Item = &str> {
    content.lines().flat_map(|line| line.split_inclusive(". ")).map(str::trim).filter(|sentence| sentence.len() > 1)
}

fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 1).map(str::to_lowercase).collect()
}

/// Scores a sentence: the number of shared words divided by the square root of the sentence's length, so that long
/// sentences are not preferred for their length alone. Words with digits count double.
fn overlap_score(sentence: &HashSet<String>, statement_words: &HashSet<String>) -> f64 {
    if sentence.is_empty() {
        return 0.0;
    }
    let weight = |word: &String| if word.bytes().any(|b| b.is_ascii_digit()) { 2.0 } else { 1.0 };
    let shared: f64 = sentence.intersection(statement_words).map(weight).sum();
    #[expect(clippy::cast_precision_loss, reason = "a sentence has few words")]
    let length = sentence.len() as f64;
    shared / length.sqrt()
}

fn truncate_quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE_CHARS) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{ChunkId, DocumentId};
    use domain::role::Classification;
    use domain::search::{Passage, SurroundingText};
    use uuid::Uuid;

    fn passage(n: u32, content: &str) -> NumberedPassage {
        NumberedPassage {
            n,
            passage: Passage {
                chunk_id: ChunkId::from_uuid(Uuid::from_u128(n.into())),
                document_id: DocumentId::from_uuid(Uuid::nil()),
                chunk_index: 0,
                file_name: "m.pdf".to_owned(),
                title: "Manual".to_owned(),
                page: Some(n),
                section: None,
                content: content.to_owned(),
                classification: Classification::Internal,
            },
            score: 0.5,
            surrounding_text: SurroundingText::default(),
        }
    }

    #[test]
    fn markers_are_found_even_when_a_piece_ends_inside_one() {
        let passages = [passage(1, "Close FV-2003 first. Then wait."), passage(2, "Torque is 60 Nm. Use a wrench.")];
        let mut scanner = CitationScanner::default();
        assert!(scanner.push("Close the valve FV-2003 [", &passages).is_empty());
        let first = scanner.push("1]. The torque is 60 Nm [2, 1][7] [note].", &passages);
        assert_eq!(first.iter().map(|c| c.n).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(first[0].quote, "Close FV-2003 first.");
        assert_eq!(first[1].quote, "Torque is 60 Nm.");
        assert!(scanner.push(" Again [1].", &passages).is_empty(), "each passage is cited once");
        assert!(scanner.text().ends_with("Again [1]."));
    }

    #[test]
    fn a_quotation_of_several_sentences_is_cited_completely() {
        let passages = [passage(1, "Stop the pump. Drain it while it is warm. Lock it.")];
        let mut scanner = CitationScanner::default();
        let found =
            scanner.push("From the documents:\n\n> \"Stop the pump. Drain it while it is warm.\" [1]", &passages);
        assert_eq!(found[0].quote, "Stop the pump. Drain it while it is warm.");
    }

    #[test]
    fn an_unclosed_bracket_does_not_hide_later_markers() {
        let passages = [passage(1, "x")];
        let mut scanner = CitationScanner::default();
        let found = scanner.push(&format!("a list [of {} things and then a fact [1]", "many ".repeat(20)), &passages);
        // The first bracket closes only at the end of the marker, so the text between them is not a number.
        let again = scanner.push(" and once more [1].", &passages);
        assert_eq!(found.len() + again.len(), 1);
    }

    #[test]
    fn a_verbatim_quote_is_quoted_verbatim() {
        let content = "Intro. The casing bolts get 480 Nm in three steps. Outro.";
        assert_eq!(
            quote(content, "> \"The casing bolts get 480 Nm in three steps.\""),
            "The casing bolts get 480 Nm in three steps."
        );
        let block = "> \"The casing bolts get 480 Nm in three steps.\n> Outro.\"";
        assert_eq!(quote(content, block), "The casing bolts get 480 Nm in three steps.\nOutro.");
        assert_eq!(quote("ä".repeat(400).as_str(), "x").chars().count(), MAX_QUOTE_CHARS + 1);
    }
}
