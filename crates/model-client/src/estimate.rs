//! Estimates token counts when the model's tokenizer is not available.

/// Estimates the number of tokens of `text`; for common tokenizers, the estimate tends to be too high. Counts one token
/// per three ASCII letters, per digit and per punctuation mark, and one per byte of other characters, because
/// byte-level vocabularies split unknown text into bytes.
pub(crate) fn tokens(text: &str) -> usize {
    let mut letter_run = 0;
    text.chars().map(|c| token_cost(c, &mut letter_run)).sum()
}

/// Returns the longest prefix of `text` that has at most `max_tokens` tokens according to [`tokens`].
pub(crate) fn truncate(text: &str, max_tokens: usize) -> &str {
    let (mut letter_run, mut total) = (0, 0);
    for (end, c) in text.char_indices() {
        total += token_cost(c, &mut letter_run);
        if total > max_tokens {
            return &text[..end];
        }
    }
    text
}

/// Number of tokens that `c` adds; `letter_run` is the number of consecutive letters so far and is updated.
fn token_cost(c: char, letter_run: &mut usize) -> usize {
    if !c.is_ascii_alphabetic() {
        *letter_run = 0;
        return if c.is_whitespace() { 0 } else { c.len_utf8() };
    }
    *letter_run += 1;
    usize::from(*letter_run % 3 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_letters_or_one_other_byte_count_as_one_token() {
        assert_eq!(tokens(""), 0);
        assert_eq!(tokens("pump"), 2);
        assert_eq!(tokens("P-101A"), 6);
        assert_eq!(tokens("0.14 mm"), 5);
    }

    #[test]
    fn a_truncated_text_is_within_the_limit_and_a_short_one_is_unchanged() {
        let text = "Die Überdruckventile öffnen bei 12 bar.";
        for limit in 0..=tokens(text) {
            assert!(tokens(truncate(text, limit)) <= limit);
        }
        assert_eq!(truncate(text, tokens(text)), text);
    }
}
