//! Token usage of one model call, or the sum of several, and why generation ended.

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
        /// It was cancelled: by the user or client, by a shutdown, because nobody read it, or because the user may no
        /// longer see it.
        Cancelled = "cancelled",
        /// The answer failed, for example because the stream from the model server was interrupted.
        Error = "error",
    }
}

/// Token usage of one model call, or the sum of several.
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
