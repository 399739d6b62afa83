//! Token usage of an answer, and why generation ended.

use crate::role::string_enum;
use serde::{Deserialize, Serialize};

string_enum! {
    /// Why generation ended.
    FinishReason {
        /// The answer is complete.
        Stop = "stop",
        /// The output limit was reached.
        Length = "length",
        /// The model requests tool calls.
        ToolCalls = "tool_calls",
        /// The server's content filter stopped the answer.
        ContentFilter = "content_filter",
        /// The user or the client cancelled the answer.
        Cancelled = "cancelled",
        /// The stream from the model server was interrupted.
        Error = "error",
    }
}

/// Input and output tokens of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// Tokens of the answer.
    pub output_tokens: u32,
}

impl std::ops::AddAssign for TokenUsage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
    }
}
