//! Splits a text into sentences and table rows, and these into clauses.

use super::content::{Content, Polarity, language};
use super::order::Order;
use super::statements::sentences;
use crate::language::Language;
use std::collections::HashSet;

/// Words that begin a clause.
const CLAUSE_WORDS: &[&str] = &[
    "if", "when", "unless", "until", "while", "because", "before", "after", "but", "and", "then", "wenn", "falls",
    "sobald", "bevor", "nachdem", "während", "damit", "aber", "sondern", "und", "dann",
];

/// Words with which a sentence continues the subject of the previous one.
const PRONOUNS: &[&str] =
    &["it", "its", "they", "their", "these", "this", "er", "es", "sie", "ihre", "seine", "diese", "dieser"];
/// Words after which a negation before them does not hold: `do not open it before it is cool`.
const LIFTS_NEGATION: &[&str] = &["before", "until", "unless", "bevor", "solange", "außer"];

/// Maximum length of a clause, in bytes, that is joined with its neighbour.
const MAX_SHORT_CLAUSE: usize = 200;
/// Maximum number of clauses of a sentence; the last one of a longer sentence has the rest of it.
const MAX_CLAUSES: usize = 16;
/// Minimum length of a line, in bytes, that the next one can continue.
const MIN_WRAPPED_LINE: usize = 60;

/// A sentence or a table row, with its clauses.
pub(super) struct Part {
    pub content: Content,
    pub clauses: Vec<Content>,
    /// The orders of steps that it states.
    pub orders: Vec<Order>,
    /// The number of the step that it describes, if it is one of a numbered list.
    pub step: Option<u32>,
}

impl Part {
    /// Analyzes one statement. If it is too short to detect its language, `language_of_answer` is used.
    pub(super) fn of_statement(text: &str, language_of_answer: Option<Language>) -> Self {
        let language = language(text).or(language_of_answer);
        TextParser { language, ..TextParser::default() }.part(text, &clauses(text))
    }
}

/// Parses a text part by part, and remembers what it is about.
#[derive(Default)]
pub(super) struct TextParser {
    language: Option<Language>,
    /// The equipment that was named last.
    equipment: HashSet<String>,
    /// The last clause before the part, if the part goes on with it.
    previous: Option<Content>,
    /// Stems of the sentences before in the same paragraph.
    paragraph: HashSet<String>,
}

impl TextParser {
    fn part(&mut self, text: &str, clauses: &[String]) -> Part {
        let mut content = Content::in_language(text, self.language);
        content.inherit(&self.equipment);
        let mut parts: Vec<Content> = Vec::new();
        for text in clauses {
            let mut clause = Content::in_language(text, self.language);
            if let Some(previous) = parts.last().or(self.previous.as_ref()) {
                clause.continue_from(previous);
            }
            clause.inherit(&self.equipment);
            clause.remember_in(&mut self.equipment);
            clause.stems_of_paragraph.clone_from(&self.paragraph);
            if let Some(previous) = parts.last_mut().filter(|_| begins_with(text, LIFTS_NEGATION)) {
                previous.lift_negation();
            }
            parts.push(clause);
        }
        content.remember_in(&mut self.equipment);
        // A negation concerns the limit of its own clause.
        content.sides = parts.iter().flat_map(|clause| clause.sides.iter().copied()).collect();
        content.polarity = common_polarity(&parts);
        content.stems_of_paragraph.clone_from(&self.paragraph);
        self.paragraph.extend(content.stems.iter().cloned());
        self.previous = parts.last().cloned();
        Part { content, clauses: parts, orders: Order::all_of(text, self.language), step: None }
    }

    /// Returns the parts of a text that goes on after what was read before.
    pub(super) fn parts(&mut self, text: &str) -> Vec<Part> {
        let mut found = Vec::new();
        let lines = unwrapped(text);
        let mut header: Option<Vec<&str>> = None;
        // The equipment that was named before the table: each row is about its own.
        let mut equipment: Option<HashSet<String>> = None;
        let language_of_text = language(text);
        for line in &lines {
            self.language = language(line).or(language_of_text);
            match cells(line) {
                Some(cells) if cells.iter().all(|cell| cell.chars().all(|c| "-: ".contains(c))) => {}
                Some(cells) => {
                    self.equipment.clone_from(equipment.get_or_insert_with(|| self.equipment.clone()));
                    let columns = header.as_ref().map(|header| columns(header, &cells));
                    found.push(self.row(&columns.unwrap_or_else(|| vec![line.to_owned()])));
                    header.get_or_insert(cells);
                }
                None => {
                    (header, equipment) = (None, None);
                    self.sentences(line, &mut found);
                }
            }
        }
        found
    }

    fn row(&mut self, columns: &[String]) -> Part {
        self.paragraph.clear();
        self.previous = None;
        self.part(&columns.join(", "), columns)
    }

