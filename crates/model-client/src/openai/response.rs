//! Response bodies, parsed leniently: every field may be absent or null, and unknown fields are ignored.
//!
//! OpenAI-compatible servers differ in nearly every field; `testdata/wire` contains recorded responses.

use domain::model::ModelError;
use domain::model_call::MicroCost;
use domain::run::TokenUsage;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::time::Duration;

/// A chunk of a streamed answer, or the whole answer if the server does not stream.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Chunk {
    #[serde(deserialize_with = "null_as_default")]
    pub model: String,
    #[serde(deserialize_with = "null_as_default")]
    pub choices: Vec<Choice>,
    pub usage: Option<WireUsage>,
    pub error: Option<Value>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Choice {
    /// Named `message` if the server does not stream.
    #[serde(alias = "message", deserialize_with = "null_as_default")]
    pub delta: Delta,
    pub finish_reason: Option<String>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Delta {
    pub content: Option<String>,
    /// Reasoning before the answer, as named by vLLM and Ollama.
    pub reasoning: Option<Value>,
    /// Reasoning, as named by LiteLLM and older versions of vLLM.
    pub reasoning_content: Option<Value>,
    #[serde(deserialize_with = "null_as_default")]
    pub tool_calls: Vec<ToolCallFragment>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct ToolCallFragment {
    pub index: Option<u32>,
    pub id: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub function: FunctionFragment,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct FunctionFragment {
    pub name: Option<String>,
    /// A fragment of JSON text; some servers send the whole object instead.
    pub arguments: Option<Value>,
}

#[derive(Deserialize, Default, Clone, Copy, Debug)]
#[serde(default)]
pub(super) struct WireUsage {
    #[serde(deserialize_with = "null_as_default")]
    pub prompt_tokens: u32,
    #[serde(deserialize_with = "null_as_default")]
    pub completion_tokens: u32,
    /// Cost in US dollars, as LiteLLM reports it. Configured prices are summed up with it, so they must be dollars too.
    #[serde(deserialize_with = "null_as_default")]
    pub cost: f64,
}

impl WireUsage {
    /// Converts to the domain type.
    pub(super) fn usage(self) -> TokenUsage {
        TokenUsage { input_tokens: self.prompt_tokens, output_tokens: self.completion_tokens }
    }

    /// Cost reported by the server; 0 if absent or invalid.
    pub(super) fn cost(self) -> MicroCost {
        to_micros(self.cost)
    }
}

/// Converts an amount to millionths, rounded up; 0 for NaN, negative amounts and those of 1e9 or more.
pub(super) fn to_micros(amount: f64) -> MicroCost {
    let micros = (amount * 1e6).ceil();
    MicroCost(if (0.0..1e15).contains(&micros) { micros as u64 } else { 0 })
}

/// Response of `/v1/embeddings`.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct EmbeddingsResponse {
    #[serde(deserialize_with = "null_as_default")]
    pub model: String,
    #[serde(deserialize_with = "null_as_default")]
    pub data: Vec<EmbeddingItem>,
    pub usage: Option<WireUsage>,
    pub error: Option<Value>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct EmbeddingItem {
    pub index: Option<usize>,
    pub embedding: Option<Vector>,
}

/// A vector, as a list of numbers or as base64 of little-endian 32-bit floats.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
pub(super) enum Vector {
    Numbers(Vec<f32>),
    Base64(String),
}

/// Response of `/v1/rerank`: an object with the list or, from SGLang, the list itself.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
pub(super) enum RerankResponse {
    List(Vec<ScoredPassage>),
    Object(Ranking),
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Ranking {
    #[serde(deserialize_with = "null_as_default")]
    model: String,
    /// Named `data` by Voyage.
    #[serde(alias = "data", deserialize_with = "null_as_default")]
    results: Vec<ScoredPassage>,
    usage: Option<RerankUsage>,
    error: Option<Value>,
}

/// Usage of a reranking call; servers report either field.
#[derive(Deserialize, Default, Clone, Copy, Debug)]
#[serde(default)]
struct RerankUsage {
    #[serde(deserialize_with = "null_as_default")]
    prompt_tokens: u32,
    #[serde(deserialize_with = "null_as_default")]
    total_tokens: u32,
}

/// Index and score of a passage. Numbers may be strings.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct ScoredPassage {
    index: Value,
    relevance_score: Value,
    /// SGLang's name for `relevance_score`.
    score: Value,
}

impl RerankResponse {
    /// The scored passages, in no particular order.
    pub(super) fn results(&self) -> &[ScoredPassage] {
        match self {
            Self::List(list) => list,
            Self::Object(ranking) => &ranking.results,
        }
    }

    pub(super) fn error(&self) -> Option<&Value> {
        match self {
            Self::List(_) => None,
            Self::Object(ranking) => ranking.error.as_ref().filter(|error| !error.is_null()),
        }
    }

    /// The usage, if the server reports it.
    pub(super) fn usage(&self) -> Option<WireUsage> {
        let Self::Object(Ranking { usage: Some(usage), .. }) = self else { return None };
        Some(WireUsage { prompt_tokens: usage.prompt_tokens.max(usage.total_tokens), ..WireUsage::default() })
    }

    pub(super) fn model(&self) -> &str {
        match self {
            Self::List(_) => "",
            Self::Object(ranking) => &ranking.model,
        }
    }
}

impl ScoredPassage {
    /// Index and score, if both are valid.
    pub(super) fn index_and_score(&self) -> Option<(usize, f32)> {
        let index = match &self.index {
            Value::String(text) => text.trim().parse().ok()?,
            number => usize::try_from(number.as_u64()?).ok()?,
        };
        let score = if self.relevance_score.is_null() { &self.score } else { &self.relevance_score };
        let score: f64 = match score {
            Value::String(text) => text.trim().parse().ok()?,
            number => number.as_f64()?,
        };
        Some((index, score as f32)).filter(|(_, score)| score.is_finite())
    }
}

/// Deserializes null as the default.
fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Error codes of problems that affect every request to the backend: LiteLLM's budget and database, OpenAI's quota and
/// unknown models. (LiteLLM reports an unknown model only in the message.)
const BACKEND_PROBLEMS: &[&str] = &["budget_exceeded", "no_db_connection", "insufficient_quota", "model_not_found"];

/// Error types and codes of problems that pass, where no status says so: an error inside a response of status 200.
const PASSING_PROBLEMS: &[&str] = &[
    "server_error",
    "internal_server_error",
    "api_error",
    "overloaded_error",
    "overloaded",
    "rate_limit_error",
    "rate_limit_exceeded",
    "timeout",
    "timeout_error",
    "service_unavailable",
];

/// An error reported by a server. Messages may repeat the prompt, so only error codes are passed on.
#[derive(Default, Debug)]
pub(super) struct ServerError {
    status: Option<u16>,
    codes: String,
    /// The rejected parameter; empty if none is named.
    pub param: String,
    is_context_too_long: bool,
    is_filtered: bool,
    /// Whether the backend itself is misconfigured or out of budget, although the status may blame the request.
    is_backend_problem: bool,
    /// Whether the codes name a problem that passes.
    is_passing: bool,
    retry_after: Option<Duration>,
}

impl ServerError {
    /// Parses the status and body of a response; the body need not be JSON.
    pub(super) fn from_response(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = body.get("error").unwrap_or(&body);
        Self { status: Some(status), retry_after, ..Self::from_value(error) }
    }

    /// Parses an `error` object, whose `code` may be an HTTP status.
    pub(super) fn from_value(error: &Value) -> Self {
        let field = |name: &str| match error.get(name) {
            Some(Value::String(text)) => error_code_or_empty(text),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let (error_type, code) = (field("type"), field("code"));
        let message = error.get("message").or(Some(error)).and_then(Value::as_str).unwrap_or_default();
        Self {
            status: code.parse().ok().filter(|status| (400..600).contains(status)),
            is_context_too_long: mentions_context_limit(&code)
                || mentions_context_limit(&error_type)
                || mentions_context_limit(message),
            is_filtered: code == "content_filter" || code == "content_policy_violation",
            is_backend_problem: BACKEND_PROBLEMS.contains(&error_type.as_str())
                || BACKEND_PROBLEMS.contains(&code.as_str())
                || message.contains("Invalid model name"),
            is_passing: PASSING_PROBLEMS.contains(&error_type.as_str()) || PASSING_PROBLEMS.contains(&code.as_str()),
            param: field("param"),
            codes: [error_type, code].into_iter().filter(|code| !code.is_empty()).collect::<Vec<_>>().join(" "),
            retry_after: None,
        }
    }

    /// Classifies the error by its status and codes.
    pub(super) fn into_model_error(self, backend: &str) -> ModelError {
        let backend = backend.to_owned();
        let status = self.status.map(|status| format!("status {status}")).unwrap_or_default();
        let reason = [status, self.codes].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        match self.status {
            Some(400) | None if self.is_filtered => ModelError::Filtered { backend },
            Some(400 | 413 | 422) | None if self.is_context_too_long => ModelError::ContextTooLong { backend },
            _ if self.is_backend_problem => ModelError::Misconfigured { backend, reason },
            None if self.is_passing => ModelError::Unavailable { backend, reason, retry_after: self.retry_after },
            Some(408 | 425 | 429 | 500..) => ModelError::Unavailable { backend, reason, retry_after: self.retry_after },
            Some(401 | 403) => {
                ModelError::Misconfigured { backend, reason: format!("the key is not accepted ({reason})") }
            }
            Some(300..400) => {
                ModelError::Misconfigured { backend, reason: format!("it redirects elsewhere ({reason})") }
            }
            Some(404) => ModelError::Misconfigured { backend, reason: format!("no such model or path ({reason})") },
            _ => ModelError::Refused { backend, reason },
        }
    }
}

/// Returns `text` if it looks like an error code (at most 48 letters, digits, `_`, `-` and `.`), otherwise an empty
/// string, because it could contain parts of the prompt.
fn error_code_or_empty(text: &str) -> String {
    let is_code = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.len() <= 48 && text.chars().all(is_code) { text.to_owned() } else { String::new() }
}

/// Whether an error text says that the prompt exceeds the context window, as OpenAI, Azure, vLLM, llama.cpp, Ollama or
/// LiteLLM word it.
fn mentions_context_limit(text: &str) -> bool {
    let text = text.to_lowercase();
    [
        "context_length",
        "context length",
        "context window",
        "contextwindow",
        "context size",
        "context_size",
        "prompt is too long",
        "maximum model length",
        "max_model_len",
        "input is too long",
    ]
    .iter()
    .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_without_a_status_passes_if_its_code_says_so() {
        let classify = |error: Value| ServerError::from_value(&error).into_model_error("gpu1");
        for error in [
            json!({"type": "server_error", "code": null, "message": "upstream"}),
            json!({"type": "rate_limit_exceeded"}),
            json!({"code": "overloaded_error"}),
            json!({"code": 503}),
        ] {
            assert!(matches!(classify(error.clone()), ModelError::Unavailable { .. }), "{error}");
        }
        for error in [json!({"type": "invalid_request_error"}), json!({"message": "no"})] {
            assert!(matches!(classify(error.clone()), ModelError::Refused { .. }), "{error}");
        }
    }
}
