//! Makes untrusted text safe to print: a document must not be able to move the cursor, change the title of the window,
//! or reverse the order of characters.

use std::borrow::Cow;

/// Replaces each character that would control a terminal with U+FFFD. Keeps line breaks and tabs; CRLF becomes LF.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(controls_terminal) {
        return Cow::Borrowed(text);
    }
    let replaced = |c| if controls_terminal(c) { char::REPLACEMENT_CHARACTER } else { c };
    // A carriage return is allowed only as part of a Windows line break.
    Cow::Owned(text.replace("\r\n", "\n").chars().map(replaced).collect())
}

/// Puts the text on one line, with single spaces.
pub fn to_single_line(text: &str) -> String {
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned()
}

fn controls_terminal(c: char) -> bool {
    let changes_direction = matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    changes_direction || (c.is_control() && !matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_control_a_terminal_are_replaced() {
        let hostile = "a\u{1b}[2Jb\u{7}c\u{9b}31md\u{202e}e\rf";
        assert_eq!(printable(hostile), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}31md\u{fffd}e\u{fffd}f");
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        let text = "480 N·m\n\t• größer\n";
        assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        assert_eq!(printable("a\r\nb"), "a\nb");
    }

    #[test]
    fn to_single_line_removes_line_breaks() {
        assert_eq!(to_single_line("  a\n\tb \u{1b}c\n"), "a b \u{fffd}c");
    }
}
