//! Removes citation markers of passages that do not exist, while an answer is streamed.

use super::citations::marker_numbers;

/// Maximum length of a marker, in bytes. A longer one is broken, so that no reader takes it for a marker.
const MAX_MARKER_BYTES: usize = 256;
/// Zero-width space; breaks a marker without changing the visible text.
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// Filters an answer piece by piece. Holds back what may be the beginning of a marker.
#[derive(Debug, Default)]
pub struct MarkerFilter {
    /// The beginning of a marker with the spaces before it, until its end shows whether it is kept.
    pending: String,
    /// Whether the text ends with a `[` that was let through, and after it only what a marker may contain.
    is_bracket_open: bool,
    /// Whether the text so far ends with a complete reply, and the next piece begins another.
    is_new_reply: bool,
}

impl MarkerFilter {
    /// Filters the next piece of the answer. `exists` returns whether there is a passage with this number.
    pub fn push(&mut self, piece: &str, exists: impl Fn(u32) -> bool) -> String {
        let mut out = String::with_capacity(self.pending.len() + piece.len());
        if std::mem::take(&mut self.is_new_reply) {
            self.break_open_bracket(&mut out);
        }
        for c in piece.chars() {
            match (self.is_in_marker(), c) {
                (false, ' ') => self.pending.push(c),
                (_, '[') => {
                    if self.is_in_marker() {
                        self.flush(&mut out);
                    }
                    self.pending.push(c);
                }
                (true, ']') => self.end_marker(&exists, &mut out),
                (true, c) if may_be_in_marker(c) => {
                    if self.pending.len() >= MAX_MARKER_BYTES {
                        self.flush(&mut out);
                        self.break_open_bracket(&mut out);
                    }
                    self.pending.push(c);
                }
                (_, _) => {
                    self.pending.push(c);
                    self.flush(&mut out);
                }
            }
        }
        if !self.is_in_marker() {
            // Spaces at the end of a piece are not held back, so that a reader sees each piece as it was written.
            self.flush(&mut out);
        }
        out
    }

    /// Returns the text that was held back. Must be called at the end of each reply of the answer.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.flush(&mut out);
        self.is_new_reply = true;
        out
    }

    fn is_in_marker(&self) -> bool {
        self.pending.contains('[')
    }

    fn flush(&mut self, out: &mut String) {
        let pending = std::mem::take(&mut self.pending);
        self.emit(&pending, out);
    }

    fn emit(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            self.is_bracket_open = c == '[' || (self.is_bracket_open && may_be_in_marker(c));
        }
        out.push_str(text);
    }

    /// Breaks what would be a marker together with the text that follows.
    fn break_open_bracket(&mut self, out: &mut String) {
        if self.is_bracket_open {
            self.is_bracket_open = false;
            out.push(ZERO_WIDTH_SPACE);
        }
    }

    fn end_marker(&mut self, exists: impl Fn(u32) -> bool, out: &mut String) {
        let pending = std::mem::take(&mut self.pending);
        let (spaces, marker) = pending.split_at(pending.find('[').unwrap_or(0));
        let numbers = marker_numbers(&marker[1..]);
        let existing: Vec<String> = numbers.iter().filter(|n| exists(**n)).map(u32::to_string).collect();
        if existing.len() == numbers.len() {
            // All of the passages exist, or this is not a marker.
            self.emit(&pending, out);
            self.emit("]", out);
        } else if existing.is_empty() {
            self.break_open_bracket(out);
        } else {
            self.emit(&format!("{spaces}[{}]", existing.join(", ")), out);
        }
    }
}

fn may_be_in_marker(c: char) -> bool {
    matches!(c, '0'..='9' | ',' | ';' | ' ' | '^')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The filtered text, pushed in pieces of `size` characters. Passages 1 to 3 exist.
    fn filtered(text: &str, size: usize) -> String {
        let mut filter = MarkerFilter::default();
        let chars: Vec<char> = text.chars().collect();
        let pieces = chars.chunks(size).map(|piece| piece.iter().collect::<String>());
        let mut out: String = pieces.map(|piece| filter.push(&piece, |n| (1..=3).contains(&n))).collect();
        out.push_str(&filter.finish());
        out
    }

    #[test]
    fn markers_of_passages_that_do_not_exist_are_removed() {
        for (text, expected) in [
            ("It is 5 bar [1]. It is red [9].", "It is 5 bar [1]. It is red."),
            ("Both [1, 9][7] [2].", "Both [1] [2]."),
            ("[4]", ""),
            ("[99999999999] and [71, 72, 73, 74, 75, 76, 77, 78, 79, 80].", " and."),
            ("[[9]7] [1, [9]7] [^[9]2]", "[\u{200b}7] [1, \u{200b}7] [^\u{200b}2]"),
            ("a[0] and [2024]", "a and"),
            ("all [1;2,3] stay", "all [1;2,3] stay"),
        ] {
            assert_eq!(filtered(text, text.len()), expected, "{text}");
        }
    }

    #[test]
    fn other_text_in_brackets_is_kept() {
        for text in ["[x] [ ] [] [a 9]", "[1, x] [[2]] and [", "[1 and more", "[1,, 2]", " "] {
            for size in [1, 2, text.len()] {
                assert_eq!(filtered(text, size), text, "{size}");
            }
        }
    }

    #[test]
    fn a_marker_that_is_too_long_is_broken() {
        let long = format!("[9{}]", ", 9".repeat(MAX_MARKER_BYTES));
        for size in [1, 7, long.len()] {
            let text = filtered(&long, size);
            assert!(text.contains(ZERO_WIDTH_SPACE), "{text}");
            assert_eq!(text.replace(ZERO_WIDTH_SPACE, ""), long);
        }
    }

    #[test]
    fn two_replies_do_not_form_a_marker_together() {
        let mut filter = MarkerFilter::default();
        let first = filter.push("See [", |_| false) + &filter.finish();
        let second = filter.push("7].", |_| false) + &filter.finish();
        assert_eq!(first + &second, format!("See [{ZERO_WIDTH_SPACE}7]."));
    }

    proptest! {
        #[test]
        fn no_marker_of_a_missing_passage_is_left_however_the_text_is_split(
            text in "[\\[\\]0-9, ;a.]{0,40}",
            size in 1_usize..6,
        ) {
            let out = filtered(&text, size);
            for marker in out.split('[').skip(1).filter_map(|rest| rest.split_once(']')) {
                prop_assert!(marker_numbers(marker.0).iter().all(|n| (1..=3).contains(n)), "{out}");
            }
            let without_spaces = |text: &str| text.replace(' ', "");
            prop_assert_eq!(without_spaces(&out), without_spaces(&filtered(&text, text.len().max(1))));
        }
    }
}
