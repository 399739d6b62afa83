//! Built-in encodings of embedded Type 1 and CFF fonts. PDFs by old TeX and cairo declare no encoding; without the
//! built-in one, their ligatures are lost ("first" becomes "rst").
//!
//! This module reads the encoding of a Type 1 program from its clear-text part. read-fonts also requires an intact
//! encrypted part with all charstrings, which programs embedded in PDFs often lack.

use read_fonts::ps::PredefinedEncoding;
use read_fonts::ps::cff::CffFontRef;

use super::glyphs;

/// Text of each of the 256 codes of a one-byte encoding; `None` for codes without a known glyph.
pub(super) type TextByCode = Vec<Option<String>>;

/// Reads the encoding of a Type 1 program from the `dup 12 /ffi put` lines of its clear-text part; `None` if it has
/// none.
pub(super) fn type1_encoding(program: &[u8]) -> Option<TextByCode> {
    let end = find(program, b"eexec").unwrap_or(program.len());
    let clear_text = &program[..end];
    let start = find(clear_text, b"/Encoding")? + b"/Encoding".len();
    let words: Vec<&[u8]> = clear_text[start..]
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .take(20_000)
        .collect();
    if words.first() == Some(&b"StandardEncoding".as_slice()) {
        return Some(standard_encoding());
    }
    let mut table = vec![None; 256];
    let mut at = 0;
    while at + 1 < words.len() {
        match words[at] {
            b"dup" => at += read_encoding_entry(&words[at + 1..], &mut table),
            b"readonly" | b"def" => break,
            _ => at += 1,
        }
    }
    Some(table)
}

/// Reads `12 /ffi put` (or `12/ffi put`) after a `dup`; returns the number of words to skip.
fn read_encoding_entry(words: &[&[u8]], table: &mut TextByCode) -> usize {
    let joined: Vec<u8> = words.iter().take(2).copied().collect::<Vec<_>>().join(&b' ');
    let Some(slash) = joined.iter().position(|byte| *byte == b'/') else { return 1 };
    let name: &[u8] = joined[slash + 1..].split(|byte| *byte == b' ').next().unwrap_or_default();
    if let Some(slot) = postscript_integer(joined[..slash].trim_ascii()).and_then(|code| table.get_mut(code)) {
        *slot = glyphs::text_of_name(name);
    }
    2
}

/// Parses a PostScript integer, which may have a radix (`8#101`).
fn postscript_integer(word: &[u8]) -> Option<usize> {
    let word = std::str::from_utf8(word).ok()?;
    match word.split_once('#') {
        Some((radix, digits)) => {
            let radix = radix.parse().ok().filter(|radix| (2..=36).contains(radix))?;
            usize::from_str_radix(digits, radix).ok()
        }
        None => word.parse().ok(),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Reads the encoding of a bare CFF program (`FontFile3`). `None` for CID-keyed fonts, whose glyphs have no names.
pub(super) fn cff_encoding(program: &[u8]) -> Option<TextByCode> {
    let font = CffFontRef::new_cff(program, 0, None).ok().filter(|font| !font.is_cid())?;
    let encoding = font.encoding()?;
    match encoding.predefined() {
        Some(PredefinedEncoding::Standard) => return Some(standard_encoding()),
        Some(expert) => {
            return Some((0..=255).map(|code| glyphs::text_of_name(expert.name(code).as_bytes())).collect());
        }
        None => {}
    }
    let name = |code: u8| font.string(encoding.charset().string_id(encoding.map(code)?)?);
    Some((0..=255).map(|code| name(code).and_then(glyphs::text_of_name)).collect())
}

fn standard_encoding() -> TextByCode {
    glyphs::standard_encoding().iter().map(|c| c.map(String::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_a_type1_program_is_read() {
        let program = b"%!PS-AdobeFont /Encoding 256 array 0 1 255 {1 index exch /.notdef put} for
            dup 12 /fi put dup 8#15 /ffl put\ndup 65/A put readonly def currentfile eexec garbage";
        let table = type1_encoding(program).unwrap();
        assert_eq!(table[12].as_deref(), Some("\u{FB01}"));
        assert_eq!(table[13].as_deref(), Some("\u{FB04}"));
        assert_eq!(table[65].as_deref(), Some("A"));
        assert_eq!(table[66], None);
    }

    #[test]
    fn other_bytes_are_not_a_font() {
        assert_eq!(type1_encoding(b"nothing here"), None);
        assert_eq!(cff_encoding(b"\x01\0\x04\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), None);
        assert_eq!(cff_encoding(b""), None);
    }
}
