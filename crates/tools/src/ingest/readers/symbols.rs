//! Character encodings of symbol fonts: `Symbol` and `ZapfDingbats`, which are standard fonts of PDF, and the
//! characters of `Wingdings` that carry meaning in Word documents.

/// Characters of the codes 0x20 to 0x7E in the font `Symbol` (ISO 32000-1, Annex D.5).
const SYMBOL_LOW: &str =
    " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼";
/// Characters of the codes 0xA0 to 0xFE in the font `Symbol`.
const SYMBOL_HIGH: &str =
    "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪ 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭";

/// Returns the character of a code in the font `Symbol`; `None` for an unassigned code.
pub(super) fn symbol(code: u8) -> Option<char> {
    match code {
        0x20..=0x7E => SYMBOL_LOW.chars().nth(usize::from(code - 0x20)),
        0xA0..=0xFE => SYMBOL_HIGH.chars().nth(usize::from(code - 0xA0)),
        _ => None,
    }
}

/// Returns the character of a code in the font `ZapfDingbats` (ISO 32000-1, Annex D.6), mostly the Unicode dingbats in
/// the same order; `None` for an unassigned code.
pub(super) fn dingbat(code: u8) -> Option<char> {
    let shifted = |base: u32, first: u8| char::from_u32(base + u32::from(code - first));
    match code {
        0x20 => Some(' '),
        0x25 => Some('☎'),
        0x2A => Some('☛'),
        0x2B => Some('☞'),
        0x48 => Some('★'),
        0x6C => Some('●'),
        0x6E => Some('■'),
        0x73 => Some('▲'),
        0x74 => Some('▼'),
        0x75 => Some('◆'),
        0x77 => Some('◗'),
        0x21..=0x7E => shifted(0x2701, 0x21),
        0xA8 => Some('♣'),
        0xA9 => Some('♦'),
        0xAA => Some('♥'),
        0xAB => Some('♠'),
        0xAC..=0xB5 => shifted(0x2460, 0xAC),
        0xD5 => Some('→'),
        0xD6 => Some('↔'),
        0xD7 => Some('↕'),
        0xA1..=0xFE if code != 0xF0 => shifted(0x2761, 0xA1),
        _ => None,
    }
}

/// Returns the character of a code in `Wingdings` or `Wingdings 2`: check boxes, ticks, crosses and arrows. All other
/// codes become a bullet.
pub(super) fn wingding(code: u8) -> char {
    match code {
        0x20 => ' ',
        0x6F | 0x71 | 0x72 | 0xA8 | 0xA3 => '☐',
        0xFE | 0x52 => '☑',
        0xFD | 0x53 | 0x54 => '☒',
        0xFC | 0x50 => '✓',
        0xFB | 0x4F => '✗',
        0xDF | 0xE7 => '←',
        0xE0 | 0xE8 => '→',
        0xE1 | 0xE9 => '↑',
        0xE2 | 0xEA => '↓',
        _ => '•',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_symbol_fonts_are_decoded() {
        let decoded: String = [b'W', b'a', 0xB0, 0xB1, 0xA3, 0xFE].into_iter().filter_map(symbol).collect();
        assert_eq!(decoded, "Ωα°±≤⎭");
        let decoded: String = [b'4', b'n', 0xAC, 0xB6, 0xD4, 0xEF].into_iter().filter_map(dingbat).collect();
        assert_eq!(decoded, "✔■①❶➔➯");
        assert_eq!(SYMBOL_LOW.chars().count(), 95);
        assert_eq!(SYMBOL_HIGH.chars().count(), 95);
    }
}
