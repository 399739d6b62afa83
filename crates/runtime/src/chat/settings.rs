//! Limits of chat turns and of direct model requests.

use crate::run::agent::RunLimits;
use crate::run::runner::ConcurrencyLimits;
use std::time::Duration;

/// Limits of chat turns and of direct model requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChatSettings {
    /// Maximum number of tokens of prompt and reply together.
    pub context_tokens: usize,
    /// Maximum number of tokens in a reply.
    pub max_output_tokens: u32,
    /// Maximum number of passages that the automatic search returns.
    pub max_passages: u32,
    /// Maximum number of tool calls in a turn.
    pub max_tool_calls: u32,
    /// Maximum duration of a turn.
    pub turn_timeout: Duration,
    /// How long a run continues without a reader.
    pub grace: Duration,
    /// Maximum number of concurrent runs.
    pub concurrent_runs: usize,
    /// Maximum number of concurrent runs per tenant.
    pub concurrent_runs_per_tenant: usize,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self {
            context_tokens: 8_192,
            max_output_tokens: 1_024,
            max_passages: 8,
            max_tool_calls: 8,
            turn_timeout: Duration::from_secs(300),
            grace: Duration::from_secs(30),
            concurrent_runs: 1_024,
            concurrent_runs_per_tenant: 512,
        }
    }
}

impl ChatSettings {
    /// Returns the limits of a run that continues for `grace` without a reader. `max_output_tokens` is the client's own
    /// limit of the reply.
    pub(crate) fn limits(&self, max_output_tokens: Option<u32>, grace: Duration) -> RunLimits {
        RunLimits {
            context_tokens: self.context_tokens,
            reserved_reply_tokens: self.max_output_tokens,
            max_output_tokens: max_output_tokens.unwrap_or(u32::MAX).min(self.max_output_tokens),
            max_tool_calls: self.max_tool_calls,
            time_limit: self.turn_timeout,
            max_time_without_reader: grace,
        }
    }

    pub(crate) fn concurrency(&self) -> ConcurrencyLimits {
        ConcurrencyLimits { total: self.concurrent_runs, per_tenant: self.concurrent_runs_per_tenant }
    }
}
