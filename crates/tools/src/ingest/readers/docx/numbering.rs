//! Computes list numbers and bullets as Word displays them; the file stores only the numbering definitions.

use std::collections::HashMap;

use super::super::ReadError;
use super::super::numerals::{letters, roman};
use super::super::xml::{Element, Token, XmlReader};

/// One level of a list definition (`w:lvl`).
#[derive(Debug, Clone, Default)]
struct Level {
    /// The number format (`w:numFmt`), such as `decimal` or `lowerLetter`.
    format: String,
    /// The label pattern; `%1` stands for the number of the first level.
    text: String,
    /// The first number.
    start: u32,
}

/// A list (`w:num`).
#[derive(Debug, Default)]
struct ListInstance {
    /// The id of its definition.
    definition: u32,
    /// The start numbers that replace those of the definition, by level.
    start_overrides: HashMap<usize, u32>,
}

/// The list definitions of a document, and the current count of each list.
#[derive(Debug, Default)]
pub(super) struct Lists {
    definitions: HashMap<u32, Vec<Level>>,
    /// The lists by id.
    lists: HashMap<u32, ListInstance>,
    /// The current number of each level, by counter; lists with the same definition may share a counter.
    counts: HashMap<u32, Vec<u32>>,
    /// The id of the definition that belongs to a list style (`w:styleLink`).
    definition_by_style: HashMap<String, u32>,
    /// The list style that a definition takes its levels from (`w:numStyleLink`).
    linked_style: HashMap<u32, String>,
}

/// Number of list levels that Word supports.
const MAX_LEVELS: usize = 9;

/// The elements that enclose the parser's current position.
#[derive(Default)]
struct ParserState {
    definition: Option<u32>,
    list: Option<u32>,
    level: usize,
}

impl Lists {
    /// Parses the numbering part (`numbering.xml`).
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        let mut lists = Self::default();
        let mut xml = XmlReader::new(text);
        let mut state = ParserState::default();
        loop {
            match xml.next()? {
                Token::StartTag(element) => lists.handle_start_tag(&element, &mut state),
                Token::EndTag(name) => match name.as_str() {
                    "abstractNum" => state.definition = None,
                    "num" => state.list = None,
                    _ => {}
                },
                Token::EndOfDocument => return Ok(lists),
                Token::Text(_) => {}
            }
        }
    }

    fn handle_start_tag(&mut self, element: &Element<'_>, state: &mut ParserState) {
        let number = |name: &str| element.attribute(name).and_then(|value| value.parse::<u32>().ok());
        match element.name() {
            "abstractNum" => state.definition = number("abstractNumId"),
            "num" => state.list = number("numId"),
            "abstractNumId" => {
                if let (Some(list), Some(definition)) = (state.list, number("val")) {
                    self.lists.entry(list).or_default().definition = definition;
                }
            }
            "styleLink" | "numStyleLink" => {
                if let (Some(definition), Some(style)) = (state.definition, element.value()) {
                    if element.name() == "styleLink" {
                        self.definition_by_style.insert(style, definition);
                    } else {
                        self.linked_style.insert(definition, style);
                    }
                }
            }
            "lvl" | "lvlOverride" => state.level = (number("ilvl").unwrap_or(0) as usize).min(MAX_LEVELS - 1),
            "startOverride" => {
                if let (Some(list), Some(start)) = (state.list, number("val")) {
                    self.lists.entry(list).or_default().start_overrides.insert(state.level, start);
                }
            }
            "start" | "numFmt" | "lvlText" => self.set_level_property(element, state),
            _ => {}
        }
    }

    fn set_level_property(&mut self, element: &Element<'_>, state: &ParserState) {
        let Some(definition) = state.definition else { return };
        let levels = self
            .definitions
            .entry(definition)
            .or_insert_with(|| vec![Level { start: 1, ..Level::default() }; MAX_LEVELS]);
        let level = &mut levels[state.level];
        let value = element.value().unwrap_or_default();
        match element.name() {
            "start" => level.start = value.parse().unwrap_or(1),
            "numFmt" => level.format = value,
            _ => level.text = value,
        }
    }

    /// Returns the label of the list's next paragraph (`•`, `3.`, `b)`) and advances the count. Empty if the level
    /// shows no label.
    pub fn next_label(&mut self, list: u32, level: usize) -> String {
        let level = level.min(MAX_LEVELS - 1);
        let Some(ListInstance { definition, start_overrides }) = self.lists.get(&list) else { return "•".to_owned() };
        let definition = self
            .linked_style
            .get(definition)
            .and_then(|style| self.definition_by_style.get(style))
            .unwrap_or(definition);
        let Some(levels) = self.definitions.get(definition) else { return "•".to_owned() };
        // Lists with the same definition share a counter, unless the list overrides a start number.
        let counter = if start_overrides.is_empty() { *definition } else { u32::MAX - list };
        let start = |level: usize| start_overrides.get(&level).copied().unwrap_or(levels[level].start);
        let counts = self.counts.entry(counter).or_default();
        counts.truncate(level + 1);
        while counts.len() < level {
            counts.push(start(counts.len()));
        }
        match counts.get_mut(level) {
            Some(count) => *count = count.saturating_add(1),
            None => counts.push(start(level)),
        }
        let current_level = &levels[level];
        match current_level.format.as_str() {
            "bullet" => "•".to_owned(),
            "none" => String::new(),
            _ => fill_pattern(&current_level.text, counts, levels),
        }
    }
}

