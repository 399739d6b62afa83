//! Reads plain text: detects the encoding, splits it into paragraphs, and recognizes the few kinds of headings that are
//! unambiguous.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::clean::clean;
use super::reader::Reader;
use super::{Block, BlockKind, Limits, Page, ParsedDocument, ReadError, Warning};

/// Reads plain text in UTF-8, UTF-16 or Windows-1252.
pub(super) struct TextReader;

impl Reader for TextReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        let DecodedText { text, warnings } = decode_within_limits(bytes, limits)?;
        let blocks = blocks(&clean(&text));
        Ok(ParsedDocument { pages: vec![Page { blocks, ..Page::default() }], warnings, ..ParsedDocument::default() })
    }
}

/// Decoded text with `\n` as the only line ending.
pub(super) struct DecodedText {
    pub(super) text: String,
    /// Problems to show to the user.
    pub(super) warnings: Vec<Warning>,
}

/// Decodes text and replaces all line endings and form feeds with line feeds.
///
/// # Errors
/// [`ReadError::TooLarge`] if the text exceeds the limit, [`ReadError::Unsupported`] if the bytes are not text.
pub(super) fn decode_within_limits(bytes: &[u8], limits: &Limits) -> Result<DecodedText, ReadError> {
    let text = decode_text(bytes).ok_or(ReadError::Unsupported)?;
    if text.len() > limits.max_text_bytes {
        let limit = limits.max_text_bytes as u64;
        return Err(ReadError::TooLarge { what: "bytes of text", limit });
    }
    let is_unusual = |c: char| {
        UNUSUAL_LINE_ENDINGS.contains(&c) || c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1a}')
    };
    let warnings = if text.contains(is_unusual) { vec![Warning::Cleaned] } else { Vec::new() };
    let ends_a_line = |c: char| matches!(c, '\r' | '\u{c}') || UNUSUAL_LINE_ENDINGS.contains(&c);
    let mut text = text.replace("\r\n", "\n").replace(ends_a_line, "\n");
    // Remove control characters here, because the Markdown parser would keep them.
    text.retain(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    Ok(DecodedText { text, warnings })
}

/// Unusual line endings: vertical tab, next line, line separator and paragraph separator.
const UNUSUAL_LINE_ENDINGS: [char; 4] = ['\u{b}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Decodes text of unknown encoding. Tries, in this order: the byte order mark, UTF-16 by its zero bytes, UTF-8 (the
/// last character may be truncated), Windows-1252. Returns `None` if the bytes are not text.
pub(super) fn decode_text(bytes: &[u8]) -> Option<String> {
    if let Some((encoding, bom_length)) = Encoding::for_bom(bytes) {
        return accept_if_printable(
            encoding.decode_without_bom_handling(&bytes[bom_length..]).0.into_owned(),
            EncodingCertainty::Detected,
        );
    }
    if let Some(encoding) = utf16_without_bom(bytes) {
        return accept_if_printable(
            encoding.decode_without_bom_handling(bytes).0.into_owned(),
            EncodingCertainty::Detected,
        );
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => return accept_if_printable(text.to_owned(), EncodingCertainty::Detected),
        Err(error) if error.error_len().is_none() => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
            return accept_if_printable(valid, EncodingCertainty::Detected);
        }
        // A few invalid bytes in UTF-8 text are damage, not a different encoding.
        Err(_) if is_mostly_utf8(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    };
    accept_if_printable(text, EncodingCertainty::Assumed)
}

/// How reliable the encoding is. An assumed encoding accepts almost any bytes, so its text is checked more strictly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EncodingCertainty {
    Detected,
    Assumed,
}

/// Whether valid multi-byte characters outnumber invalid sequences by at least ten to one, which almost never happens
/// in Windows-1252.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let (mut valid, mut invalid) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        valid += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    valid >= 10 * invalid
}

/// Detects UTF-16 without a byte order mark: in Western text, every other byte is zero, always the high one.
fn utf16_without_bom(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(4096) & !1];
    let pairs = sample.len() / 2;
    let zeros = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let (high, low) = (zeros(0), zeros(1));
    let is_mostly_zero = |count: usize| pairs >= 2 && count * 10 >= pairs * 7;
    match (is_mostly_zero(high), is_mostly_zero(low)) {
        (true, false) if low == 0 => Some(UTF_16BE),
        (false, true) if high == 0 => Some(UTF_16LE),
        _ => None,
    }
}

