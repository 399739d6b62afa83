//! What one answer of a model took, and why it ended.

use crate::role::string_enum;
use serde::{Deserialize, Serialize};

string_enum! {
    /// Why an answer ended.
    FinishReason {
        /// The answer is complete.
        Stop = "stop",
        /// The model's output limit.
        Length = "length",
        /// The model wants tools called.
        ToolCalls = "tool_calls",
        /// The server's content filter.
        ContentFilter = "content_filter",
        /// It was stopped.
        Cancelled = "cancelled",
        /// The stream of the model was interrupted.
        Error = "error",
    }
}

/// Tokens read and written.
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
