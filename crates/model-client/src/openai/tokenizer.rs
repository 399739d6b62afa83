//! The tokenizers of chat models: OpenAI's encodings by name, and others from their `tokenizer.json`.

use crate::config::TokenizerSettings;
use crate::error::SetupError;
use crate::estimate;
use domain::ports::Tokenizer;
use std::path::Path;
use std::sync::Arc;
use tiktoken_rs::tokenizer::{Tokenizer as Encoding, get_tokenizer};

/// Maximum length of a text that is encoded at once, in bytes. Encoding takes time that can grow with the square of the
/// length; cutting a text adds at most a few tokens per cut.
const MAX_ENCODED_BYTES: usize = 8_192;

/// Returns the tokenizer of a model: the configured one, or that of a model of OpenAI's by its name. `None` if it is
/// not known.
///
/// # Errors
/// If the configured file is not a tokenizer.
pub fn tokenizer(model: &str, settings: Option<&TokenizerSettings>) -> Result<Option<Arc<dyn Tokenizer>>, SetupError> {
    Ok(match settings {
        Some(TokenizerSettings::Cl100kBase) => Some(Arc::new(OpenAiEncoding(Encoding::Cl100kBase))),
        Some(TokenizerSettings::O200kBase) => Some(Arc::new(OpenAiEncoding(Encoding::O200kBase))),
        Some(TokenizerSettings::File(path)) => Some(Arc::new(FileTokenizer::load(path)?)),
        None => encoding_of_model(model).map(|encoding| Arc::new(OpenAiEncoding(encoding)) as _),
    })
}

/// Returns the encoding of a current model of OpenAI's. A proxy may have put the provider's name before it.
fn encoding_of_model(model: &str) -> Option<Encoding> {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    let is_current =
        |encoding: &Encoding| matches!(encoding, Encoding::Cl100kBase | Encoding::O200kBase | Encoding::O200kHarmony);
    get_tokenizer(name).filter(is_current)
}

/// An encoding of OpenAI's. Its vocabulary is decompressed at its first use.
struct OpenAiEncoding(Encoding);

impl Tokenizer for OpenAiEncoding {
    fn count(&self, text: &str) -> usize {
        let encoder = match self.0 {
            Encoding::O200kBase => tiktoken_rs::o200k_base_singleton(),
            Encoding::O200kHarmony => tiktoken_rs::o200k_harmony_singleton(),
            _ => tiktoken_rs::cl100k_base_singleton(),
        };
        pieces(text).map(|piece| encoder.count_ordinary(piece)).sum()
    }
}

/// A tokenizer in the format of the Hugging Face library `tokenizers`.
struct FileTokenizer(tokenizers::Tokenizer);

impl FileTokenizer {
    fn load(path: &Path) -> Result<Self, SetupError> {
        let failed = |source| SetupError::Tokenizer { path: path.to_owned(), source };
        let mut tokenizer = tokenizers::Tokenizer::from_file(path).map_err(failed)?;
        // Files often set a truncation length or padding, which would falsify the count.
        tokenizer.with_truncation(None).map_err(failed)?.with_padding(None);
        Ok(Self(tokenizer))
    }
}

impl Tokenizer for FileTokenizer {
    fn count(&self, text: &str) -> usize {
        let count = |piece| self.0.encode_fast(piece, false).map_or_else(|_| estimate::tokens(piece), |it| it.len());
        pieces(text).map(count).sum()
    }
}

/// Counts with each of several tokenizers and returns the highest count, for a model tier that several backends with
/// different tokenizers serve.
pub struct HighestCount(pub Vec<Arc<dyn Tokenizer>>);

impl Tokenizer for HighestCount {
    fn count(&self, text: &str) -> usize {
        self.0.iter().map(|tokenizer| tokenizer.count(text)).max().unwrap_or(0)
    }
}

/// Cuts a text into pieces of at most [`MAX_ENCODED_BYTES`].
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, remainder) = rest.split_at(rest.floor_char_boundary(MAX_ENCODED_BYTES));
        rest = remainder;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(model: &str) -> Option<Arc<dyn Tokenizer>> {
        tokenizer(model, None).expect("no file")
    }

    #[test]
    fn models_of_openai_are_known_by_name() {
        for (model, count) in [("gpt-4", 8), ("gpt-4o", 8), ("azure/gpt-4o-mini", 8), ("gpt-oss-20b", 8)] {
            let tokenizer = known(model).unwrap_or_else(|| panic!("{model}"));
            assert_eq!(tokenizer.count("The pump P-101A stops."), count, "{model}");
        }
        for model in ["mistral", "llama3.2:3b", "text-davinci-003", "gpt2"] {
            assert!(known(model).is_none(), "{model}");
        }
    }

    #[test]
    fn long_texts_are_counted_in_pieces() {
        let tokenizer = known("gpt-4o").expect("known");
        for text in ["a".repeat(1 << 20), "ü".repeat(100_000), " ".repeat(100_000)] {
            let tokens = tokenizer.count(&text);
            assert!((1..=text.len()).contains(&tokens), "{tokens}");
        }
        let words = "pump ".repeat(10_000);
        assert!((10_000..10_100).contains(&tokenizer.count(&words)), "{}", tokenizer.count(&words));
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_named_in_the_error() {
        let settings = TokenizerSettings::File("/no/such/tokenizer.json".into());
        let error = tokenizer("mistral", Some(&settings)).err().expect("no file");
        assert!(error.to_string().contains("/no/such/tokenizer.json"), "{error}");
    }
}
