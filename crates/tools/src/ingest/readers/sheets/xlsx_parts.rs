//! Checks the parts of a workbook before the spreadsheet library sees them, and collects what it does not report.
//!
//! The library unpacks parts without limits, and trusts counts and references. So each part is unpacked here first,
//! within the limits, must be well-formed XML without a document type, and must not declare what it does not have.

use std::collections::HashMap;

use super::super::package::{Package, Relationship};
use super::super::xml::{Element, Token, XmlReader};
use super::super::{CellRange, ReadError};
use super::MAX_MERGED;

/// Maximum length of a cell's reference: that of `XFD1048576`.
const MAX_REFERENCE_BYTES: usize = 10;
/// Number of shared strings that may always be declared; the library reserves 24 bytes for each.
const MAX_UNCHECKED_STRINGS: u64 = 100_000;

/// What a sheet's part holds besides its values.
#[derive(Debug, Default)]
pub(super) struct SheetPart {
    /// The merged cells.
    pub merged: Vec<CellRange>,
    /// Number of formulas without a stored result.
    pub formulas_without_value: u32,
}

/// The checked parts of a workbook.
#[derive(Debug, Default)]
pub(super) struct WorkbookParts {
    /// The sheets by the path of their part.
    sheets: HashMap<String, SheetPart>,
    /// The paths of the sheets' parts, in the order of the workbook.
    paths: Vec<Option<String>>,
    /// The title in the properties.
    pub title: Option<String>,
    /// Whether the workbook has macros.
    pub has_macros: bool,
}

impl WorkbookParts {
    /// Takes the part of the sheet at this position of the workbook, from 0; an empty one if it is unknown.
    pub fn take_sheet(&mut self, position: usize) -> SheetPart {
        let path = self.paths.get(position).and_then(Option::as_ref);
        path.and_then(|path| self.sheets.remove(path)).unwrap_or_default()
    }

    /// Checks all parts.
    ///
    /// # Errors
    /// `TooLarge` for a part that exceeds a limit, `Corrupt` for one that is not well-formed XML or declares more than
    /// it has.
    pub fn check(package: &mut Package<'_>) -> Result<Self, ReadError> {
        let mut parts = Self::default();
        for name in package.names() {
            let lower = name.to_ascii_lowercase();
            parts.has_macros |= lower.ends_with("vbaproject.bin");
            if lower.ends_with(".xml") || lower.ends_with(".rels") {
                let text = package.part(&name)?.unwrap_or_default();
                let sheet = check_part(&text)?;
                if lower.contains("sheet") {
                    parts.sheets.insert(name, sheet);
                }
            }
        }
        let relationships = package.relationships("")?;
        let main = relationships.values().find(|part| part.kind == "officeDocument").map(|part| part.path.clone());
        let main = main.unwrap_or_else(|| "xl/workbook.xml".to_owned());
        let related = package.relationships(&main)?;
        parts.paths = package.part(&main)?.map_or(Ok(Vec::new()), |text| sheet_paths(&text, &related))?;
        parts.title = package.core_title(&relationships)?;
        Ok(parts)
    }
}

/// The paths of the sheets' parts, in the order of the workbook.
fn sheet_paths(text: &str, related: &HashMap<String, Relationship>) -> Result<Vec<Option<String>>, ReadError> {
    let mut xml = XmlReader::new(text);
    let mut paths = Vec::new();
    loop {
        match xml.next()? {
            Token::StartTag(element) if element.name() == "sheet" => {
                let part = element.attribute("id").and_then(|id| related.get(&id));
                paths.push(part.map(|part| part.path.clone()));
            }
            Token::EndOfDocument => return Ok(paths),
            _ => {}
        }
    }
}

/// Reads a part to its end, and collects what is of use if it is a sheet.
fn check_part(text: &str) -> Result<SheetPart, ReadError> {
    let mut xml = XmlReader::new(text);
    let mut part = SheetPart::default();
    let mut cell = CellState::default();
    loop {
        match xml.next()? {
            Token::StartTag(element) => {
                check_element(&element, text.len())?;
                match element.name() {
                    "c" => cell = CellState::default(),
                    "f" => cell.has_formula = true,
                    "v" | "t" => cell.in_value = true,
                    "mergeCell" if part.merged.len() < MAX_MERGED => {
                        part.merged.extend(element.attribute("ref").and_then(|range| CellRange::parse(&range)));
                    }
                    _ => {}
                }
            }
            Token::Text(text) => cell.has_value |= cell.in_value && !text.is_empty(),
            Token::EndTag(name) => match name.as_str() {
                "v" | "t" => cell.in_value = false,
                "c" if cell.has_formula && !cell.has_value => part.formulas_without_value += 1,
                _ => {}
            },
            Token::EndOfDocument => return Ok(part),
        }
    }
}

/// What was seen of the current cell.
#[derive(Default)]
struct CellState {
    has_formula: bool,
    has_value: bool,
    in_value: bool,
}

/// Refuses references and counts that the library would trust.
fn check_element(element: &Element<'_>, part_bytes: usize) -> Result<(), ReadError> {
    match element.name() {
        "c" | "row" if element.attribute("r").is_some_and(|reference| !is_reference(&reference)) => {
            Err(ReadError::corrupt("a cell lies outside of its sheet"))
        }
        "dimension" if element.attribute("ref").is_some_and(|range| CellRange::parse(&range).is_none()) => {
            Err(ReadError::corrupt("the dimension of a sheet is wrong"))
        }
        "sst" => {
            let declared = element.attribute("uniqueCount").and_then(|count| count.parse::<u64>().ok());
            let is_possible = |count: u64| count <= MAX_UNCHECKED_STRINGS.max(part_bytes as u64);
            if declared.is_none_or(is_possible) {
                Ok(())
            } else {
                Err(ReadError::corrupt("its list of texts is wrong"))
            }
        }
        _ => Ok(()),
    }
}

/// Whether a reference to a cell or row has at most three letters and seven digits.
fn is_reference(reference: &str) -> bool {
    let letters = reference.bytes().take_while(u8::is_ascii_alphabetic).count();
    let digits = reference.len() - letters;
    reference.len() <= MAX_REFERENCE_BYTES
        && letters <= 3
        && (1..=7).contains(&digits)
        && reference.bytes().skip(letters).all(|byte| byte.is_ascii_digit())
}
