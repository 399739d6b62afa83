//! Tokenizes text for all-MiniLM-L6-v2, with the model's input limit instead of the one in `tokenizer.json`.

use std::path::Path;

use tokenizers::Tokenizer;

use super::{EmbedError, minilm::TOKENIZER};

/// Maximum sequence length of the model, including `[CLS]` and `[SEP]` (from its `sentence_bert_config.json`).
pub(super) const MAX_TOKENS: usize = 256;

/// Number of special tokens per sequence: `[CLS]` and `[SEP]`.
const SPECIAL_TOKENS: usize = 2;

/// WordPiece tokenizer of all-MiniLM-L6-v2.
pub(super) struct ModelTokenizer {
    tokenizer: Tokenizer,
    cls_id: u32,
    sep_id: u32,
}

impl ModelTokenizer {
    pub(super) fn load(model_dir: &Path) -> Result<Self, EmbedError> {
        let definition = TOKENIZER.read(model_dir)?;
        let mut tokenizer = Tokenizer::from_bytes(definition).map_err(EmbedError::Tokenizer)?;
        // The file sets truncation and padding to 128 tokens, which is not the model's limit.
        tokenizer.with_truncation(None).map_err(EmbedError::Tokenizer)?;
        tokenizer.with_padding(None);
        let id = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| EmbedError::Tokenizer(format!("no token {token}").into()))
        };
        let (cls_id, sep_id) = (id("[CLS]")?, id("[SEP]")?);
        Ok(Self { tokenizer, cls_id, sep_id })
    }

    /// The tokens of `text`, without special tokens and without truncation.
    pub(super) fn token_ids(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        Ok(self.tokenizer.encode_fast(text, false).map_err(EmbedError::Tokenizer)?.get_ids().to_vec())
    }

    /// The model's input as token ids: `[CLS]`, as many tokens of `text` as fit, `[SEP]`.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let ids = self.token_ids(text)?;
        let kept_count = ids.len().min(MAX_TOKENS - SPECIAL_TOKENS);
        let mut sequence = Vec::with_capacity(kept_count + SPECIAL_TOKENS);
        sequence.push(self.cls_id);
        sequence.extend_from_slice(&ids[..kept_count]);
        sequence.push(self.sep_id);
        Ok(sequence)
    }
}
