//! Splits a passage into quotable units: sentences, table rows and list items, each with the line that introduces it
//! (its lead-in).

use std::ops::Range;

/// Abbreviations after which a full stop does not end the sentence.
const ABBREVIATIONS: &[&str] = &[
    "no", "nos", "mr", "ms", "mrs", "dr", "fig", "approx", "max", "min", "resp", "ca", "rev", "e.g", "i.e", "cf", "vs",
    "sec", "ch", "tab", "incl", "excl", "dept", "temp", "st",
];
/// Minimum length of a line, in bytes, that may have been wrapped; a shorter one is assumed to end deliberately.
const MIN_WRAPPED_LINE_BYTES: usize = 60;
/// Maximum length of a list item, in bytes; a longer one is split into sentences.
const MAX_ITEM_BYTES: usize = 420;

/// Kind of a quotable unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UnitKind {
    /// A sentence of running text.
    Sentence,
    /// A short line that stands alone, such as a heading.
    Title,
    /// A row of a table.
    Row,
    /// The first row of a table.
    HeaderRow,
    /// An item of a list.
    Item,
}

/// A quotable unit of a passage, as byte ranges of its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unit {
    /// Decides how the unit is scored and extended.
    pub kind: UnitKind,
    /// Byte range of the unit.
    pub span: Range<usize>,
    /// Byte range of the lead-in: the table's header row, the line before the list, or the heading.
    pub lead_in: Option<Range<usize>>,
}

impl Unit {
    /// Whether the unit only introduces others.
    pub(super) fn is_heading(&self) -> bool {
        matches!(self.kind, UnitKind::Title | UnitKind::HeaderRow)
    }
}

/// Splits a passage into its units.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let mut splitter = Splitter { text, units: Vec::new(), paragraph: None, lead_in: None, header: None };
    for line in lines(text) {
        splitter.push_line(line);
    }
    splitter.end_paragraph();
    splitter.units
}

struct Splitter<'t> {
    text: &'t str,
    units: Vec<Unit>,
    /// The current paragraph, not yet split into sentences.
    paragraph: Option<Range<usize>>,
    /// The last heading or lead-in.
    lead_in: Option<Range<usize>>,
    /// The header row of the current table.
    header: Option<Range<usize>>,
}

impl Splitter<'_> {
    fn push_line(&mut self, line: Range<usize>) {
        let text = &self.text[line.clone()];
        if text.contains(" | ") || text.starts_with('|') {
            self.end_paragraph();
            self.push_row(line);
            return;
        }
        self.header = None;
        if text.is_empty() {
            self.end_paragraph();
        } else if is_item(text) {
            self.end_paragraph();
            self.push_item(line);
        } else if self.paragraph.as_ref().is_some_and(|paragraph| self.is_continuation(paragraph, text)) {
            if let Some(paragraph) = &mut self.paragraph {
                paragraph.end = line.end;
            }
        } else {
            self.end_paragraph();
            self.paragraph = Some(line);
        }
    }

    fn push_row(&mut self, line: Range<usize>) {
        if self.text[line.clone()].chars().all(|c| "|-: ".contains(c)) {
            return;
        }
        let kind = if self.header.is_some() { UnitKind::Row } else { UnitKind::HeaderRow };
        self.units.push(Unit { kind, span: line.clone(), lead_in: self.header.clone() });
        self.header.get_or_insert(line);
    }

    fn push_item(&mut self, line: Range<usize>) {
        if line.len() <= MAX_ITEM_BYTES {
            self.units.push(Unit { kind: UnitKind::Item, span: line, lead_in: self.lead_in.clone() });
        } else {
            self.push_sentences(line);
        }
    }

    /// Whether `next_line` continues `paragraph`, whose last line was probably wrapped.
    fn is_continuation(&self, paragraph: &Range<usize>, next_line: &str) -> bool {
        let paragraph_text = &self.text[paragraph.clone()];
        let last_line = paragraph_text.rsplit('\n').next().unwrap_or(paragraph_text);
        let starts_like_paragraph = next_line.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
        last_line.len() >= MIN_WRAPPED_LINE_BYTES || !starts_like_paragraph || last_line.ends_with([',', '-', '–'])
    }

    fn end_paragraph(&mut self) {
        let Some(span) = self.paragraph.take() else { return };
        let text = &self.text[span.clone()];
        if text.ends_with(':') {
            self.lead_in = Some(span.clone());
            self.units.push(Unit { kind: UnitKind::Title, span, lead_in: None });
        } else if text.len() < MIN_WRAPPED_LINE_BYTES && !text.ends_with(['.', '!', '?']) {
            self.units.push(Unit { kind: UnitKind::Title, span: span.clone(), lead_in: None });
            self.lead_in = Some(span);
        } else {
            self.lead_in = None;
            self.push_sentences(span);
        }
    }

    fn push_sentences(&mut self, span: Range<usize>) {
        let lead = self.lead_in.clone();
        let sentences = sentence_ranges(self.text, span);
        self.units.extend(sentences.into_iter().map(|span| Unit {
            kind: UnitKind::Sentence,
            span,
            lead_in: lead.clone(),
        }));
    }
}

