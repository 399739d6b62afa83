//! Text that runs from right to left. Glyphs are collected from left to right, as they stand; here a line gets the
//! order in which it is read.

/// Hebrew, Arabic and their kin.
fn is_rtl(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

/// Digits and letters of scripts that run to the right.
fn is_ltr(c: char) -> bool {
    c.is_alphanumeric() && (!is_rtl(c) || c.is_numeric())
}

/// Whether the text of one glyph reads from right to left.
pub(super) fn is_leftward(text: &str) -> bool {
    // Nearly all text is none of these scripts, whose letters begin with the byte 0xD6 or a higher one.
    text.bytes().any(|byte| byte >= 0xD6) && text.chars().any(is_rtl) && text.chars().nth(1).is_some()
}

/// A line in the order in which it is read, from the order in which it stands.
pub(super) fn logical(line: &str) -> String {
    if !line.bytes().any(|byte| byte >= 0xD6) || !line.chars().any(is_rtl) {
        return line.to_owned();
    }
    let chars: Vec<char> = line.chars().collect();
    let leftward = chars.iter().filter(|c| is_rtl(**c) && !c.is_numeric()).count();
    let rightward = chars.iter().filter(|c| is_ltr(**c)).count();
    if leftward >= rightward {
        let turned: Vec<char> = chars.iter().rev().map(|c| mirrored(*c)).collect();
        turn_runs(&turned, is_ltr, is_rtl)
    } else {
        turn_runs(&chars, |c| is_rtl(c) && !c.is_numeric(), is_ltr)
    }
}

/// Turns the runs of characters that are `inside` around, with what stands between two of them and is not `outside`.
fn turn_runs(chars: &[char], inside: impl Fn(char) -> bool, outside: impl Fn(char) -> bool) -> String {
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

/// A bracket as it looks from the other side.
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
    fn a_line_is_read_from_the_right_and_its_numbers_from_the_left() {
        let read = "הצג P-101A עכשיו (12.5 bar) סוף";
        let stands = "ףוס (12.5 bar) וישכע P-101A גצה";
        assert_eq!(logical(stands), read);
    }

    #[test]
    fn a_word_in_a_line_of_another_script_is_turned_alone() {
        assert_eq!(logical("the sign גצה ףוס means show and end"), "the sign סוף הצג means show and end");
        assert_eq!(logical("plain"), "plain");
    }
}
