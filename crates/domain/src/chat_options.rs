//! How a model is to write: what clients may ask of it beside the question.

use serde::Serialize;
use serde_json::Value;

/// How a model is to write. What is not set is the server's own.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(default)]
pub struct ChatOptions {
    /// How freely it chooses words, 0 to 2.
    pub temperature: Option<f32>,
    /// Share of the likeliest words that it chooses among.
    pub top_p: Option<f32>,
    /// Texts at which it stops.
    pub stop: Vec<String>,
    /// For the same answer to the same question, as far as the server can.
    pub seed: Option<i64>,
    /// How much it avoids words that it has used often, -2 to 2.
    pub frequency_penalty: Option<f32>,
    /// How much it avoids words that it has used, -2 to 2.
    pub presence_penalty: Option<f32>,
    /// The form of the answer, as OpenAI's `response_format` says it.
    pub response_format: Option<Value>,
    /// Whether and which tool it must call, as OpenAI's `tool_choice` says it.
    pub tool_choice: Option<Value>,
    /// Whether it may call several tools at once.
    pub parallel_tool_calls: Option<bool>,
}