/// The byte ranges of the lines of `text`, without surrounding white space.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split('\n').map(move |line| {
        let line_start = start + (line.len() - line.trim_start().len());
        start += line.len() + 1;
        line_start..line_start + line.trim().len()
    })
}

fn is_item(line: &str) -> bool {
    if let Some(rest) = line.strip_prefix(['•', '◦', '▪', '*', '-', '–', '☐', '☑']) {
        return rest.starts_with(' ');
    }
    let marker = line.split(' ').next().unwrap_or_default();
    let Some(number) = marker.strip_suffix(['.', ')']) else { return false };
    line.len() > marker.len()
        && (number.parse::<u16>().is_ok() || (number.len() == 1 && number.as_bytes()[0].is_ascii_lowercase()))
}

/// The byte ranges of the sentences in `span` of `text`.
fn sentence_ranges(text: &str, span: Range<usize>) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = span.start;
    for (offset, punctuation) in text[span.clone()].match_indices(['.', '!', '?']) {
        let end = span.start + offset + punctuation.len();
        if ends_sentence(&text[start..end], &text[end..span.end]) {
            ranges.push(start..end);
            start = end + (text[end..span.end].len() - text[end..span.end].trim_start().len());
        }
    }
    if start < span.end {
        ranges.push(start..span.end);
    }
    ranges
}

fn ends_sentence(sentence: &str, rest: &str) -> bool {
    let next = rest.trim_start();
    if next.len() == rest.len()
        || !next.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || "(\"“„".contains(c))
    {
        return false;
    }
    let word = sentence.trim_end_matches(['.', '!', '?']).rsplit([' ', '\n', '(']).next().unwrap_or_default();
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let is_numbering = sentence.len() <= 4 && word.parse::<u16>().is_ok();
    !is_initial && !is_numbering && !ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotable_units(text: &str) -> Vec<(UnitKind, Option<&str>, &str)> {
        units(text)
            .into_iter()
            .map(|unit| (unit.kind, unit.lead_in.map(|lead| &text[lead]), &text[unit.span]))
            .collect()
    }

    #[test]
    fn the_lead_in_of_a_table_row_is_the_header_row() {
        let text = "Joint | Thread | Torque, N·m\n|---|---|---|\nTie bolts | M24 | 480";
        let header = "Joint | Thread | Torque, N·m";
        assert_eq!(
            quotable_units(text),
            [(UnitKind::HeaderRow, None, header), (UnitKind::Row, Some(header), "Tie bolts | M24 | 480")]
        );
    }

    #[test]
    fn the_lead_in_of_a_list_item_is_the_line_before_the_list() {
        let text = "Before the start:\n1. Open HV-1003.\n2. Vent the casing.";
        let lead = Some("Before the start:");
        assert_eq!(
            quotable_units(text)[1..],
            [(UnitKind::Item, lead, "1. Open HV-1003."), (UnitKind::Item, lead, "2. Vent the casing.")]
        );
    }

    #[test]
    fn sentences_end_at_full_stops_but_not_after_abbreviations_or_in_numbers() {
        let text = "Detector no. 4 failed at 0.25 bar. It was S. Ito who saw it. Replaced.";
        let sentences: Vec<_> = quotable_units(text).into_iter().map(|(_, _, piece)| piece).collect();
        assert_eq!(sentences, ["Detector no. 4 failed at 0.25 bar.", "It was S. Ito who saw it.", "Replaced."]);
    }

    #[test]
    fn a_sentence_continues_after_a_wrapped_line_but_not_after_a_heading() {
        let wrapped = "The strainer is cleaned when the difference pressure reaches more\nthan 0.25 bar.";
        assert_eq!(quotable_units(wrapped), [(UnitKind::Sentence, None, wrapped)]);
        let heading_and_text = "7 Strainer\nClean it when the difference pressure is over the limit of the gauge.";
        assert_eq!(quotable_units(heading_and_text)[0], (UnitKind::Title, None, "7 Strainer"));
    }
}
