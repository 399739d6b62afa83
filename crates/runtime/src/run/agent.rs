//! The agent of a run: instructions, tools, model tier and limits.

use super::answer::AnswerFormat;
use super::tier::ChosenTier;
use domain::model::{ChatOptions, OfferedTool};
use domain::tool::ToolSpec;
use std::time::Duration;

/// Who answers, with which means and within which limits.
pub struct Agent {
    /// How the user's program wants answers to be; data, not the platform's own rules.
    pub instructions: Option<String>,
    pub tools: Toolbox,
    pub tier: ChosenTier,
    /// Sampling and format options for the model.
    pub options: ChatOptions,
    pub format: AnswerFormat,
    pub limits: Limits,
}

/// The tools that an agent may call, and who carries the calls out.
pub enum Toolbox {
    /// The run calls them through the tool gateway and returns the results to the model.
    Platform(Vec<ToolSpec>),
    /// The reader of the events calls them; the run ends with the calls that the model asked for.
    Client(Vec<OfferedTool>),
}

impl Toolbox {
    /// The tools as the model sees them while `calls_left` calls are allowed. At 0, the platform's tools are no longer
    /// offered.
    pub fn offered(&self, calls_left: u32) -> Vec<OfferedTool> {
        match self {
            Self::Platform(_) if calls_left == 0 => Vec::new(),
            Self::Platform(specs) => specs.iter().map(offered).collect(),
            Self::Client(tools) => tools.clone(),
        }
    }

    /// The tools that the run carries out itself.
    pub fn specs(&self) -> &[ToolSpec] {
        match self {
            Self::Platform(specs) => specs,
            Self::Client(_) => &[],
        }
    }

    /// Number of tools that the client carries out.
    pub fn client_tools(&self) -> usize {
        match self {
            Self::Platform(_) => 0,
            Self::Client(tools) => tools.len(),
        }
    }
}

fn offered(tool: &ToolSpec) -> OfferedTool {
    OfferedTool {
        name: tool.name.as_str().to_owned(),
        description: tool.description.to_owned(),
        parameters: tool.parameters.clone(),
    }
}

/// Limits of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Tokens of a whole exchange with the model: the prompt and one reply.
    pub context_tokens: usize,
    /// Tokens of the context, and of the budget, that are kept free for one reply.
    pub reply_tokens: u32,
    /// Maximum tokens of one reply; `reply_tokens` caps it.
    pub max_output_tokens: u32,
    /// Maximum number of tool calls that the run carries out.
    pub max_tool_calls: u32,
    /// Maximum duration of the run.
    pub time_limit: Duration,
    /// How long the run goes on without a reader.
    pub grace: Duration,
}

impl Limits {
    /// Maximum tokens of a prompt.
    pub fn prompt_tokens(&self) -> usize {
        self.context_tokens.saturating_sub(self.reply_tokens as usize)
    }
}
