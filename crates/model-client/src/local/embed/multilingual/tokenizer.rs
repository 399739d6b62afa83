//! SentencePiece's unigram tokenizer (Kudo, 2018), from the vocabulary's own file.
//!
//! Not the `tokenizers` crate's: its normalization works on grapheme clusters, which gives other tokens for stacked
//! combining marks; it reads `<s>` in a text as the control token; and its tree of hash maps takes 108 MB for this
//! vocabulary.

use prost::Message;

use super::{
    normalizer::Normalizer,
    trie::{Piece, Trie},
};

/// Id of a character that no piece covers.
const UNKNOWN: u32 = 0;
/// Id of the token at the start of a text.
const START: u32 = 1;
/// Id of the token at the end of a text.
const END: u32 = 2;
/// How much worse than the worst piece an unknown character is.
const UNKNOWN_PENALTY: f32 = 10.0;

/// Type of an ordinary piece; the default of a piece without a type.
const NORMAL: i32 = 1;
/// Type of a piece that is always preferred.
const USER_DEFINED: i32 = 4;

/// The parts that are used of a SentencePiece `ModelProto`.
#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerProto>,
}

/// A piece: its text, its score (a logarithm of a probability) and its type.
#[derive(Clone, PartialEq, Message)]
struct PieceProto {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

/// The normalization rules of a SentencePiece model.
#[derive(Clone, PartialEq, Message)]
struct NormalizerProto {
    #[prost(bytes = "vec", optional, tag = "2")]
    table: Option<Vec<u8>>,
}

/// The vocabulary with its scores.
pub(super) struct SentencePiece {
    normalizer: Normalizer,
    trie: Trie,
    /// Log probability of each piece, by its id.
    scores: Vec<f32>,
    /// Whether the piece is user-defined, by id.
    user_defined: Vec<bool>,
    unknown_score: f32,
    highest_score: f32,
}

/// The best segmentation of a text up to some byte ends with the piece `id`, which begins at byte `start`.
#[derive(Clone, Copy)]
struct Step {
    score: f32,
    start: usize,
    id: u32,
}

impl SentencePiece {
    /// Reads a `.model` file with a unigram vocabulary whose first three ids are unknown, start and end.
    pub(super) fn new(file: &[u8]) -> Result<Self, tokenizers::Error> {
        let model = ModelProto::decode(file)?;
        let table = model.normalizer.and_then(|normalizer| normalizer.table);
        let normalizer = Normalizer::new(&table.unwrap_or_default())?;
        let kind = |piece: &PieceProto| piece.kind.unwrap_or(NORMAL);
        let score = |piece: &PieceProto| piece.score.unwrap_or_default();
        let normal_scores = || model.pieces.iter().filter(|piece| kind(piece) == NORMAL).map(score);
        // Control tokens have a name, but no text stands for them.
        let in_text = model.pieces.iter().zip(0..).filter(|(piece, _)| [NORMAL, USER_DEFINED].contains(&kind(piece)));
        let pieces = in_text.filter_map(|(piece, id)| {
            let text = piece.text.as_ref().filter(|text| !text.is_empty())?;
            Some(Piece { text: text.as_bytes(), id })
        });
        Ok(Self {
            normalizer,
            trie: Trie::new(pieces.collect()),
            scores: model.pieces.iter().map(score).collect(),
            user_defined: model.pieces.iter().map(|piece| kind(piece) == USER_DEFINED).collect(),
            unknown_score: normal_scores().fold(f32::INFINITY, f32::min) - UNKNOWN_PENALTY,
            highest_score: normal_scores().fold(f32::NEG_INFINITY, f32::max),
        })
    }

    /// The model's input: the start token, as many tokens of `text` as fit, the end token.
    pub(super) fn sequence(&self, text: &str, max_tokens: usize) -> Vec<u32> {
        let mut ids = self.encode(text);
        ids.truncate(max_tokens.saturating_sub(2));
        ids.insert(0, START);
        ids.push(END);
        ids
    }

    /// The ids of the most probable segmentation. Takes memory of about twenty times the text.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let text = self.normalizer.normalize(text);
        let steps = self.best_steps(&text);
        let mut ids = Vec::with_capacity(text.len() / 3);
        let mut end = text.len();
        while end > 0 {
            let Step { start, id, .. } = steps[end];
            // A run of unknown characters is one token.
            if id != UNKNOWN || ids.last() != Some(&UNKNOWN) {
                ids.push(id);
            }
            end = start;
        }
        ids.reverse();
        ids
    }

