//! Measures calls of MCP servers, for the process's metrics.

use std::time::Duration;

/// How a call of an MCP server ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallOutcome {
    /// The tool returned a result.
    Success,
    /// The tool reported a failure.
    ToolError,
    /// There was no result, for this reason.
    Failed(&'static str),
}

impl CallOutcome {
    /// The label of a metric: one of a dozen values.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ToolError => "tool_error",
            Self::Failed(code) => code,
        }
    }
}

/// Observes each call of an MCP server.
pub trait CallObserver: Send + Sync {
    /// A call ended. The time includes connecting and listing the definitions.
    fn ended(&self, outcome: CallOutcome, duration: Duration);
}

/// Ignores all calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl CallObserver for NoObserver {
    fn ended(&self, _outcome: CallOutcome, _duration: Duration) {}
}
