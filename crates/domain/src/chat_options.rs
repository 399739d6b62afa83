//! Sampling and output options that a client may set on a request.

use serde::Serialize;
use serde_json::Value;

/// Sampling and output options. Unset options use the inference server's defaults.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(default)]
pub struct ChatOptions {
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f32>,
    /// Nucleus sampling: cumulative probability of the tokens considered.
    pub top_p: Option<f32>,
    /// Stop sequences; generation ends before the first one.
    pub stop: Vec<String>,
    /// Seed for best-effort reproducible sampling.
    pub seed: Option<i64>,
    /// Penalty on tokens in proportion to how often they have occurred, -2 to 2.
    pub frequency_penalty: Option<f32>,
    /// Penalty on tokens that have occurred at all, -2 to 2.
    pub presence_penalty: Option<f32>,
    /// Output format, as in OpenAI's `response_format`.
    pub response_format: Option<Value>,
    /// Whether the model must call a tool, and which one, as in OpenAI's `tool_choice`.
    pub tool_choice: Option<Value>,
    /// Whether the model may request several tool calls in one answer.
    pub parallel_tool_calls: Option<bool>,
}
