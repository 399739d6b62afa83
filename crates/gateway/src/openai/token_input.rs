//! Input of an embedding request as token ids of `cl100k_base`, the encoding of OpenAI's embedding models. LangChain
//! sends them by default, for any model name.

use crate::error::ApiError;
use serde_json::Value;

/// The highest id of a token that represents text. Higher ids are special tokens, or unused.
const LAST_TEXT_TOKEN: u32 = 100_255;
/// Maximum number of tokens of one text.
const MAX_TOKENS: usize = 32_000;

/// Decodes token ids to text. Clients split long texts between tokens, possibly within a character, whose bytes then
/// become U+FFFD. The first call takes about 0.1 s, because it loads the token table.
pub(crate) fn decode(pointer: &str, ids: &[Value]) -> Result<String, ApiError> {
    let invalid = || ApiError::invalid_field(pointer, "must be a string or a list of token ids of cl100k_base");
    if ids.len() > MAX_TOKENS {
        return Err(ApiError::invalid_field(pointer, format!("must be at most {MAX_TOKENS} tokens long")));
    }
    let parse = |id: &Value| id.as_u64()?.try_into().ok().filter(|id| *id <= LAST_TEXT_TOKEN);
    let ids: Vec<u32> = ids.iter().map(parse).collect::<Option<_>>().ok_or_else(invalid)?;
    let bytes = tiktoken_rs::cl100k_base_singleton().decode_bytes(&ids).map_err(|_| invalid())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decoded(ids: &Value) -> Result<String, ApiError> {
        decode("/input", ids.as_array().expect("a list"))
    }

    #[test]
    fn token_ids_of_cl100k_base_decode_to_text() {
        // Computed with the reference implementation in Python.
        let ids = json!([6600, 80040, 220, 20, 64012, 76, 6704, 120, 95, 19113, 28584, 610, 1780]);
        assert_eq!(decoded(&ids).as_deref(), Ok("Größe 5 µm 漢字 🙂 strainer"));
        assert_eq!(decoded(&json!([6704, 120])).as_deref(), Ok(" \u{fffd}"), "half of a character");
        for wrong in [
            json!([100_256]),
            json!([100_257]),
            json!([-1]),
            json!([1.5]),
            json!([u64::MAX]),
            json!(["a"]),
            json!([[1]]),
        ] {
            assert!(decoded(&wrong).is_err(), "{wrong}");
        }
        assert!(decoded(&json!(vec![1; MAX_TOKENS + 1])).is_err());
    }
}