/// Returns the text if it is plausible: at most 2 % of its characters are NUL or replacement characters, and other
/// control characters are at most 50 % if the encoding was detected, or 2 % without any NUL if it was assumed.
fn accept_if_printable(text: String, certainty: EncodingCertainty) -> Option<String> {
    let is_usual =
        |c: char| matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}' | '\u{1a}') || UNUSUAL_LINE_ENDINGS.contains(&c);
    let (mut total, mut invalid, mut controls) = (0_usize, 0_usize, 0_usize);
    for c in text.chars() {
        total += 1;
        invalid += usize::from(matches!(c, '\0' | '\u{FFFD}'));
        controls += usize::from(c.is_control() && !is_usual(c));
    }
    let allowed = if certainty == EncodingCertainty::Detected { total / 2 } else { total / 50 };
    let nul_is_allowed = certainty == EncodingCertainty::Detected || !text.contains('\0');
    (invalid * 50 <= total && controls <= allowed && nul_is_allowed).then_some(text)
}

/// Splits text into blocks at blank lines, and recognizes headings and list items.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut blocks = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut index = 0;
    while index < lines.len() {
        let line = lines[index];
        let is_standalone = paragraph.is_empty() && lines.get(index + 1).is_none_or(|next| next.trim().is_empty());
        if let Some(level) =
            underline_level(lines.get(index + 1).copied()).filter(|_| paragraph.is_empty() && is_title(line))
        {
            blocks.push(Block::new(BlockKind::Heading { level }, line.trim()));
            index += 1;
        } else if let Some(level) = heading_level(line).filter(|_| is_standalone) {
            blocks.push(Block::new(BlockKind::Heading { level }, line.trim()));
        } else if line.trim().is_empty() {
            flush(&mut paragraph, &mut blocks);
        } else {
            if is_list_item(line) {
                flush(&mut paragraph, &mut blocks);
            }
            paragraph.push(line);
        }
        index += 1;
    }
    flush(&mut paragraph, &mut blocks);
    blocks
}

/// Ends the current paragraph. Line breaks are kept, because in plain text they may belong to a table or a log.
fn flush(paragraph: &mut Vec<&str>, blocks: &mut Vec<Block>) {
    if let Some(first) = paragraph.first() {
        let kind = if is_list_item(first) { BlockKind::ListItem } else { BlockKind::Paragraph };
        blocks.push(Block::new(kind, paragraph.join("\n").trim().to_owned()));
        paragraph.clear();
    }
}

/// The level of a heading by the underline below it: 1 for `====`, 2 for `----`.
fn underline_level(line: Option<&str>) -> Option<u8> {
    let line = line?.trim();
    let consists_of = |c: char| line.len() >= 3 && line.chars().all(|other| other == c);
    if consists_of('=') { Some(1) } else { consists_of('-').then_some(2) }
}

/// Whether a line contains a letter and is short enough to be a title.
fn is_title(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.chars().count() <= 100 && line.chars().any(char::is_alphabetic)
}

/// The level of a line as a heading: it must be numbered (`3.2 Start-up`) or all capitals, and must not end like a
/// sentence.
fn heading_level(line: &str) -> Option<u8> {
    let line = line.trim();
    if !is_title(line) || line.ends_with(['.', ',', ';', ':', '!', '?']) {
        return None;
    }
    if let Some(level) = section_number_level(line) {
        return Some(level);
    }
    let letters = line.chars().filter(|c| c.is_alphabetic()).count();
    let is_all_capitals = letters >= 4 && line.chars().filter(|c| c.is_alphabetic()).all(char::is_uppercase);
    (is_all_capitals && letters * 2 > line.len()).then_some(1)
}

/// The depth of the section number before a title: 2 for `3.2 Start-up`.
pub(super) fn section_number_level(line: &str) -> Option<u8> {
    let (number, rest) = line.split_once(char::is_whitespace)?;
    let number = number.trim_end_matches('.');
    let parts: Vec<&str> = number.split('.').collect();
    let numeric =
        parts.iter().all(|part| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit()));
    let starts_with_capital = rest.trim_start().chars().next().is_some_and(char::is_uppercase);
    (numeric && starts_with_capital && parts.len() <= 6).then_some(parts.len() as u8)
}

/// Whether a line is the caption of a table or figure: `Table 3-1 Name-plate data`, `Fig. 4: Coupling`.
pub(in crate::ingest) fn is_caption(line: &str) -> bool {
    const CAPTION_WORDS: [&str; 11] =
        ["table", "tabelle", "tab.", "tableau", "tabla", "figure", "fig.", "figura", "abbildung", "abb.", "bild"];
    let mut words = line.split_whitespace();
    let has_caption_word = words.next().is_some_and(|word| CAPTION_WORDS.contains(&word.to_lowercase().as_str()));
    let has_number = words.next().is_some_and(|word| word.len() <= 10 && word.bytes().any(|b| b.is_ascii_digit()));
    has_caption_word && has_number && line.len() <= 160
}

