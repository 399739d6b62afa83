//! Generates the text of documents: the same in every run, with a vocabulary as varied as that of real text.

/// Stop words of PostgreSQL's English dictionary; more than a third of all generated words.
const STOP_WORDS: &[&str] = &[
    "the", "of", "and", "to", "a", "in", "is", "it", "that", "was", "for", "on", "are", "with", "as", "be", "at", "by",
    "this", "from", "or", "have", "an", "not", "which", "were", "but", "all", "they", "been", "has", "their", "will",
    "when", "there", "can", "more", "if", "no", "out", "so", "up", "into", "than", "them", "then", "its", "only",
    "other", "after",
];
/// Consonants that begin a syllable.
const ONSETS: &[&str] =
    &["b", "br", "c", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "l", "m", "n", "p", "pl", "r", "s", "st", "tr", "v"];
const VOWELS: &[&str] = &["a", "e", "i", "o", "u", "ea", "ou"];
/// Consonants that end a syllable.
const CODAS: &[&str] = &["", "l", "n", "r", "t", "m", "ck", "nd"];
/// Number of words in the vocabulary, of which a few occur twice.
const VOCABULARY_SIZE: usize = 8_000;
/// Number of words that a document uses more often than others.
const WORDS_PER_TOPIC: usize = 60;
/// Number of sentences per passage.
const SENTENCES_PER_PASSAGE: usize = 9;
/// Number of words per sentence.
const WORDS_PER_SENTENCE: usize = 13;
/// Number of words that a question shares with the passage that it is about.
const QUESTION_WORDS: usize = 8;

/// Generates passages, questions and messages.
pub struct TextGenerator {
    vocabulary: Vec<String>,
}

impl TextGenerator {
    /// Creates a generator; all generators produce the same text.
    pub fn new() -> Self {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut vocabulary: Vec<String> = STOP_WORDS.iter().map(|word| (*word).to_owned()).collect();
        while vocabulary.len() < VOCABULARY_SIZE {
            let syllables = rng.usize(2..4);
            let word = (0..syllables).map(|_| syllable(&mut rng)).collect();
            vocabulary.push(word);
        }
        Self { vocabulary }
    }

    /// Generates the passage with this number in a document.
    pub fn passage(&self, document: u64, number: u64) -> String {
        let mut rng = fastrand::Rng::with_seed(document * 10_007 + number + 17);
        let topic = self.topic(document);
        let sentences: Vec<String> = (0..SENTENCES_PER_PASSAGE).map(|_| self.sentence(&mut rng, &topic)).collect();
        sentences.join(" ")
    }

    /// Generates a question about the passage with this number; `variant` selects the words that it repeats.
    pub fn question(&self, document: u64, number: u64, variant: u64) -> String {
        let passage = self.passage(document, number);
        let mut words: Vec<&str> = passage
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.len() > 3 && !STOP_WORDS.contains(word))
            .collect();
        fastrand::Rng::with_seed(variant).shuffle(&mut words);
        words.truncate(QUESTION_WORDS);
        format!("What does the manual say about {}?", words.join(" "))
    }

    /// Generates a chat message of three sentences.
    pub fn message(&self, seed: u64) -> String {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x00c0_ffee);
        let topic = self.topic(seed % 7);
        (0..3).map(|_| self.sentence(&mut rng, &topic)).collect::<Vec<_>>().join(" ")
    }

    fn topic(&self, document: u64) -> Vec<&str> {
        let mut rng = fastrand::Rng::with_seed(document + 1_000_003);
        (0..WORDS_PER_TOPIC).map(|_| self.vocabulary[rng.usize(STOP_WORDS.len()..VOCABULARY_SIZE)].as_str()).collect()
    }

    fn sentence(&self, rng: &mut fastrand::Rng, topic: &[&str]) -> String {
        let words: Vec<&str> = (0..WORDS_PER_SENTENCE)
            .map(|_| if rng.f64() < 0.15 { topic[rng.usize(..topic.len())] } else { self.word(rng) })
            .collect();
        let mut sentence = words.join(" ");
        if let Some(first) = sentence.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        sentence + "."
    }

    /// Picks a word, with a frequency inversely proportional to its rank (Zipf's law).
    fn word(&self, rng: &mut fastrand::Rng) -> &str {
        let rank = (VOCABULARY_SIZE as f64).powf(rng.f64()) as usize - 1;
        &self.vocabulary[rank.min(VOCABULARY_SIZE - 1)]
    }
}

fn syllable(rng: &mut fastrand::Rng) -> String {
    let mut pick = |choices: &[&str]| choices[rng.usize(..choices.len())].to_owned();
    pick(ONSETS) + &pick(VOWELS) + &pick(CODAS)
}

/// Whether a word is a stop word.
pub fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(&word)
}