/// Replaces `%1`, `%2`, … in a label pattern with the current numbers of the levels.
fn fill_pattern(text: &str, counts: &[u32], levels: &[Level]) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let level = (c == '%').then(|| chars.peek().and_then(|digit| digit.to_digit(10))).flatten();
        match level {
            Some(level @ 1..) => {
                chars.next();
                let index = level as usize - 1;
                if let Some(count) = counts.get(index) {
                    out.push_str(&format_number(*count, &levels[index].format));
                }
            }
            _ => out.push(c),
        }
    }
    out.trim().to_owned()
}

fn format_number(number: u32, format: &str) -> String {
    match format {
        "lowerLetter" => letters(number as usize),
        "upperLetter" => letters(number as usize).to_uppercase(),
        "lowerRoman" => roman(number as usize),
        "upperRoman" => roman(number as usize).to_uppercase(),
        "decimalZero" => format!("{number:02}"),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"<w:numbering xmlns:w="x"><w:abstractNum w:abstractNumId="4">
        <w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
        <w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl>
        </w:abstractNum><w:abstractNum w:abstractNumId="5">
        <w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="x"/></w:lvl></w:abstractNum>
        <w:abstractNum w:abstractNumId="6"><w:numStyleLink w:val="Legal"/></w:abstractNum>
        <w:abstractNum w:abstractNumId="7"><w:styleLink w:val="Legal"/>
        <w:lvl w:ilvl="0"><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1."/></w:lvl></w:abstractNum>
        <w:num w:numId="6"><w:abstractNumId w:val="6"/></w:num>
        <w:num w:numId="1"><w:abstractNumId w:val="4"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="5"/></w:num>
        <w:num w:numId="3"><w:abstractNumId w:val="4"/>
        <w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride></w:num>
        </w:numbering>"#;

    #[test]
    fn lists_are_numbered_by_level() {
        let mut lists = Lists::parse(SAMPLE).unwrap();
        let labels: Vec<String> = [0, 1, 1, 0, 1].into_iter().map(|level| lists.next_label(1, level)).collect();
        assert_eq!(labels, ["1.", "1.a)", "1.b)", "2.", "2.a)"]);
        assert_eq!(lists.next_label(2, 0), "•");
        assert_eq!(lists.next_label(3, 0), "7.");
        assert_eq!(lists.next_label(6, 0), "I.", "the levels are those of the list style");
        assert_eq!(lists.next_label(99, 0), "•");
    }
}
