//! Bidirectional text: converts lines from visual order, in which glyphs are collected, to logical (reading) order.

/// Whether a character belongs to a right-to-left script: Hebrew, Arabic or a related one.
fn is_rtl(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

/// Whether a character is a digit or a letter of a left-to-right script.
fn is_ltr(c: char) -> bool {
    c.is_alphanumeric() && (!is_rtl(c) || c.is_numeric())
}

/// Whether the text of one glyph is a ligature of a right-to-left script.
pub(super) fn is_rtl_ligature(text: &str) -> bool {
    // Fast path: in UTF-8, characters of these scripts start with byte 0xD6 or higher.
    text.bytes().any(|byte| byte >= 0xD6) && text.chars().any(is_rtl) && text.chars().nth(1).is_some()
}

/// Converts a line from visual to logical order.
pub(super) fn to_logical_order(line: &str) -> String {
    if !line.bytes().any(|byte| byte >= 0xD6) || !line.chars().any(is_rtl) {
        return line.to_owned();
    }
    let chars: Vec<char> = line.chars().collect();
    let rtl = chars.iter().filter(|c| is_rtl(**c) && !c.is_numeric()).count();
    let ltr = chars.iter().filter(|c| is_ltr(**c)).count();
    if rtl >= ltr {
        let reversed: Vec<char> = chars.iter().rev().map(|c| mirrored(*c)).collect();
        reverse_runs(&reversed, is_ltr, is_rtl)
    } else {
        reverse_runs(&chars, |c| is_rtl(c) && !c.is_numeric(), is_ltr)
    }
}

/// Reverses each run of characters for which `inside` is true. A run includes the neutral characters between them and
/// ends at a character for which `outside` is true.
fn reverse_runs(chars: &[char], inside: impl Fn(char) -> bool, outside: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < chars.len() {
        if !inside(chars[at]) {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let end = chars[at..].iter().position(|c| outside(*c) && !inside(*c)).map_or(chars.len(), |length| at + length);
        let last = chars[at..end].iter().rposition(|c| inside(*c)).map_or(at, |last| at + last);
        out.extend(chars[at..=last].iter().rev().map(|c| mirrored(*c)));
        at = last + 1;
    }
    out
}

/// The mirrored form of a bracket; other characters are unchanged.
fn mirrored(c: char) -> char {
    match c {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        ']' => '[',
        '{' => '}',
        '}' => '{',
        '<' => '>',
        '>' => '<',
        '«' => '»',
        '»' => '«',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_to_left_line_is_reversed_except_for_its_numbers() {
        let logical_order = "הצג P-101A עכשיו (12.5 bar) סוף";
        let visual_order = "ףוס (12.5 bar) וישכע P-101A גצה";
        assert_eq!(to_logical_order(visual_order), logical_order);
    }

    #[test]
    fn right_to_left_words_in_a_left_to_right_line_are_reversed() {
        assert_eq!(to_logical_order("the sign גצה ףוס means show and end"), "the sign סוף הצג means show and end");
        assert_eq!(to_logical_order("plain"), "plain");
    }
}
