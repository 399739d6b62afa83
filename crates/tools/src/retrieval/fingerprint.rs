//! Detects passages with the same or nearly the same text.

use super::words::{self, WordHash};
use std::cmp::Ordering;

/// Fingerprint of a text: its word trigrams, and its words that contain digits, so that table rows which differ only in
/// a value or a tag count as different. All are hashes, in ascending order and without duplicates.
pub(super) struct Fingerprint {
    trigrams: Vec<u64>,
    words_with_digits: Vec<u64>,
}

impl Fingerprint {
    pub(super) fn new(content: &str) -> Self {
        let words: Vec<WordHash> = words::word_hashes(content).collect();
        // A text of fewer than three words has one trigram, with nothing in place of the missing words.
        let word = |at: usize| words.get(at).map_or(0, |word| word.hash);
        let trigrams =
            (0..words.len().saturating_sub(2).max(1)).map(|at| hash_trigram([word(at), word(at + 1), word(at + 2)]));
        Self {
            trigrams: sort_and_dedup(trigrams.collect()),
            words_with_digits: sort_and_dedup(
                words.iter().filter(|word| word.has_digit).map(|word| word.hash).collect(),
            ),
        }
    }

    /// Whether the Jaccard similarity of the trigrams is at least `overlap`, and the words with digits are the same.
    pub(super) fn is_duplicate_of(&self, other: &Self, overlap: f32) -> bool {
        if self.words_with_digits != other.words_with_digits {
            return false;
        }
        let shared = count_common(&self.trigrams, &other.trigrams);
        let union_size = self.trigrams.len() + other.trigrams.len() - shared;
        shared as f32 >= overlap * union_size as f32
    }
}

/// A hash of three words in this order.
fn hash_trigram(words: [u64; 3]) -> u64 {
    words.into_iter().fold(0, |hash: u64, word| (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn sort_and_dedup(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// How many hashes are in both lists.
fn count_common(one: &[u64], other: &[u64]) -> usize {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut count = 0;
    while let (Some(left), Some(right)) = (one.peek(), other.peek()) {
        match left.cmp(right) {
            Ordering::Less => drop(one.next()),
            Ordering::Greater => drop(other.next()),
            Ordering::Equal => {
                count += 1;
                one.next();
                other.next();
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Reference implementation of [`Fingerprint::is_duplicate_of`], with words instead of hashes.
    fn are_duplicates(one: &str, other: &str, overlap: f32) -> bool {
        let words = |text: &str| -> Vec<String> {
            text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
        };
        let trigrams = |words: &[String]| -> HashSet<[String; 3]> {
            let word = |at: usize| words.get(at).cloned().unwrap_or_default();
            (0..words.len().saturating_sub(2).max(1)).map(|at| [word(at), word(at + 1), word(at + 2)]).collect()
        };
        let numbers = |words: &[String]| -> HashSet<String> {
            words.iter().filter(|word| word.chars().any(|c| c.is_ascii_digit())).cloned().collect()
        };
        let (one, other) = (words(one), words(other));
        let shared = trigrams(&one).intersection(&trigrams(&other)).count();
        let all = trigrams(&one).union(&trigrams(&other)).count();
        shared as f32 >= overlap * all as f32 && numbers(&one) == numbers(&other)
    }

    proptest! {
        #[test]
        fn hashes_find_the_same_duplicates_as_words(
            one in "[abÄ1 -]{0,30}",
            other in "[abÄ1 -]{0,30}",
            extended in proptest::bool::ANY,
            overlap in 0.1_f32..=1.0,
        ) {
            let other = if extended { format!("{one}{other}").to_uppercase() } else { other };
            let found = Fingerprint::new(&one).is_duplicate_of(&Fingerprint::new(&other), overlap);
            prop_assert_eq!(found, are_duplicates(&one, &other, overlap), "{:?} {:?}", one, other);
        }
    }
}