    fn sentences(&mut self, line: &str, found: &mut Vec<Part>) {
        self.paragraph.clear();
        self.previous = None;
        let mut step = step(line);
        for span in sentences(line, 0..line.len()) {
            if !begins_with(&line[span.clone()], PRONOUNS) {
                self.previous = None;
            }
            for text in line[span.clone()].split(';') {
                found.push(Part { step, ..self.part(text, &clauses(text)) });
            }
            // `1. Stop it. 2. Lock it.` is one line.
            step = number_at_end(&line[span]).or(step);
        }
    }
}

/// Returns the polarity of a sentence. If it negates one clause only, it is not clear.
fn common_polarity(clauses: &[Content]) -> Polarity {
    let has = |polarity| clauses.iter().any(|clause| clause.polarity == polarity);
    match (has(Polarity::Affirmed), has(Polarity::Negated)) {
        (false, true) => Polarity::Negated,
        (true, false) => Polarity::Affirmed,
        _ => Polarity::Unknown,
    }
}

/// Returns the lines of a text. Lines that were broken only for their length are joined.
fn unwrapped(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        let begins_anew = line.trim_start().starts_with(|c: char| "#>*•–|-".contains(c))
            || line.trim().is_empty()
            || step(line).is_some()
            || cells(line).is_some();
        let goes_on = |previous: &&mut String| {
            let is_sentence = previous.trim_end().ends_with(['.', '!', '?', ':', ';']);
            previous.len() >= MIN_WRAPPED_LINE && !is_sentence && cells(previous).is_none()
        };
        match found.last_mut().filter(|_| !begins_anew).filter(goes_on) {
            Some(previous) => {
                previous.push(' ');
                previous.push_str(line.trim_start());
            }
            None => found.push(line.to_owned()),
        }
    }
    found
}

/// Returns the number with which a line of a numbered list begins.
fn step(line: &str) -> Option<u32> {
    let line = line.trim_start();
    let digits = line.find(|c: char| !c.is_ascii_digit())?;
    line[digits..].starts_with(['.', ')']).then(|| line[..digits].parse().ok())?
}

/// Returns the number with which a text ends: `1.`.
fn number_at_end(text: &str) -> Option<u32> {
    text.trim_end().strip_suffix('.')?.split_whitespace().next_back()?.parse().ok()
}

fn begins_with(text: &str, words: &[&str]) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default().to_lowercase();
    words.contains(&first.trim_end_matches(','))
}

/// Returns the cells of a table row; `None` if the line is not one.
fn cells(line: &str) -> Option<Vec<&str>> {
    let line = line.trim();
    let is_row = line.starts_with('|') || line.contains(" | ");
    let inner = line.strip_prefix('|').unwrap_or(line);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    is_row.then(|| inner.split('|').map(str::trim).collect())
}

/// Returns what each cell of a row says: its column's header, the cell itself, and the first cell with its header.
fn columns(header: &[&str], cells: &[&str]) -> Vec<String> {
    let name = |at: usize| header.get(at).copied().unwrap_or_default();
    let first = format!("{} {}", name(0), cells.first().copied().unwrap_or_default());
    cells.iter().enumerate().skip(1).map(|(at, cell)| format!("{first} {}: {cell}", name(at))).collect()
}

/// Splits a sentence at punctuation and at words that begin a clause. A clause has at least two words.
fn clauses(sentence: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for phrase in phrases(sentence) {
        for word in phrase.split_whitespace() {
            let begins_clause = CLAUSE_WORDS.contains(&word.to_lowercase().as_str());
            match found.last_mut().filter(|clause| !(begins_clause || clause.ends_with('\n'))) {
                Some(clause) => {
                    clause.push(' ');
                    clause.push_str(word);
                }
                None => found.push(word.to_owned()),
            }
        }
        if let Some(clause) = found.last_mut() {
            clause.push('\n');
        }
    }
    joined(found)
}

/// Joins each clause that says too little by itself with the one before it.
fn joined(clauses: Vec<String>) -> Vec<String> {
    let is_short = |clause: &str| clause.len() <= MAX_SHORT_CLAUSE && Content::in_language(clause, None).is_short();
    let mut found: Vec<String> = Vec::new();
    let mut is_previous_short = false;
    for clause in clauses {
        let is_full = found.len() >= MAX_CLAUSES;
        match found.last_mut().filter(|_| is_full || is_previous_short || is_short(&clause)) {
            Some(previous) => {
                previous.push_str(", ");
                previous.push_str(clause.trim());
                is_previous_short = is_previous_short && is_short(previous);
            }
            None => {
                is_previous_short = is_short(&clause);
                found.push(clause.trim().to_owned());
            }
        }
    }
    found
}

/// Splits a sentence at punctuation that is not within a number.
fn phrases(sentence: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, c) in sentence.char_indices() {
        let is_in_number = sentence[at + c.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        if matches!(c, ',' | ':' | ';' | '—' | '(') && !is_in_number {
            found.push(&sentence[start..at]);
            start = at + c.len_utf8();
        }
    }
    found.push(&sentence[start..]);
    found
}
