//! The agent of a run: instructions, tools, options, model tier and limits.

use super::answer::AnswerFormat;
use super::tier::ChosenTier;
use crate::prompt::tokens::TokenCounter;
use domain::model::{ChatOptions, OfferedTool};
use domain::tool::{ToolName, ToolSpec};
use std::time::Duration;

/// Configuration of the agent that answers in a run.
pub struct Agent {
    pub tools: ToolSet,
    pub tier: ChosenTier,
    /// Sampling and format options for the model.
    pub options: ChatOptions,
    pub format: AnswerFormat,
    /// Counts the tokens of prompts to the tier.
    pub counter: TokenCounter,
    pub limits: RunLimits,
    /// The tool without whose result the answer does not count.
    pub required_tool: Option<ToolName>,
}

/// The tools that the model may call, and who executes the calls.
pub enum ToolSet {
    /// Tools of the assistant: the platform's and the client's.
    Assistant {
        /// The run executes their calls through the tool gateway and returns the results to the model.
        platform: Vec<ToolSpec>,
        /// The client executes their calls. A reply that requests one ends the run.
        client: Vec<OfferedTool>,
    },
    /// Tools of a specialist: the run executes their calls, and refuses calls of any other tool.
    Specialist(Vec<ToolSpec>),
    /// The client executes all calls; the run ends with the calls that the model requested.
    Client(Vec<OfferedTool>),
}

impl ToolSet {
    /// Returns the tools to offer to the model while `remaining_calls` more calls are allowed. At 0, the platform's
    /// tools are no longer offered.
    pub fn offered_tools(&self, remaining_calls: u32) -> Vec<OfferedTool> {
        match self {
            Self::Assistant { client, .. } if remaining_calls == 0 => client.clone(),
            Self::Assistant { platform, client } => {
                platform.iter().map(to_offered_tool).chain(client.iter().cloned()).collect()
            }
            Self::Specialist(_) if remaining_calls == 0 => Vec::new(),
            Self::Specialist(tools) => tools.iter().map(to_offered_tool).collect(),
            Self::Client(tools) => tools.clone(),
        }
    }

    /// Returns whether the client executes calls of this tool. A direct request leaves even calls of unknown tools to
    /// the client.
    pub fn is_executed_by_client(&self, name: &str) -> bool {
        match self {
            Self::Assistant { client, .. } => client.iter().any(|tool| tool.name == name),
            Self::Specialist(_) => false,
            Self::Client(_) => true,
        }
    }

    /// Returns the tools whose calls the run executes.
    pub fn platform_specs(&self) -> &[ToolSpec] {
        match self {
            Self::Assistant { platform: tools, .. } | Self::Specialist(tools) => tools,
            Self::Client(_) => &[],
        }
    }

    /// Returns the number of tools whose calls the client executes.
    pub fn client_tool_count(&self) -> usize {
        match self {
            Self::Assistant { client, .. } | Self::Client(client) => client.len(),
            Self::Specialist(_) => 0,
        }
    }

    /// Returns whether the run must refuse calls of this tool: a specialist calls its own tools only.
    pub fn refuses(&self, name: &str) -> bool {
        match self {
            Self::Specialist(tools) => tools.iter().all(|tool| tool.name.as_str() != name),
            Self::Assistant { .. } | Self::Client(_) => false,
        }
    }
}

fn to_offered_tool(tool: &ToolSpec) -> OfferedTool {
    OfferedTool {
        name: tool.name.as_str().to_owned(),
        description: tool.description.clone().into_owned(),
        parameters: tool.parameters.clone(),
    }
}

/// Limits of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunLimits {
    /// Maximum number of tokens of one prompt and its reply together.
    pub context_tokens: usize,
    /// Tokens of the context, and of the budget, that are kept for one reply.
    pub reserved_reply_tokens: u32,
    /// Maximum number of tokens in one reply; never more than `reserved_reply_tokens`.
    pub max_output_tokens: u32,
    /// Maximum number of tool calls that the run executes.
    pub max_tool_calls: u32,
    /// Maximum duration of the run.
    pub time_limit: Duration,
    /// How long the run continues without a reader.
    pub max_time_without_reader: Duration,
}

impl RunLimits {
    /// Returns the maximum number of tokens of a prompt.
    pub fn max_prompt_tokens(&self) -> usize {
        self.context_tokens.saturating_sub(self.reserved_reply_tokens as usize)
    }
}
