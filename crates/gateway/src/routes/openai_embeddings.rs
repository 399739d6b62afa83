//! Embeddings for clients that speak OpenAI's words.

use crate::body::ApiJson;
use crate::caller::Call;
use crate::error::ApiError;
use crate::openai;
use crate::openai::request::explained;
use crate::openai::schema;
use crate::state::AppState;
use axum::Json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::command::CreateEmbeddings;
use domain::model::EmbedPurpose;
use domain::model_id::ModelId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(embed))
}

/// Most texts of a request.
const MAX_TEXTS: usize = 256;
/// Longest text, in characters.
const MAX_TEXT: usize = 32_000;

/// Texts to be turned into vectors. Fields that are not named here are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"model": "embed", "input": ["mechanical seal replacement"]}))]
struct EmbeddingRequest {
    /// `embed`
    model: String,
    /// A text, or up to 256.
    #[schema(schema_with = schema::input)]
    input: Value,
    /// `float` unless said; OpenAI's own clients ask for `base64`: 32-bit floats, little-endian.
    #[schema(schema_with = schema::encoding_format)]
    #[serde(default)]
    encoding_format: Option<EncodingFormat>,
    /// The model's own number, if anything.
    #[schema(minimum = 1)]
    dimensions: Option<usize>,
    /// Of this platform: whether the texts are to be found (`document`) or to find others (`query`, unless said).
    #[schema(schema_with = schema::input_type)]
    #[serde(default)]
    input_type: Option<InputType>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    Float,
    Base64,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum InputType {
    Query,
    Document,
}

/// The vectors, in the order of the texts.
#[derive(Serialize, ToSchema)]
struct EmbeddingList {
    /// `list`
    object: &'static str,
    data: Vec<EmbeddingBody>,
    model: &'static str,
    usage: EmbeddingUsage,
}

/// A vector.
#[derive(Serialize, ToSchema)]
#[schema(as = Embedding)]
struct EmbeddingBody {
    /// `embedding`
    object: &'static str,
    index: usize,
    #[schema(schema_with = schema::vector)]
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    Bytes(String),
}

/// Tokens read.
#[derive(Serialize, ToSchema)]
struct EmbeddingUsage {
    prompt_tokens: u32,
    total_tokens: u32,
}

impl Vector {
    fn of(numbers: Vec<f32>, format: EncodingFormat) -> Self {
        match format {
            EncodingFormat::Float => Self::Floats(numbers),
            EncodingFormat::Base64 => {
                let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                Self::Bytes(STANDARD.encode(bytes))
            }
        }
    }
}

/// Turns texts into vectors of unit length. What is longer than the model reads is cut.
#[utoipa::path(
    post, path = "/openai/v1/embeddings", tag = "openai", request_body = EmbeddingRequest,
    responses((status = 200, description = "The vectors", body = EmbeddingList))
)]
async fn embed(call: Call, ApiJson(body): ApiJson<EmbeddingRequest>) -> Result<Json<EmbeddingList>, ApiError> {
    if openai::model(&body.model)? != ModelId::Embed {
        return Err(openai::no_such_model("it is no embedding model; the one that there is, is embed".to_owned()));
    }
    let texts = texts(body.input)?;
    let purpose = match body.input_type {
        Some(InputType::Document) => EmbedPurpose::Document,
        Some(InputType::Query) | None => EmbedPurpose::Query,
    };
    let format = body.encoding_format.unwrap_or(EncodingFormat::Float);
    let command = CreateEmbeddings { texts, purpose, dimensions: body.dimensions };
    let made = call.execute(command).await;
    let made = made.map_err(|error| explained(error, ModelId::Embed.as_str()))?;
    let vectors = made.vectors.into_iter().enumerate();
    let data = vectors.map(|(index, numbers)| EmbeddingBody {
        object: "embedding",
        index,
        embedding: Vector::of(numbers, format),
    });
    let prompt_tokens = made.spent.usage.input_tokens;
    Ok(Json(EmbeddingList {
        object: "list",
        data: data.collect(),
        model: ModelId::Embed.as_str(),
        usage: EmbeddingUsage { prompt_tokens, total_tokens: prompt_tokens },
    }))
}

fn texts(input: Value) -> Result<Vec<String>, ApiError> {
    let given = match input {
        Value::Array(given) if (1..=MAX_TEXTS).contains(&given.len()) => given,
        Value::Array(_) => return Err(ApiError::field("/input", format!("must be 1 to {MAX_TEXTS} texts"))),
        one @ Value::String(_) => return Ok(vec![text("/input", one)?]),
        _ => return Err(ApiError::field("/input", "must be a text or a list of texts")),
    };
    given.into_iter().enumerate().map(|(at, given)| text(&format!("/input/{at}"), given)).collect()
}

fn text(pointer: &str, given: Value) -> Result<String, ApiError> {
    match given {
        Value::String(text) if text.trim().is_empty() => Err(ApiError::field(pointer, "must not be empty")),
        Value::String(text) if text.chars().count() > MAX_TEXT => {
            Err(ApiError::field(pointer, format!("must be at most {MAX_TEXT} characters long")))
        }
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Array(_) => {
            let detail = "must be a text: tokens are another model's, and are not understood here (with LangChain, set \
                          check_embedding_ctx_length to false)";
            Err(ApiError { code: "unsupported_content", ..ApiError::field(pointer, detail) })
        }
        _ => Err(ApiError::field(pointer, "must be a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_are_refused_in_words_that_help() {
        for tokens in [json!([1, 2, 3]), json!([[1, 2], [3]])] {
            let error = texts(tokens).expect_err("tokens");
            assert_eq!(error.code, "unsupported_content");
            assert!(error.fields[0].detail.contains("tokens"));
        }
        assert_eq!(texts(json!(["a", "b"])), Ok(vec!["a".to_owned(), "b".to_owned()]));
        for bad in [json!([]), json!(""), json!(["a", " "]), json!(5), json!(null), json!([true])] {
            assert!(texts(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_are_the_numbers_little_endian() {
        let Vector::Bytes(text) = Vector::of(vec![1.0, -2.5], EncodingFormat::Base64) else { panic!("bytes") };
        let bytes = STANDARD.decode(text).expect("base64");
        assert_eq!(bytes, [1.0_f32.to_le_bytes(), (-2.5_f32).to_le_bytes()].concat());
    }
}
