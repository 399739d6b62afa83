//! What comes back, read tolerantly: every field may be absent or null, and what is not known is passed over.
//!
//! Servers that call themselves compatible differ in nearly every field; `testdata/wire` has what each really sends.

use domain::model::ModelError;
use domain::model_call::MicroCost;
use domain::run::TokenUsage;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::time::Duration;

/// A piece of a streamed answer, or a whole one from a server that does not stream.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Chunk {
    #[serde(deserialize_with = "or_default")]
    pub model: String,
    #[serde(deserialize_with = "or_default")]
    pub choices: Vec<Choice>,
    pub usage: Option<WireUsage>,
    pub error: Option<Value>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Choice {
    /// `message` is what a server that does not stream calls it.
    #[serde(alias = "message", deserialize_with = "or_default")]
    pub delta: Delta,
    pub finish_reason: Option<String>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Delta {
    pub content: Option<String>,
    /// What the model thinks before it answers; vLLM and Ollama call it so.
    pub reasoning: Option<Value>,
    /// The same, as LiteLLM and older vLLMs call it.
    pub reasoning_content: Option<Value>,
    #[serde(deserialize_with = "or_default")]
    pub tool_calls: Vec<CallPiece>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct CallPiece {
    pub index: Option<u32>,
    pub id: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub function: FunctionPiece,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct FunctionPiece {
    pub name: Option<String>,
    /// JSON text in pieces; some servers send the object itself.
    pub arguments: Option<Value>,
}

#[derive(Deserialize, Default, Clone, Copy, Debug)]
#[serde(default)]
pub(super) struct WireUsage {
    #[serde(deserialize_with = "or_default")]
    pub prompt_tokens: u32,
    #[serde(deserialize_with = "or_default")]
    pub completion_tokens: u32,
    /// What LiteLLM says that it cost.
    #[serde(deserialize_with = "or_default")]
    pub cost: f64,
}

impl WireUsage {
    /// Tokens.
    pub(super) fn usage(self) -> TokenUsage {
        TokenUsage { input_tokens: self.prompt_tokens, output_tokens: self.completion_tokens }
    }

    /// What the server says that it cost, 0 where it says nothing of use.
    pub(super) fn cost(self) -> MicroCost {
        micros(self.cost)
    }
}

/// An amount in millionths; what is none, or beyond all measure, counts as nothing.
pub(super) fn micros(amount: f64) -> MicroCost {
    let micros = (amount * 1e6).ceil();
    MicroCost(if (0.0..1e15).contains(&micros) { micros as u64 } else { 0 })
}

/// An answer of `/v1/embeddings`.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Embeddings {
    #[serde(deserialize_with = "or_default")]
    pub model: String,
    #[serde(deserialize_with = "or_default")]
    pub data: Vec<Embedded>,
    pub usage: Option<WireUsage>,
    pub error: Option<Value>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Embedded {
    pub index: Option<usize>,
    pub embedding: Option<Vector>,
}

/// A vector as numbers, or as little-endian 32-bit floats in base64.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
pub(super) enum Vector {
    Numbers(Vec<f32>),
    Base64(String),
}

/// An answer of `/v1/rerank`: an object that holds the list, or, as SGLang sends it, the list itself.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
pub(super) enum Rerank {
    List(Vec<Judged>),
    Object(Ranking),
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Ranking {
    #[serde(deserialize_with = "or_default")]
    model: String,
    /// `data` is what Voyage calls it.
    #[serde(alias = "data", deserialize_with = "or_default")]
    results: Vec<Judged>,
    usage: Option<RerankUsage>,
    error: Option<Value>,
}

/// What reranking took: as OpenAI would say it, or in Cohere's words.
#[derive(Deserialize, Default, Clone, Copy, Debug)]
#[serde(default)]
struct RerankUsage {
    #[serde(deserialize_with = "or_default")]
    prompt_tokens: u32,
    #[serde(deserialize_with = "or_default")]
    total_tokens: u32,
}

/// A passage's place and score. Numbers may come as text.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Judged {
    index: Value,
    relevance_score: Value,
    /// What SGLang calls it.
    score: Value,
}

impl Rerank {
    /// What was judged, in no order that means anything.
    pub(super) fn judged(&self) -> &[Judged] {
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

    /// Tokens, where the server counts them.
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

impl Judged {
    /// Place and score, where both are numbers.
    pub(super) fn score(&self) -> Option<(usize, f32)> {
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

/// Null as the default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Code words for what no other request to the same server would fare better with: LiteLLM's budget and database,
/// OpenAI's account and models. LiteLLM has none for a model that it does not know, but a sentence.
const OWN_TROUBLE: &[&str] = &["budget_exceeded", "no_db_connection", "insufficient_quota", "model_not_found"];

/// What a server says went wrong. Its sentences may repeat the prompt, so that only its code words leave here.
#[derive(Default, Debug)]
pub(super) struct ServerError {
    status: Option<u16>,
    words: String,
    /// The parameter that is at fault.
    pub param: String,
    context_too_long: bool,
    filtered: bool,
    /// Its own trouble, which it tells as if the request were at fault: its budget, its database, its list of models.
    own_trouble: bool,
    retry_after: Option<Duration>,
}

impl ServerError {
    /// From an answer's status and body, which need not be JSON.
    pub(super) fn from_answer(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = body.get("error").unwrap_or(&body);
        Self { status: Some(status), retry_after, ..Self::from_value(error) }
    }

    /// From an `error` object; its `code` may be a status.
    pub(super) fn from_value(error: &Value) -> Self {
        let word = |name: &str| match error.get(name) {
            Some(Value::String(text)) => code_word(text),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let (kind, code) = (word("type"), word("code"));
        let sentence = error.get("message").or(Some(error)).and_then(Value::as_str).unwrap_or_default();
        Self {
            status: code.parse().ok().filter(|status| (400..600).contains(status)),
            context_too_long: says_too_long(&code) || says_too_long(&kind) || says_too_long(sentence),
            filtered: code == "content_filter" || code == "content_policy_violation",
            own_trouble: OWN_TROUBLE.contains(&kind.as_str())
                || OWN_TROUBLE.contains(&code.as_str())
                || sentence.contains("Invalid model name"),
            param: word("param"),
            words: [kind, code].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "),
            retry_after: None,
        }
    }

    /// In the platform's words.
    pub(super) fn into_model_error(self, backend: &str) -> ModelError {
        let backend = backend.to_owned();
        let status = self.status.map(|status| format!("status {status}")).unwrap_or_default();
        let reason = [status, self.words].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        match self.status {
            Some(400) | None if self.filtered => ModelError::Filtered { backend },
            Some(400 | 413 | 422) | None if self.context_too_long => ModelError::ContextTooLong { backend },
            _ if self.own_trouble => ModelError::Misconfigured { backend, reason },
            Some(408 | 425 | 429 | 500..) => ModelError::Unavailable { backend, reason, retry_after: self.retry_after },
            Some(401 | 403) => {
                ModelError::Misconfigured { backend, reason: format!("the key is not accepted ({reason})") }
            }
            Some(300..400) => ModelError::Misconfigured { backend, reason: format!("it points elsewhere ({reason})") },
            Some(404) => ModelError::Misconfigured { backend, reason: format!("no such model or path ({reason})") },
            _ => ModelError::Refused { backend, reason },
        }
    }
}

/// Letters, digits, `_`, `-` and `.`, at most 48: a code word, and no room for a prompt.
fn code_word(text: &str) -> String {
    let is_code = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.len() <= 48 && text.chars().all(is_code) { text.to_owned() } else { String::new() }
}

/// As OpenAI, Azure, vLLM, llama.cpp, Ollama and LiteLLM say it.
fn says_too_long(text: &str) -> bool {
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
