//! Text to token ids, with the limits of the model and not those of its `tokenizer.json`.

use std::path::Path;

use tokenizers::Tokenizer;

use super::{EmbedError, weights::TOKENIZER};

/// The longest sequence the model was made for, `[CLS]` and `[SEP]` included (`sentence_bert_config.json`).
pub(super) const MAX_TOKENS: usize = 256;

/// `[CLS]` and `[SEP]`.
const SPECIAL_TOKENS: usize = 2;

/// The tokenizer.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    first: u32,
    last: u32,
}

impl Tokens {
    pub(super) fn load(model_dir: &Path) -> Result<Self, EmbedError> {
        let definition = TOKENIZER.read(model_dir)?;
        let mut tokenizer = Tokenizer::from_bytes(definition).map_err(EmbedError::Tokenizer)?;
        // The file says: cut at 128 tokens and pad to 128. Neither is right for this model.
        tokenizer.with_truncation(None).map_err(EmbedError::Tokenizer)?;
        tokenizer.with_padding(None);
        let id = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| EmbedError::Tokenizer(format!("no token {token}").into()))
        };
        let (first, last) = (id("[CLS]")?, id("[SEP]")?);
        Ok(Self { tokenizer, first, last })
    }

    /// Tokens of `text` alone, however many.
    pub(super) fn count(&self, text: &str) -> usize {
        // WordPiece has a token for everything it cannot split, so there is no failure to report; a text never has
        // more tokens than bytes.
        self.tokenizer.encode_fast(text, false).map_or(text.len(), |encoding| encoding.len())
    }

    /// What the model reads: `[CLS]`, as much of `text` as fits, `[SEP]`.
    pub(super) fn sequence(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(EmbedError::Tokenizer)?;
        let ids = encoding.get_ids();
        let kept = ids.len().min(MAX_TOKENS - SPECIAL_TOKENS);
        let mut sequence = Vec::with_capacity(kept + SPECIAL_TOKENS);
        sequence.push(self.first);
        sequence.extend_from_slice(&ids[..kept]);
        sequence.push(self.last);
        Ok(sequence)
    }
}
