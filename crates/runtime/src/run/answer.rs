//! The text of an answer while it is streamed.

use super::cite::CitationScanner;
use super::inert::MarkupSanitizer;
use domain::conversation::Citation;
use domain::model::NumberedPassage;
use domain::run::RunEvent;

/// What happens to the text before it reaches the reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerFormat {
    /// Markup is defused and citation markers become citations. The text is kept, to be stored.
    Cited,
    /// The text is passed on as the model writes it, and is not kept.
    Verbatim,
}

/// The text so far, with its citations.
pub struct AnswerText {
    format: AnswerFormat,
    sanitizer: MarkupSanitizer,
    scanner: CitationScanner,
    citations: Vec<Citation>,
}

impl AnswerText {
    pub fn new(format: AnswerFormat) -> Self {
        let (sanitizer, scanner) = (MarkupSanitizer::default(), CitationScanner::default());
        Self { format, sanitizer, scanner, citations: Vec::new() }
    }

    /// Appends the next piece that the model wrote. Returns the events for it; `passages` are those that it may cite.
    pub fn push(&mut self, piece: String, passages: &[NumberedPassage]) -> Vec<RunEvent> {
        match self.format {
            AnswerFormat::Verbatim => vec![RunEvent::Delta { text: piece }],
            AnswerFormat::Cited => {
                // PostgreSQL cannot store U+0000: one of them would lose the whole answer.
                let text = self.sanitizer.push(&piece.replace('\0', ""));
                self.append(text, passages)
            }
        }
    }

    /// Appends what was held back of a reply that is complete.
    pub fn end_reply(&mut self, passages: &[NumberedPassage]) -> Vec<RunEvent> {
        let text = self.sanitizer.finish();
        self.append(text, passages)
    }

    fn append(&mut self, text: String, passages: &[NumberedPassage]) -> Vec<RunEvent> {
        if text.is_empty() {
            return Vec::new();
        }
        let cited = self.scanner.push(&text, passages);
        let mut events = vec![RunEvent::Delta { text }];
        events.extend(cited.iter().cloned().map(RunEvent::Cited));
        self.citations.extend(cited);
        events
    }

    /// The text so far; empty if it is not kept.
    pub fn text(&self) -> &str {
        self.scanner.text()
    }

    pub fn citations(&self) -> &[Citation] {
        &self.citations
    }

    /// The text and its citations.
    pub fn into_parts(self) -> (String, Vec<Citation>) {
        (self.scanner.into_text(), self.citations)
    }
}
