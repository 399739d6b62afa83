//! Processing of an answer's text while it is streamed.

use super::citation_markers::MarkerFilter;
use super::citations::{CitableSources, CitationScanner};
use super::sanitize::MarkupSanitizer;
use domain::conversation::Citation;
use domain::run::RunEvent;

/// The processing of the text before it reaches the reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerFormat {
    /// Active markup is neutralized, citation markers become citations, and markers of sources that do not exist are
    /// removed. The text is kept, so that it can be stored.
    Cited,
    /// The text is passed on as the model writes it, and is not kept.
    Verbatim,
}

/// The answer's text so far, with its citations.
pub struct AnswerText {
    format: AnswerFormat,
    sanitizer: MarkupSanitizer,
    markers: MarkerFilter,
    scanner: CitationScanner,
    citations: Vec<Citation>,
}

impl AnswerText {
    pub fn new(format: AnswerFormat) -> Self {
        Self {
            format,
            sanitizer: MarkupSanitizer::default(),
            markers: MarkerFilter::default(),
            scanner: CitationScanner::default(),
            citations: Vec::new(),
        }
    }

    /// Appends the next piece of the model's reply, and returns the events to send for it. The text may cite `sources`.
    pub fn push(&mut self, piece: String, sources: CitableSources<'_>) -> Vec<RunEvent> {
        match self.format {
            AnswerFormat::Verbatim => vec![RunEvent::Delta { text: piece }],
            AnswerFormat::Cited => {
                // PostgreSQL cannot store U+0000, so a single one would make it impossible to store the answer.
                let piece = piece.replace('\0', "");
                // Removing a marker may join the surrounding text into markup, so the sanitizer must come last.
                let text = self.markers.push(&piece, |n| sources.contains(n));
                let text = self.sanitizer.push(&text);
                self.append(text, sources)
            }
        }
    }

    /// Appends the text that was held back, at the end of a reply.
    pub fn end_reply(&mut self, sources: CitableSources<'_>) -> Vec<RunEvent> {
        let mut text = self.sanitizer.push(&self.markers.finish());
        text.push_str(&self.sanitizer.finish());
        self.append(text, sources)
    }

    fn append(&mut self, text: String, sources: CitableSources<'_>) -> Vec<RunEvent> {
        if text.is_empty() {
            return Vec::new();
        }
        let cited = self.scanner.push(&text, sources);
        let mut events = vec![RunEvent::Delta { text }];
        events.extend(cited.iter().cloned().map(RunEvent::Cited));
        self.citations.extend(cited);
        events
    }

    /// Returns the text so far, or an empty string if the format does not keep it.
    pub fn text(&self) -> &str {
        self.scanner.text()
    }

    pub fn citations(&self) -> &[Citation] {
        &self.citations
    }

    /// Returns the text and its citations.
    pub fn into_parts(self) -> (String, Vec<Citation>) {
        (self.scanner.into_text(), self.citations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text that a reader gets of an answer without passages, written in pieces of `size` characters.
    fn read(answer: &str, size: usize) -> String {
        let mut text = AnswerText::new(AnswerFormat::Cited);
        let characters: Vec<char> = answer.chars().collect();
        let pieces = characters.chunks(size).map(|piece| piece.iter().collect::<String>());
        let mut events: Vec<RunEvent> = pieces.flat_map(|piece| text.push(piece, CitableSources::default())).collect();
        events.extend(text.end_reply(CitableSources::default()));
        let deltas = events.into_iter().filter_map(|event| match event {
            RunEvent::Delta { text } => Some(text),
            _ => None,
        });
        deltas.collect()
    }

    #[test]
    fn a_removed_marker_does_not_complete_active_markup() {
        for (answer, active_part) in [
            ("<[9]img src=//evil.example>", "<img"),
            ("<\0img src=//evil.example>", "<img"),
            ("htt[9]ps://evil.example", "https:/"),
            ("![x][9](//evil.example)", "]("),
            ("[x][9]: //evil.example", "]:"),
        ] {
            for size in 1..=answer.len() {
                let text = read(answer, size);
                assert!(!text.contains(active_part) && text.contains("evil.example"), "{answer} by {size}: {text}");
            }
        }
    }
}
