//! The route of OpenAI-compatible embeddings.

use crate::body::ApiJson;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::openai;
use crate::openai::request::explain_not_found;
use crate::openai::schema;
use crate::openai::token_input;
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

/// Maximum number of texts in one request.
const MAX_TEXTS: usize = 256;
/// Maximum length of a text, in characters.
const MAX_TEXT_CHARS: usize = 32_000;

/// Texts to embed. Unknown fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"model": "embed", "input": ["mechanical seal replacement"]}))]
struct EmbeddingRequest {
    /// `embed`
    model: String,
    /// One text, or a list of up to 256. Each may be a list of `cl100k_base` token ids instead, as LangChain sends it.
    #[schema(schema_with = schema::embedding_input)]
    input: Value,
    /// `float` by default. OpenAI's client libraries request `base64`: 32-bit floats, little-endian, in base64.
    #[schema(schema_with = schema::encoding_format)]
    #[serde(default)]
    encoding_format: Option<EncodingFormat>,
    /// If set, must be the model's own number of dimensions.
    #[schema(minimum = 1)]
    dimensions: Option<usize>,
    /// Extension of this platform: `query` (the default) to search with the texts, `document` to search in them.
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

/// The embeddings, in the order of the texts.
#[derive(Serialize, ToSchema)]
struct EmbeddingList {
    /// `list`
    object: &'static str,
    data: Vec<EmbeddingBody>,
    model: &'static str,
    usage: EmbeddingUsage,
}

/// The embedding of one text.
#[derive(Serialize, ToSchema)]
#[schema(as = Embedding)]
struct EmbeddingBody {
    /// `embedding`
    object: &'static str,
    index: usize,
    #[schema(schema_with = schema::embedding_vector)]
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    /// The numbers as bytes, in base64.
    Bytes(String),
}

/// Token usage of a request.
#[derive(Serialize, ToSchema)]
struct EmbeddingUsage {
    prompt_tokens: u32,
    total_tokens: u32,
}

impl Vector {
    fn encode(numbers: Vec<f32>, format: EncodingFormat) -> Self {
        match format {
            EncodingFormat::Float => Self::Floats(numbers),
            EncodingFormat::Base64 => {
                let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                Self::Bytes(STANDARD.encode(bytes))
            }
        }
    }
}

/// Returns embeddings of texts: vectors of unit length.
///
/// Texts that are longer than the model's input limit are truncated.
#[utoipa::path(
    post, path = "/openai/v1/embeddings", tag = "openai", request_body = EmbeddingRequest,
    responses((status = 200, description = "The vectors", body = EmbeddingList))
)]
async fn embed(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<EmbeddingRequest>,
) -> Result<Json<EmbeddingList>, ApiError> {
    if openai::parse_model_id(&body.model)? != ModelId::Embed {
        return Err(openai::model_not_found("not an embedding model; the embedding model is embed".to_owned()));
    }
    let texts = parse_input(body.input)?;
    let purpose = match body.input_type {
        Some(InputType::Document) => EmbedPurpose::Document,
        Some(InputType::Query) | None => EmbedPurpose::Query,
    };
    let format = body.encoding_format.unwrap_or(EncodingFormat::Float);
    let command = CreateEmbeddings { texts, purpose, dimensions: body.dimensions };
    let response = call.execute(command).await;
    let response = response.map_err(|error| explain_not_found(error, ModelId::Embed.as_str()))?;
    let vectors = response.vectors.into_iter().enumerate();
    let data = vectors.map(|(index, numbers)| EmbeddingBody {
        object: "embedding",
        index,
        embedding: Vector::encode(numbers, format),
    });
    let prompt_tokens = response.usage.token_usage.input_tokens;
    Ok(Json(EmbeddingList {
        object: "list",
        data: data.collect(),
        model: ModelId::Embed.as_str(),
        usage: EmbeddingUsage { prompt_tokens, total_tokens: prompt_tokens },
    }))
}

fn parse_input(input: Value) -> Result<Vec<String>, ApiError> {
    let texts = match input {
        Value::Array(tokens) if tokens.first().is_some_and(Value::is_number) => {
            return Ok(vec![parse_text("/input", Value::Array(tokens))?]);
        }
        Value::Array(texts) if (1..=MAX_TEXTS).contains(&texts.len()) => texts,
        Value::Array(_) => return Err(ApiError::invalid_field("/input", format!("must be 1 to {MAX_TEXTS} texts"))),
        text @ Value::String(_) => return Ok(vec![parse_text("/input", text)?]),
        _ => return Err(ApiError::invalid_field("/input", "must be a string or a list of strings")),
    };
    if texts.iter().any(Value::is_array) && texts.iter().any(Value::is_string) {
        return Err(ApiError::invalid_field("/input", "must contain only strings or only lists of token ids"));
    }
    texts.into_iter().enumerate().map(|(index, text)| parse_text(&format!("/input/{index}"), text)).collect()
}

fn parse_text(pointer: &str, text: Value) -> Result<String, ApiError> {
    match text {
        Value::String(text) if text.trim().is_empty() => Err(ApiError::invalid_field(pointer, "must not be empty")),
        Value::String(text) if text.chars().count() > MAX_TEXT_CHARS => {
            Err(ApiError::invalid_field(pointer, format!("must be at most {MAX_TEXT_CHARS} characters long")))
        }
        Value::String(text) => Ok(text),
        Value::Array(tokens) => parse_text(pointer, Value::String(token_input::decode(pointer, &tokens)?)),
        _ => Err(ApiError::invalid_field(pointer, "must be a string or a list of token ids")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn input_may_be_one_text_or_several_as_strings_or_token_ids() {
        let seal = || "mechanical seal".to_owned();
        assert_eq!(parse_input(json!([2727, 5776, 950, 26418])), Ok(vec![seal()]));
        assert_eq!(parse_input(json!([[2727, 5776, 950, 26418], [496]])), Ok(vec![seal(), "str".to_owned()]));
        assert_eq!(parse_input(json!(["a", "b"])), Ok(vec!["a".to_owned(), "b".to_owned()]));
        let refused_lists = [json!([[496], "a"]), json!([]), json!(""), json!(["a", " "]), json!([[]])];
        for invalid in refused_lists.into_iter().chain([json!(5), json!(null), json!([true]), json!([1, "a"])]) {
            assert!(parse_input(invalid.clone()).is_err(), "{invalid}");
        }
    }

    #[test]
    fn base64_encodes_the_numbers_as_little_endian_floats() {
        let Vector::Bytes(text) = Vector::encode(vec![1.0, -2.5], EncodingFormat::Base64) else { panic!("bytes") };
        let bytes = STANDARD.decode(text).expect("base64");
        assert_eq!(bytes, [1.0_f32.to_le_bytes(), (-2.5_f32).to_le_bytes()].concat());
    }
}
