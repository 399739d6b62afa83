//! Normalizes the characters of extracted text: replaces or drops those that the database rejects (NUL), that break
//! search (ligatures, unusual spaces), or that mislead people (zero-width and bidirectional control characters, which
//! hide text).

use unicode_normalization::UnicodeNormalization as _;

/// Appends the normalized form of `c` to `out`: no character, one, or several.
pub fn push_normalized_char(out: &mut String, c: char) {
    match c {
        // Printable ASCII comes first because it is the common case.
        ' '..='~' | '\n' | '\t' => out.push(c),
        '\u{FB00}' => out.push_str("ff"),
        '\u{FB01}' => out.push_str("fi"),
        '\u{FB02}' => out.push_str("fl"),
        '\u{FB03}' => out.push_str("ffi"),
        '\u{FB04}' => out.push_str("ffl"),
        '\u{FB05}' | '\u{FB06}' => out.push_str("st"),
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => out.push(' '),
        '\u{2028}' | '\u{2029}' | '\u{85}' => out.push('\n'),
        '\u{2010}' | '\u{2011}' => out.push('-'),
        // Presentation forms of Arabic and Hebrew letters.
        '\u{FB1D}'..='\u{FDFB}' | '\u{FE70}'..='\u{FEFC}' => out.extend(std::iter::once(c).nfkc()),
        // Private-use code points that Word writes for bullets of symbol fonts.
        '\u{F0B7}' | '\u{F0A7}' | '\u{F076}' | '\u{F0D8}' | '\u{F0FC}' => out.push('•'),
        _ if is_dropped(c) => {}
        _ => out.push(c),
    }
}

/// Returns `text` with every character normalized; see [`push_normalized_char`].
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_normalized_char(&mut out, c));
    out
}

/// Returns `text` normalized and on a single line: each run of white space becomes one space, and both ends are
/// trimmed.
pub fn clean_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in clean(text).split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Whether a character is dropped: control and private-use characters, and invisible characters that can hide or
/// reorder text (soft hyphen, zero-width space and similar, direction marks and overrides, byte order mark, interlinear
/// and tag characters). The zero-width joiner and non-joiner are kept because Indic and Persian words need them.
fn is_dropped(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{E000}'..='\u{F8FF}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFD}' | '\u{E0000}'..='\u{10FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ligatures_become_letters_and_odd_spaces_become_spaces() {
        assert_eq!(clean("e\u{FB03}cient\u{A0}\u{FB01}rst"), "efficient first");
        assert_eq!(clean("\u{FEE3}\u{FEFB}"), "\u{645}\u{644}\u{627}", "presentation forms become letters");
    }

    #[test]
    fn invisible_characters_are_removed() {
        assert_eq!(clean("a\0b\u{200B}c\u{202E}d\u{E0041}e\u{AD}f\u{7}"), "abcdef");
    }

    #[test]
    fn a_line_is_single_spaced() {
        assert_eq!(clean_line("  Pump \n\t P-101A  "), "Pump P-101A");
    }
}
