//! Splits an answer into statements, each with the citation markers that belong to it.

use super::super::citations::marker_numbers;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation as _;

/// Abbreviations whose period does not end a sentence.
const ABBREVIATIONS: &[&str] = &[
    "no.", "nos.", "fig.", "approx.", "max.", "min.", "e.g.", "i.e.", "cf.", "vs.", "resp.", "incl.", "excl.", "sec.",
    "ca.", "z.b.", "d.h.", "bzw.", "nr.", "abb.", "vgl.", "inkl.", "exkl.", "mind.", "ggf.",
];

/// A part of the answer that makes one claim: a sentence, a list item, a table row, or a part of one of these that ends
/// with a marker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Statement<'t> {
    /// Byte range of the statement in the answer, including its markers.
    pub span: Range<usize>,
    /// The statement without its markers.
    pub text: &'t str,
    /// Numbers of the passages that it cites; empty if it has no marker.
    pub cited_numbers: Vec<u32>,
}

/// Splits an answer into its statements. Code is left out. Headings, questions and lead-ins (which end with a colon)
/// are left out unless they have a marker.
pub(super) fn statements(answer: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    let (mut start, mut is_code) = (0, false);
    for line in answer.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            split_line(answer, start..start + line.len(), &mut found);
        }
        start += line.len();
    }
    found
}

fn split_line<'t>(answer: &'t str, line: Range<usize>, found: &mut Vec<Statement<'t>>) {
    let text = &answer[line.clone()];
    let is_heading = text.trim_start().starts_with('#');
    let content_start = line.start + (text.len() - without_line_marker(text).len());
    let first_of_line = found.len();
    for sentence in sentences(answer, content_start..line.end) {
        let leading = leading_markers(&answer[sentence.clone()]);
        if let (Some((numbers, end)), Some(previous)) =
            (leading.as_ref(), found.get_mut(first_of_line..).and_then(<[_]>::last_mut))
        {
            // Markers after the period belong to the sentence before it.
            previous.cited_numbers.extend(numbers);
            previous.span.end = sentence.start + end;
        }
        let body_start = leading.map_or(sentence.start, |(_, end)| sentence.start + end);
        split_at_markers(answer, body_start..sentence.end, is_heading, found);
    }
}

/// Splits a sentence after each group of markers.
fn split_at_markers<'t>(answer: &'t str, sentence: Range<usize>, is_heading: bool, found: &mut Vec<Statement<'t>>) {
    let mut start = sentence.start;
    while let Some(marker) = next_marker(answer, start..sentence.end) {
        let text = answer[start..marker.span.start].trim();
        let mut end = marker.span.end;
        let mut cited_numbers = marker.numbers;
        while let Some((numbers, length)) = leading_markers(&answer[end..sentence.end]) {
            cited_numbers.extend(numbers);
            end += length;
        }
        found.push(Statement { span: trimmed(answer, start..end), text, cited_numbers });
        start = end;
    }
    let text = answer[start..sentence.end].trim();
    let is_claim = !is_heading && !text.ends_with([':', '?']);
    if is_claim && text.chars().any(char::is_alphanumeric) {
        found.push(Statement { span: trimmed(answer, start..sentence.end), text, cited_numbers: Vec::new() });
    }
}

/// A citation marker and its byte range in the answer.
struct Marker {
    span: Range<usize>,
    numbers: Vec<u32>,
}

fn next_marker(answer: &str, range: Range<usize>) -> Option<Marker> {
    let text = &answer[range.clone()];
    text.match_indices('[').find_map(|(open, _)| {
        let close = open + text[open..].find(']')?;
        let numbers = marker_numbers(&text[open + 1..close]);
        let span = range.start + open..range.start + close + 1;
        (!numbers.is_empty()).then_some(Marker { span, numbers })
    })
}

/// Returns the numbers of the markers with which a text begins, and the length of these markers in bytes.
fn leading_markers(text: &str) -> Option<(Vec<u32>, usize)> {
    let (mut numbers, mut end) = (Vec::new(), 0);
    loop {
        let rest = text[end..].trim_start();
        let marker_start = text.len() - rest.len();
        match next_marker(text, marker_start..text.len()).filter(|marker| marker.span.start == marker_start) {
            Some(marker) => {
                numbers.extend(marker.numbers);
                end = marker.span.end;
            }
            None => return (!numbers.is_empty()).then_some((numbers, end)),
        }
    }
}

/// Returns the byte ranges of the sentences. An abbreviation does not end a sentence.
pub(super) fn sentences(answer: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, sentence) in answer[range.clone()].split_sentence_bound_indices() {
        let span = range.start + at..range.start + at + sentence.len();
        match found.last_mut().filter(|previous| ends_with_abbreviation(&answer[(*previous).clone()])) {
            Some(previous) => previous.end = span.end,
            None => found.push(span),
        }
    }
    found
}

fn ends_with_abbreviation(sentence: &str) -> bool {
    let last = sentence.split_whitespace().next_back().unwrap_or_default().to_lowercase();
    ABBREVIATIONS.contains(&last.trim_start_matches(['(', '"']))
}

/// Returns the line without the characters at its beginning that mark a quotation, a list item or a table row.
fn without_line_marker(line: &str) -> &str {
    let rest = line.trim_start_matches(|c: char| c.is_whitespace() || "#>*•–|-".contains(c));
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    match rest[digits..].strip_prefix(['.', ')']) {
        Some(item) if (1..=3).contains(&digits) && item.starts_with(' ') => item.trim_start(),
        _ => rest,
    }
}

fn trimmed(answer: &str, span: Range<usize>) -> Range<usize> {
    let text = &answer[span.clone()];
    let start = span.start + (text.len() - text.trim_start().len());
    start..span.start + text.trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(answer: &str) -> Vec<(&str, Vec<u32>)> {
        statements(answer).into_iter().map(|statement| (statement.text, statement.cited_numbers)).collect()
    }

    #[test]
    fn a_statement_ends_with_its_sentence_or_its_markers() {
        assert_eq!(
            split("The oil is VG 46 [1] and the charge is 3.5 l [2][3]. Change it yearly. [1]"),
            [
                ("The oil is VG 46", vec![1]),
                ("and the charge is 3.5 l", vec![2, 3]),
                (".", vec![]),
                ("Change it yearly.", vec![1])
            ]
            .into_iter()
            .filter(|(text, _)| *text != ".")
            .collect::<Vec<_>>()
        );
    }

    #[test]
    fn headings_code_questions_and_lead_ins_are_not_statements() {
        assert_eq!(split("# Oil\nDo this:\n```\nlet a = b;\n```\nDo you need more?\n"), []);
        assert_eq!(split("# Oil [1]"), [("Oil", vec![1])]);
    }

    #[test]
    fn each_item_and_each_row_is_a_statement() {
        assert_eq!(
            split("1. Close FV-2003 [1]\n- Wait approx. 5 min.\n> \"Lock it.\" [2]\n| P-101 | 5 bar [3] |"),
            [
                ("Close FV-2003", vec![1]),
                ("Wait approx. 5 min.", vec![]),
                ("\"Lock it.\"", vec![2]),
                ("P-101 | 5 bar", vec![3])
            ]
        );
    }

    #[test]
    fn spans_are_ranges_of_the_answer_and_include_the_markers() {
        let answer = "Größe: 5 bar [1]. Dann öffnen. [2] Ende hier.";
        let spans: Vec<_> = statements(answer).into_iter().map(|statement| &answer[statement.span]).collect();
        assert_eq!(spans, ["Größe: 5 bar [1]", "Dann öffnen. [2]", "Ende hier."]);
    }
}