    /// For each byte of a normalized text, the last step of the best segmentation up to it (Viterbi). Of two that are
    /// equally good, it is the one whose last piece begins first.
    fn best_steps(&self, text: &[u8]) -> Vec<Step> {
        let mut steps = vec![Step { score: f32::NEG_INFINITY, start: 0, id: UNKNOWN }; text.len() + 1];
        steps[0].score = 0.0;
        let mut start = 0;
        while start < text.len() {
            let score_before = steps[start].score;
            let mut improve = |end: usize, id: u32, score: f32| {
                if score_before + score > steps[end].score {
                    steps[end] = Step { score: score_before + score, start, id };
                }
            };
            let character = character_length(&text[start..]);
            let mut is_known = false;
            for found in self.trie.prefixes(&text[start..]) {
                improve(start + found.length, found.id, self.score(found.id, found.length));
                is_known |= found.length == character;
            }
            if !is_known {
                improve(start + character, UNKNOWN, self.unknown_score);
            }
            start += character;
        }
        steps
    }

    fn score(&self, id: u32, length: usize) -> f32 {
        let id = id as usize;
        if self.user_defined[id] { length as f32 * self.highest_score - 0.1 } else { self.scores[id] }
    }
}

/// Number of bytes of the first character of a text in UTF-8.
fn character_length(text: &[u8]) -> usize {
    text.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vocabulary with these scores.
    fn vocabulary(pieces: &[(&str, f32)]) -> SentencePiece {
        let piece =
            |text: &str, score, kind| PieceProto { text: Some(text.to_owned()), score: Some(score), kind: Some(kind) };
        let mut all = vec![piece("<unk>", 0.0, 2), piece("<s>", 0.0, 3), piece("</s>", 0.0, 3)];
        all.push(piece("<extra>", 0.0, USER_DEFINED));
        all.extend(pieces.iter().map(|(text, score)| piece(text, *score, NORMAL)));
        let normalizer = Some(NormalizerProto { table: Some(vec![4, 0, 0, 0, 0, 0, 0, 0]) });
        SentencePiece::new(&ModelProto { pieces: all, normalizer }.encode_to_vec()).unwrap()
    }

    #[test]
    fn the_most_probable_segmentation_is_chosen() {
        let pieces = [("▁", -2.0), ("a", -3.0), ("b", -3.0), ("ab", -5.0), ("▁a", -4.0)];
        // ▁ + ab is -7, and so is ▁a + b; ▁ + a + b is -8.
        assert_eq!(vocabulary(&pieces).encode("ab"), [4, 7]);
        let pieces = [("▁", -2.0), ("a", -3.0), ("b", -3.0), ("ab", -5.5), ("▁a", -4.0)];
        assert_eq!(vocabulary(&pieces).encode("ab"), [8, 6]);
    }

    #[test]
    fn a_run_of_unknown_characters_is_one_token_and_control_tokens_have_no_text() {
        let vocabulary = vocabulary(&[("▁", -2.0), ("s", -3.0), ("<", -4.0), (">", -4.0)]);
        assert_eq!(vocabulary.encode("🦀泵é"), [4, 0]);
        assert_eq!(vocabulary.encode("s🦀s泵é"), [4, 5, 0, 5, 0]);
        assert_eq!(vocabulary.encode("<s>"), [4, 6, 5, 7]);
        assert_eq!(vocabulary.encode("<extra>"), [4, 3]);
        assert_eq!(vocabulary.encode(""), [0_u32; 0]);
    }

    #[test]
    fn a_sequence_is_cut_and_has_start_and_end() {
        let vocabulary = vocabulary(&[("▁", -2.0), ("a", -3.0)]);
        assert_eq!(vocabulary.sequence("aaaa", 256), [1, 4, 5, 5, 5, 5, 2]);
        assert_eq!(vocabulary.sequence("aaaa", 4), [1, 4, 5, 2]);
        assert_eq!(vocabulary.sequence("", 4), [1, 2]);
    }

    #[test]
    fn a_file_that_is_no_vocabulary_is_an_error() {
        assert!(SentencePiece::new(b"\xff\xff\xff").is_err());
        assert!(SentencePiece::new(b"").is_err());
    }
}
