//! Estimates token counts without the model's tokenizer.

/// An upper estimate for common tokenizers: three ASCII letters, one digit or one punctuation mark per token, and one
/// token per byte of other scripts, as byte-level vocabularies split unknown text.
pub(crate) fn tokens(text: &str) -> usize {
    let mut run = 0;
    text.chars().map(|c| cost(c, &mut run)).sum()
}

/// The longest prefix of `text` for which [`tokens`] is at most `limit`.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let (mut run, mut total) = (0, 0);
    for (at, c) in text.char_indices() {
        total += cost(c, &mut run);
        if total > limit {
            return &text[..at];
        }
    }
    text
}

/// Tokens that `c` adds; `run` counts the letters directly before it.
fn cost(c: char, run: &mut usize) -> usize {
    if !c.is_ascii_alphabetic() {
        *run = 0;
        return if c.is_whitespace() { 0 } else { c.len_utf8() };
    }
    *run += 1;
    usize::from(*run % 3 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_letters_by_threes_and_everything_else_singly() {
        assert_eq!(tokens(""), 0);
        assert_eq!(tokens("pump"), 2);
        assert_eq!(tokens("P-101A"), 6);
        assert_eq!(tokens("0.14 mm"), 5);
    }

    #[test]
    fn a_cut_text_is_within_the_limit_and_a_short_one_is_whole() {
        let text = "Die Überdruckventile öffnen bei 12 bar.";
        for limit in 0..=tokens(text) {
            assert!(tokens(cut(text, limit)) <= limit);
        }
        assert_eq!(cut(text, tokens(text)), text);
    }
}
