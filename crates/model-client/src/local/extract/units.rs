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
    pub lead: Option<Range<usize>>,
}

/// Splits a passage into its units.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let mut splitter = Splitter { text, units: Vec::new(), paragraph: None, lead: None, header: None };
    for line in lines(text) {
        splitter.line(line);
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
    lead: Option<Range<usize>>,
    /// The header row of the current table.
    header: Option<Range<usize>>,
}

impl Splitter<'_> {
    fn line(&mut self, line: Range<usize>) {
        let text = &self.text[line.clone()];
        if text.contains(" | ") || text.starts_with('|') {
            self.end_paragraph();
            self.row(line);
            return;
        }
        self.header = None;
        if text.is_empty() {
            self.end_paragraph();
        } else if is_item(text) {
            self.end_paragraph();
            self.item(line);
        } else if self.paragraph.as_ref().is_some_and(|open| self.continues(open, text)) {
            if let Some(open) = &mut self.paragraph {
                open.end = line.end;
            }
        } else {
            self.end_paragraph();
            self.paragraph = Some(line);
        }
    }

    fn row(&mut self, line: Range<usize>) {
        if self.text[line.clone()].chars().all(|c| "|-: ".contains(c)) {
            return;
        }
        let kind = if self.header.is_some() { UnitKind::Row } else { UnitKind::HeaderRow };
        self.units.push(Unit { kind, span: line.clone(), lead: self.header.clone() });
        self.header.get_or_insert(line);
    }

    fn item(&mut self, line: Range<usize>) {
        if line.len() <= MAX_ITEM_BYTES {
            self.units.push(Unit { kind: UnitKind::Item, span: line, lead: self.lead.clone() });
        } else {
            self.sentences(line);
        }
    }

    /// Whether `next_line` continues `paragraph`, whose last line was probably wrapped.
    fn continues(&self, open: &Range<usize>, next: &str) -> bool {
        let so_far = &self.text[open.clone()];
        let last = so_far.rsplit('\n').next().unwrap_or(so_far);
        let starts_anew = next.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
        last.len() >= MIN_WRAPPED_LINE_BYTES || !starts_anew || last.ends_with([',', '-', '–'])
    }

    fn end_paragraph(&mut self) {
        let Some(span) = self.paragraph.take() else { return };
        let text = &self.text[span.clone()];
        if text.ends_with(':') {
            self.lead = Some(span.clone());
            self.units.push(Unit { kind: UnitKind::Title, span, lead: None });
        } else if text.len() < MIN_WRAPPED_LINE_BYTES && !text.ends_with(['.', '!', '?']) {
            self.units.push(Unit { kind: UnitKind::Title, span: span.clone(), lead: None });
            self.lead = Some(span);
        } else {
            self.lead = None;
            self.sentences(span);
        }
    }

    fn sentences(&mut self, span: Range<usize>) {
        let lead = self.lead.clone();
        let found = sentence_ranges(self.text, span);
        self.units.extend(found.into_iter().map(|span| Unit { kind: UnitKind::Sentence, span, lead: lead.clone() }));
    }
}

/// The byte ranges of the lines of `text`, without surrounding white space.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split('\n').map(move |line| {
        let from = start + (line.len() - line.trim_start().len());
        start += line.len() + 1;
        from..from + line.trim().len()
    })
}

fn is_item(line: &str) -> bool {
    if let Some(rest) = line.strip_prefix(['•', '◦', '▪', '*', '-', '–', '☐', '☑']) {
        return rest.starts_with(' ');
    }
    let mark = line.split(' ').next().unwrap_or_default();
    let Some(number) = mark.strip_suffix(['.', ')']) else { return false };
    line.len() > mark.len()
        && (number.parse::<u16>().is_ok() || (number.len() == 1 && number.as_bytes()[0].is_ascii_lowercase()))
}

/// The byte ranges of the sentences in `span` of `text`.
fn sentence_ranges(text: &str, span: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = span.start;
    for (at, mark) in text[span.clone()].match_indices(['.', '!', '?']) {
        let end = span.start + at + mark.len();
        if ends_sentence(&text[start..end], &text[end..span.end]) {
            found.push(start..end);
            start = end + (text[end..span.end].len() - text[end..span.end].trim_start().len());
        }
    }
    if start < span.end {
        found.push(start..span.end);
    }
    found
}

fn ends_sentence(so_far: &str, rest: &str) -> bool {
    let next = rest.trim_start();
    if next.len() == rest.len()
        || !next.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || "(\"“„".contains(c))
    {
        return false;
    }
    let word = so_far.trim_end_matches(['.', '!', '?']).rsplit([' ', '\n', '(']).next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let numbering = so_far.len() <= 4 && word.parse::<u16>().is_ok();
    !initial && !numbering && !ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<(UnitKind, Option<&str>, &str)> {
        units(text).into_iter().map(|unit| (unit.kind, unit.lead.map(|lead| &text[lead]), &text[unit.span])).collect()
    }

    #[test]
    fn a_row_is_led_by_its_table_s_header() {
        let text = "Joint | Thread | Torque, N·m\n|---|---|---|\nTie bolts | M24 | 480";
        let header = "Joint | Thread | Torque, N·m";
        assert_eq!(
            pieces(text),
            [(UnitKind::HeaderRow, None, header), (UnitKind::Row, Some(header), "Tie bolts | M24 | 480")]
        );
    }

    #[test]
    fn an_item_is_led_by_the_line_before_its_list() {
        let text = "Before the start:\n1. Open HV-1003.\n2. Vent the casing.";
        let lead = Some("Before the start:");
        assert_eq!(
            pieces(text)[1..],
            [(UnitKind::Item, lead, "1. Open HV-1003."), (UnitKind::Item, lead, "2. Vent the casing.")]
        );
    }

    #[test]
    fn sentences_end_at_full_stops_but_not_after_abbreviations_or_in_numbers() {
        let text = "Detector no. 4 failed at 0.25 bar. It was S. Ito who saw it. Replaced.";
        let found: Vec<_> = pieces(text).into_iter().map(|(_, _, piece)| piece).collect();
        assert_eq!(found, ["Detector no. 4 failed at 0.25 bar.", "It was S. Ito who saw it.", "Replaced."]);
    }

    #[test]
    fn a_sentence_runs_over_a_wrapped_line_but_not_over_a_heading() {
        let wrapped = "The strainer is cleaned when the difference pressure reaches more\nthan 0.25 bar.";
        assert_eq!(pieces(wrapped), [(UnitKind::Sentence, None, wrapped)]);
        let headed = "7 Strainer\nClean it when the difference pressure is over the limit of the gauge.";
        assert_eq!(pieces(headed)[0], (UnitKind::Title, None, "7 Strainer"));
    }
}