/// Whether a line starts with a bullet, or with a number or lower-case letter followed by `)` or `.`.
pub(super) fn is_list_item(line: &str) -> bool {
    let line = line.trim_start();
    let Some((marker, rest)) = line.split_once(char::is_whitespace) else { return false };
    let is_bullet = matches!(marker, "-" | "*" | "+" | "•" | "◦" | "▪" | "●" | "–" | "■" | "○" | "‣");
    let stem = marker.strip_suffix([')', '.']).map(|stem| stem.trim_start_matches('('));
    let enumerated = stem.is_some_and(|stem| {
        let digits = stem.len() <= 2 && stem.bytes().all(|b| b.is_ascii_digit());
        let letter = stem.len() == 1 && stem.bytes().all(|b| b.is_ascii_lowercase());
        !stem.is_empty() && (digits || letter)
    });
    (is_bullet || enumerated) && !rest.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::sniff;
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Block> {
        TextReader.read(bytes, &Limits::default()).unwrap().pages.remove(0).blocks
    }

    #[test]
    fn encodings_are_recognized() {
        let expected = "Überdruck: 4 bar – geprüft";
        let utf16 = |big: bool| -> Vec<u8> {
            expected.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        let files = [
            expected.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF".as_slice(), expected.as_bytes()].concat(),
            [b"\xFF\xFE".as_slice(), &utf16(false)].concat(),
            [b"\xFE\xFF".as_slice(), &utf16(true)].concat(),
            utf16(false),
            utf16(true),
            b"\xDCberdruck: 4 bar \x96 gepr\xFCft".to_vec(),
        ];
        for file in files {
            assert_eq!(read(&file)[0].text, expected, "{file:x?}");
        }
    }

    #[test]
    fn a_damaged_byte_does_not_change_the_encoding_of_the_rest() {
        let text = [b"\xC3\x84".repeat(60).as_slice(), b"\xFF end"].concat();
        assert_eq!(read(&text)[0].text, format!("{} end", "Ä".repeat(60)));
    }

    #[test]
    fn blank_lines_separate_paragraphs_and_numbers_make_headings() {
        let blocks = read(b"OVERVIEW\n\nFirst line\nsecond line.\n\n3.2 Start-up\n\n- open V-12\n- close V-13\n");
        let kinds: Vec<_> = blocks.iter().map(|block| block.kind).collect();
        assert_eq!(
            kinds,
            [
                BlockKind::Heading { level: 1 },
                BlockKind::Paragraph,
                BlockKind::Heading { level: 2 },
                BlockKind::ListItem,
                BlockKind::ListItem
            ]
        );
        assert_eq!(blocks[1].text, "First line\nsecond line.");
    }

    #[test]
    fn underlined_titles_are_headings() {
        let blocks = read(b"Pumps\n=====\n\nSeals\n-----\nText.\n");
        assert_eq!(blocks[0], Block::new(BlockKind::Heading { level: 1 }, "Pumps"));
        assert_eq!(blocks[1], Block::new(BlockKind::Heading { level: 2 }, "Seals"));
        assert_eq!(blocks[2].text, "Text.");
    }

    #[test]
    fn captions_name_a_table_or_figure_by_number() {
        assert!(is_caption("Table 3-1 Name-plate data") && is_caption("Abb. 4: Kupplung"));
        assert!(!is_caption("Table salt is 3 % of it") && !is_caption("Figures"));
    }

    #[test]
    fn control_characters_and_all_line_endings_are_cleaned_with_a_warning() {
        let controls: String = (1..32).chain(127..160).filter_map(char::from_u32).collect();
        let lines = "one\rtwo\nthree\u{b}four\u{c}five\u{85}six\u{2028}seven\u{2029}eight\r\nnine";
        let words = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine";
        for reader in [&TextReader as &dyn Reader, &super::super::markdown::MarkdownReader] {
            let read = |text: &str| reader.read(text.as_bytes(), &Limits::default()).unwrap();
            let document = read(lines);
            let flat = |document: &ParsedDocument| document.pages[0].blocks[0].text.replace(' ', "\n");
            assert_eq!(flat(&document), words);
            assert_eq!(document.warnings, [Warning::Cleaned]);
            let document = read(&format!("Close the valve {controls} V-12, then open the drain and log the time."));
            let text: String = document.pages[0].blocks.iter().map(|block| format!("{} ", block.text)).collect();
            assert!(text.contains("V-12, then open") && !text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            assert_eq!(document.warnings, [Warning::Cleaned]);
            assert_eq!(read("Plain text,\r\nwith a tab\tand a form feed\u{c}in it.").warnings, []);
        }
        assert_eq!(sniff(controls.repeat(3).as_bytes(), "controls.txt"), None, "control characters alone are not text");
    }

    #[test]
    fn binary_data_is_not_text() {
        assert_eq!(decode_text(&[0, 1, 2, 3, 0, 255, 254, 7, 0, 0, 9, 1]), None);
    }
}
