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

/// Words with which a sentence goes on about what the one before it was about.
const PRONOUNS: &[&str] =
    &["it", "its", "they", "their", "these", "this", "er", "es", "sie", "ihre", "seine", "diese", "dieser"];
/// Words after which a negation before them does not hold: `do not open it before it is cool`.
const LIFTS_NEGATION: &[&str] = &["before", "until", "unless", "bevor", "solange", "außer"];

/// A sentence or a table row, with its clauses.
pub(super) struct Part {
    pub content: Content,
    pub clauses: Vec<Content>,
    /// What it says to do first, if it says so.
    pub order: Option<Order>,
    /// The number of the step that it describes, if it is one of a numbered list.
    pub step: Option<u32>,
}

impl Part {
    /// Analyzes one statement.
    pub(super) fn of_statement(text: &str) -> Self {
        Reader { language: language(text), ..Reader::default() }.part(text, &clauses(text))
    }
}

/// Reads a text part by part, and remembers what it is about.
#[derive(Default)]
struct Reader {
    language: Option<Language>,
    /// The equipment that was named last.
    equipment: HashSet<String>,
    /// The last clause before the part, if the part goes on with it.
    previous: Option<Content>,
    /// Stems of the sentences before in the same paragraph.
    paragraph: HashSet<String>,
}

impl Reader {
    fn part(&mut self, text: &str, clauses: &[String]) -> Part {
        let mut content = Content::in_language(text, self.language);
        content.inherit(&mut self.equipment.clone());
        let mut parts: Vec<Content> = Vec::new();
        for text in clauses {
            let mut clause = Content::in_language(text, self.language);
            if let Some(previous) = parts.last().or(self.previous.as_ref()) {
                clause.continue_from(previous);
            }
            clause.inherit(&mut self.equipment);
            clause.stems_of_paragraph.clone_from(&self.paragraph);
            if let Some(previous) = parts.last_mut().filter(|_| begins_with(text, LIFTS_NEGATION)) {
                previous.lift_negation();
            }
            parts.push(clause);
        }
        content.polarity = common_polarity(&parts);
        content.stems_of_paragraph.clone_from(&self.paragraph);
        self.paragraph.extend(content.stems.iter().cloned());
        self.previous = parts.last().cloned();
        Part { content, clauses: parts, order: Order::of(text, self.language), step: None }
    }

    fn sentences(&mut self, line: &str, found: &mut Vec<Part>) {
        self.paragraph.clear();
        self.previous = None;
        let step = step(line);
        for span in sentences(line, 0..line.len()) {
            if !begins_with(&line[span.clone()], PRONOUNS) {
                self.previous = None;
            }
            for text in line[span].split(';') {
                found.push(Part { step, ..self.part(text, &clauses(text)) });
            }
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

/// Returns the parts of a text, in order.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut found = Vec::new();
    let mut reader = Reader::default();
    let mut header: Option<Vec<&str>> = None;
    let language_of_text = language(text);
    for line in text.lines() {
        reader.language = language(line).or(language_of_text);
        match cells(line) {
            Some(cells) if cells.iter().all(|cell| cell.chars().all(|c| "-: ".contains(c))) => {}
            Some(cells) => {
                let columns = header.as_ref().map(|header| columns(header, &cells));
                let columns = columns.unwrap_or_else(|| vec![line.to_owned()]);
                reader.paragraph.clear();
                reader.previous = None;
                found.push(reader.part(&columns.join(", "), &columns));
                header.get_or_insert(cells);
            }
            None => {
                header = None;
                reader.sentences(line, &mut found);
            }
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

fn begins_with(text: &str, words: &[&str]) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default().to_lowercase();
    words.contains(&first.trim_end_matches(','))
}

/// Returns the cells of a table row; `None` if the line is none.
fn cells(line: &str) -> Option<Vec<&str>> {
    let line = line.trim();
    let is_row = line.starts_with('|') || line.contains(" | ");
    let inner = line.strip_prefix('|').unwrap_or(line);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    is_row.then(|| inner.split('|').map(str::trim).collect())
}

/// Returns what each cell of a row says: its column's header, the first cell and the cell itself.
fn columns(header: &[&str], cells: &[&str]) -> Vec<String> {
    let first = cells.first().copied().unwrap_or_default();
    let named = cells.iter().enumerate().skip(1);
    named.map(|(at, cell)| format!("{first} {}: {cell}", header.get(at).copied().unwrap_or_default())).collect()
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
    let mut found: Vec<String> = Vec::new();
    for clause in clauses {
        let is_short = |clause: &str| Content::in_language(clause, None).is_short();
        match found.last_mut().filter(|previous| is_short(&clause) || is_short(previous)) {
            Some(previous) => {
                previous.push_str(", ");
                previous.push_str(clause.trim());
            }
            None => found.push(clause.trim().to_owned()),
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
        if matches!(c, ',' | ':' | '—' | '(') && !is_in_number {
            found.push(&sentence[start..at]);
            start = at + c.len_utf8();
        }
    }
    found.push(&sentence[start..]);
    found
}
