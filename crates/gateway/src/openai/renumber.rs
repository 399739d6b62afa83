//! Numbers the citation markers of an answer in the order of its citations. The platform numbers the passages of a
//! prompt, so an answer may cite `[3]` alone; clients take `[n]` for the n-th source that they receive.

use domain::conversation::Citation;

/// Maximum length of a marker, in bytes. Longer text in brackets is not a marker.
const MAX_MARKER_BYTES: usize = 32;

/// Renumbers the markers of one answer while it is streamed.
#[derive(Default)]
pub(super) struct MarkerNumbering {
    /// Passage numbers, in the order in which they were cited.
    cited_passages: Vec<u32>,
    /// Text that was not sent yet. It starts at a marker that is incomplete, or whose citation may still follow.
    held_text: String,
}

impl MarkerNumbering {
    /// Appends text and returns what can be sent. A marker is held back until its citation arrives, which is the next
    /// event. If a different event arrives, the marker is not a citation and keeps its number.
    pub(super) fn push(&mut self, text: &str) -> String {
        let mut ready = self.release_uncited();
        self.held_text.push_str(text);
        ready.push_str(&self.release(false));
        ready
    }

    /// Returns the citation with its number in the answer, and the text that was held back for it.
    pub(super) fn cite(&mut self, citation: Citation) -> NumberedCitation {
        let n = self.citation_number(citation.n()).unwrap_or_else(|| {
            self.cited_passages.push(citation.n());
            self.cited_passages.len()
        });
        let citation = citation.with_number(u32::try_from(n).unwrap_or(u32::MAX));
        NumberedCitation { text: self.release(false), citation }
    }

    /// Returns the text that was held back for citations that did not follow. An incomplete marker stays held back.
    pub(super) fn release_uncited(&mut self) -> String {
        self.release(true)
    }

    /// Returns all text that is left, at the end of the answer.
    pub(super) fn finish(&mut self) -> String {
        let mut text = self.release_uncited();
        text.push_str(&std::mem::take(&mut self.held_text));
        text
    }

    /// Returns a passage's number in the answer: its position among the citations, from 1.
    fn citation_number(&self, passage: u32) -> Option<usize> {
        self.cited_passages.iter().position(|cited| *cited == passage).map(|position| position + 1)
    }

    /// Removes the held text up to the first marker that is incomplete or, unless `includes_uncited`, has a number that
    /// was not cited; returns it with the markers renumbered.
    fn release(&mut self, includes_uncited: bool) -> String {
        let held = std::mem::take(&mut self.held_text);
        let (mut ready, mut rest) = (String::with_capacity(held.len()), held.as_str());
        while let Some(open) = rest.find('[') {
            ready.push_str(&rest[..open]);
            rest = &rest[open..];
            match Bracket::parse(rest) {
                Bracket::Text => {
                    ready.push('[');
                    rest = &rest[1..];
                }
                Bracket::Incomplete => break,
                Bracket::Marker(inside) => {
                    if !includes_uncited && numbers(inside).any(|number| self.citation_number(number).is_none()) {
                        break;
                    }
                    ready.push_str(&self.renumber_marker(inside));
                    rest = &rest[inside.len() + 2..];
                }
            }
        }
        if rest.starts_with('[') {
            self.held_text = rest.to_owned();
        } else {
            ready.push_str(rest);
        }
        ready
    }

    fn renumber_marker(&self, inside: &str) -> String {
        let numbers = inside.split_inclusive([',', ';']).map(|part| {
            let digits = part.trim_matches(|c: char| !c.is_ascii_digit());
            match digits.parse().ok().and_then(|passage| self.citation_number(passage)) {
                Some(number) => part.replacen(digits, &number.to_string(), 1),
                None => part.to_owned(),
            }
        });
        format!("[{}]", numbers.collect::<String>())
    }
}

/// A citation with its number in the answer.
pub(super) struct NumberedCitation {
    /// Text that was held back for the citation, and precedes it.
    pub(super) text: String,
    pub(super) citation: Citation,
}

/// Kind of text that an opening bracket starts.
enum Bracket<'a> {
    /// A possible marker: numbers. Contains the text inside the brackets.
    Marker(&'a str),
    /// Incomplete text that may become a marker.
    Incomplete,
    /// Other text, such as `[note]`.
    Text,
}

impl<'a> Bracket<'a> {
    /// Classifies the start of `text`, which is an opening bracket.
    fn parse(text: &'a str) -> Self {
        let inside = &text[1..];
        let end = inside.find(|c: char| !(c.is_ascii_digit() || matches!(c, ',' | ';' | ' ' | '^')));
        match end {
            Some(end) if end > MAX_MARKER_BYTES => Self::Text,
            Some(end) if inside[end..].starts_with(']') && numbers(&inside[..end]).next().is_some() => {
                Self::Marker(&inside[..end])
            }
            None if inside.len() <= MAX_MARKER_BYTES => Self::Incomplete,
            Some(_) | None => Self::Text,
        }
    }
}

/// Returns the numbers in a marker. `inside` is the text inside its brackets.
fn numbers(inside: &str) -> impl Iterator<Item = u32> {
    inside.split([',', ';']).filter_map(|part| part.trim().trim_start_matches('^').parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::conversation::DocumentCitation;
    use domain::ids::{ChunkId, DocumentId};
    use uuid::Uuid;

    fn citation(n: u32) -> Citation {
        Citation::Document(DocumentCitation {
            n,
            document_id: DocumentId::from_uuid(Uuid::nil()),
            file_name: "m.pdf".to_owned(),
            title: "Manual".to_owned(),
            page: None,
            section: None,
            chunk_id: ChunkId::from_uuid(Uuid::nil()),
            quote: String::new(),
            score: 0.5,
        })
    }

    #[test]
    fn markers_are_numbered_from_one_in_the_order_of_the_citations() {
        let mut numbering = MarkerNumbering::default();
        assert_eq!(numbering.push("Close FV-2003 ["), "Close FV-2003 ");
        assert_eq!(numbering.push("4]. Then"), "", "the marker is held back until its citation arrives");
        let NumberedCitation { text, citation: first } = numbering.cite(citation(4));
        assert_eq!((text.as_str(), first.n()), ("[1]. Then", 1));
        assert_eq!(numbering.push(" 60 Nm [1, 4]."), " 60 Nm ");
        let NumberedCitation { text, citation: second } = numbering.cite(citation(1));
        assert_eq!((text.as_str(), second.n()), ("[2, 1].", 2));
        assert_eq!(numbering.push(" Again [4]."), " Again [1].", "a passage that is already cited is not held back");
        assert_eq!(numbering.finish(), "");
    }

    #[test]
    fn a_marker_without_a_citation_keeps_its_number() {
        let mut numbering = MarkerNumbering::default();
        assert_eq!(numbering.push("x[0] [note] [](a) [^"), "x");
        assert_eq!(numbering.push("2] and "), "[0] [note] [](a) ");
        assert_eq!(numbering.cite(citation(2)).text, "[^1] and ");
        assert_eq!(numbering.push("[12"), "");
        assert_eq!(numbering.finish(), "[12");
        assert_eq!(numbering.push(&format!("[{}", "1".repeat(40))), format!("[{}", "1".repeat(40)));
    }
}
