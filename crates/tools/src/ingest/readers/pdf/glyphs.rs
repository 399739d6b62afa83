//! Maps glyph names, and the codes of the predefined one-byte encodings, to text.
//!
//! lopdf contains the Adobe Glyph List and the encodings, but keeps them private, so this module queries them through a
//! synthetic font dictionary.

use std::sync::LazyLock;

use lopdf::{Dictionary, Document, Object};

/// A one-byte encoding: the character of each code, `None` for unassigned codes.
pub(super) type EncodingTable = [Option<char>; 256];

static STANDARD: LazyLock<EncodingTable> = LazyLock::new(|| load_table(b"StandardEncoding"));
static WIN_ANSI: LazyLock<EncodingTable> = LazyLock::new(|| {
    let mut table = load_table(b"WinAnsiEncoding");
    // Second codes of the space and the hyphen (ISO 32000-1, Annex D.2, notes 3 to 6).
    table[0xA0] = Some(' ');
    table[0xAD] = Some('-');
    table
});
static MAC_ROMAN: LazyLock<EncodingTable> = LazyLock::new(|| load_table(b"MacRomanEncoding"));
static MAC_EXPERT: LazyLock<EncodingTable> = LazyLock::new(|| load_table(b"MacExpertEncoding"));

/// Looks up a predefined encoding by its PDF name.
pub(super) fn encoding(name: &[u8]) -> Option<&'static EncodingTable> {
    match name {
        b"StandardEncoding" => Some(&STANDARD),
        b"WinAnsiEncoding" => Some(&WIN_ANSI),
        b"MacRomanEncoding" => Some(&MAC_ROMAN),
        b"MacExpertEncoding" => Some(&MAC_EXPERT),
        _ => None,
    }
}

/// `StandardEncoding`, the default for fonts that declare no encoding.
pub(super) fn standard_encoding() -> &'static EncodingTable {
    &STANDARD
}

/// Returns the text of a glyph name. It may be in the Adobe Glyph List, have the form `uniXXXX` or `uXXXXX`, or join
/// components with `_`; a suffix such as `.sc` is ignored. `None` for names without a meaning (`g23`, `.notdef`).
pub(super) fn text_of_name(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let stem = name.split('.').next().filter(|stem| !stem.is_empty())?;
    let text: String = stem.split('_').map(component_text).collect::<Option<String>>()?;
    (!text.is_empty()).then_some(text)
}

fn component_text(name: &str) -> Option<String> {
    if let Some(c) = listed_glyph(name.as_bytes()) {
        return Some(c.to_string());
    }
    if let Some(hex) = name.strip_prefix("uni")
        && hex.len() >= 4
        && hex.len().is_multiple_of(4)
        && hex.is_ascii()
    {
        let units: Option<Vec<u16>> =
            (0..hex.len()).step_by(4).map(|at| u16::from_str_radix(&hex[at..at + 4], 16).ok()).collect();
        return String::from_utf16(&units?).ok();
    }
    if let Some(hex) = name.strip_prefix('u')
        && (4..=6).contains(&hex.len())
    {
        return char::from_u32(u32::from_str_radix(hex, 16).ok()?).map(String::from);
    }
    // Glyph names of TeX fonts that are missing from the Adobe Glyph List.
    let text = match name {
        "dotlessj" => "ȷ",
        "visiblespace" => " ",
        "nbspace" => " ",
        "sfthyphen" => "-",
        "slurabove" | "slurbelow" => "",
        _ => return None,
    };
    Some(text.to_owned())
}

fn listed_glyph(name: &[u8]) -> Option<char> {
    let differences = vec![Object::Integer(1), Object::Name(name.to_vec())];
    let encoding = Dictionary::from_iter([("Differences", Object::Array(differences))]);
    decode(Object::Dictionary(encoding), 1)
}

fn load_table(name: &[u8]) -> EncodingTable {
    let mut table = [None; 256];
    let font = font(Object::Name(name.to_vec()));
    let document = Document::new();
    if let Ok(encoding) = font.get_font_encoding(&document) {
        for (code, slot) in table.iter_mut().enumerate() {
            *slot = encoding.bytes_to_string(&[code as u8]).ok().and_then(|text| text.chars().next());
        }
    }
    table
}

fn decode(encoding: Object, code: u8) -> Option<char> {
    let font = font(encoding);
    let document = Document::new();
    let encoding = font.get_font_encoding(&document).ok()?;
    // For an unknown name, lopdf falls back to the standard encoding, which has no character at code 1.
    encoding.bytes_to_string(&[code]).ok()?.chars().next()
}

fn font(encoding: Object) -> Dictionary {
    Dictionary::from_iter([("Type", Object::Name(b"Font".to_vec())), ("Encoding", encoding)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glyph_names_are_converted_to_text() {
        assert_eq!(text_of_name(b"ffi").as_deref(), Some("\u{FB03}"));
        assert_eq!(text_of_name(b"f_f_i").as_deref(), Some("ffi"));
        assert_eq!(text_of_name(b"Adieresis").as_deref(), Some("Ä"));
        assert_eq!(text_of_name(b"uni00410042").as_deref(), Some("AB"));
        assert_eq!(text_of_name(b"u1F600").as_deref(), Some("😀"));
        assert_eq!(text_of_name(b"one.oldstyle").as_deref(), Some("1"));
        assert_eq!(text_of_name(b".notdef"), None);
        assert_eq!(text_of_name(b"g123"), None);
    }

    #[test]
    fn predefined_encodings_have_their_characters() {
        assert_eq!(encoding(b"WinAnsiEncoding").unwrap()[0xE4], Some('ä'));
        assert_eq!(encoding(b"MacRomanEncoding").unwrap()[0x8A], Some('ä'));
        assert_eq!(standard_encoding()[0xAE], Some('\u{FB01}'));
        assert!(encoding(b"Identity-H").is_none());
    }
}
