//! Removes citation markers of passages that do not exist, while an answer is streamed.

use super::citations::marker_numbers;

/// Maximum length of a marker, in bytes. Longer text in brackets is not a marker.
const MAX_MARKER_BYTES: usize = 32;

/// Filters an answer piece by piece. Holds back what may be the beginning of a marker.
#[derive(Debug, Default)]
pub struct MarkerFilter {
    /// The beginning of a marker with the spaces before it, until its end shows whether it is kept.
    pending: String,
}

impl MarkerFilter {
    /// Filters the next piece of the answer. `exists` returns whether there is a passage with this number.
    pub fn push(&mut self, piece: &str, exists: impl Fn(u32) -> bool) -> String {
        let mut out = String::with_capacity(self.pending.len() + piece.len());
        for c in piece.chars() {
            match (self.is_in_marker(), c) {
                (false, ' ') => self.pending.push(c),
                (_, '[') => {
                    if self.is_in_marker() {
                        self.flush(&mut out);
                    }
                    self.pending.push(c);
                }
                (false, _) => {
                    self.flush(&mut out);
                    out.push(c);
                }
                (true, ']') => self.end_marker(&exists, &mut out),
                (true, '0'..='9' | ',' | ';' | ' ' | '^') if self.pending.len() < MAX_MARKER_BYTES => {
                    self.pending.push(c)
                }
                (true, _) => {
                    self.flush(&mut out);
                    out.push(c);
                }
            }
        }
        if !self.is_in_marker() {
            // Spaces at the end of a piece are not held back, so that a reader sees each piece as it was written.
            self.flush(&mut out);
        }
        out
    }

    /// Returns the text that was held back. Must be called at the end of the answer.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.pending)
    }

    fn is_in_marker(&self) -> bool {
        self.pending.contains('[')
    }

    fn flush(&mut self, out: &mut String) {
        out.push_str(&self.pending);
        self.pending.clear();
    }

    fn end_marker(&mut self, exists: impl Fn(u32) -> bool, out: &mut String) {
        let pending = std::mem::take(&mut self.pending);
        let (spaces, marker) = pending.split_at(pending.find('[').unwrap_or(0));
        let numbers = marker_numbers(&marker[1..]);
        let existing: Vec<String> = numbers.iter().filter(|n| exists(**n)).map(u32::to_string).collect();
        if existing.len() == numbers.len() {
            // All of the passages exist, or this is not a marker.
            out.push_str(&pending);
            out.push(']');
        } else if !existing.is_empty() {
            out.push_str(&format!("{spaces}[{}]", existing.join(", ")));
        }
    }
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
            ("a[0] and [2024]", "a and"),
            ("all [1;2,3] stay", "all [1;2,3] stay"),
        ] {
            assert_eq!(filtered(text, text.len()), expected, "{text}");
        }
    }

    #[test]
    fn other_text_in_brackets_is_kept() {
        for text in
            ["[x] [ ] [] [a 9]", "[1, x] [[2]] and [", "[1 and more", "[12345678901234567890123456789012345]", " "]
        {
            for size in [1, 2, text.len()] {
                assert_eq!(filtered(text, size), text, "{size}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_marker_of_a_missing_passage_is_left_however_the_text_is_split(
            text in "[\\[\\]0-9, ;a.]{0,40}",
            size in 1_usize..6,
        ) {
            let out = filtered(&text, size);
            for marker in out.split('[').skip(1).filter_map(|rest| rest.split_once(']')) {
                let is_short = marker.0.len() < MAX_MARKER_BYTES - 2;
                prop_assert!(!is_short || marker_numbers(marker.0).iter().all(|n| (1..=3).contains(n)), "{out}");
            }
            let without_spaces = |text: &str| text.replace(' ', "");
            prop_assert_eq!(without_spaces(&out), without_spaces(&filtered(&text, text.len().max(1))));
        }
    }
}
