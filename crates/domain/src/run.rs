//! A run: the generation of one answer, as a numbered sequence of events that can be replayed.

pub use crate::token_usage::{FinishReason, TokenUsage};

use crate::conversation::{Citation, TextRange};
use crate::error::Problem;
use crate::goal::StepStatus;
use crate::ids::{ApprovalId, ConversationId, MessageId, RunId};
use crate::model::ModelToolCall;
use crate::model_tier::ModelTier;
use crate::role::string_enum;
use crate::time::Timestamp;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

string_enum! {
    /// Why the platform chose the model for hard questions.
    Escalation {
        /// The user's message asks for it.
        UserRequest = "wish",
        /// The question is long.
        Length = "length",
        /// The question requires more than a lookup.
        Reasoning = "reasoning",
        /// The question is about several documents.
        Documents = "documents",
        /// The client offers many tools.
        Tools = "tools",
    }
}

string_enum! {
    /// How a tool call ended.
    ToolStatus {
        /// The tool returned a result.
        Success = "success",
        /// The tool failed.
        Error = "error",
        /// The user may not call this tool.
        Denied = "denied",
    }
}

/// An event of a run.
#[derive(Clone, PartialEq, Debug)]
pub enum RunEvent {
    /// The run started; always the first event.
    Started {
        /// Id of the run.
        run_id: RunId,
        /// Id of the answer's message.
        message_id: MessageId,
        /// The tier that answers.
        model: ModelTier,
        /// Why the platform chose the heavy tier; `None` if it did not.
        escalation: Option<Escalation>,
        /// The privacy patterns that matched in the user's message, if the tenant's rules only warn about them.
        privacy_warnings: Vec<String>,
    },
    /// The next piece of the model's reasoning; sent only to users who may see it.
    Reasoning {
        /// Text to append to the earlier pieces.
        text: String,
    },
    /// The next piece of the answer.
    Delta {
        /// Text to append to the earlier pieces.
        text: String,
    },
    /// A tool call started.
    ToolStarted {
        /// Id of the call, as the model gave it.
        call_id: String,
        /// Name of the tool.
        name: String,
        /// The search query, if the tool searches documents, or tags for the question.
        query: Option<String>,
    },
    /// A tool call ended.
    ToolFinished {
        /// Id of the call, as the model gave it.
        call_id: String,
        /// Name of the tool.
        name: String,
        /// How the call ended.
        status: ToolStatus,
    },
    /// The model called a tool that writes, so the call waits for approval. The run continues.
    ApprovalRequired {
        /// The request for approval.
        approval_id: ApprovalId,
        /// Name of the tool.
        tool: String,
        /// What the write changes, in the plant's own notation.
        target: String,
        /// When the request expires.
        expires_at: Timestamp,
    },
    /// A specialist starts with a part of the question.
    StepStarted {
        /// Id of the part, unique within the run.
        step_id: String,
        /// Name of the agent.
        agent: String,
        /// What the part is about.
        title: String,
    },
    /// A specialist has ended its part.
    StepFinished {
        /// Id of the part.
        step_id: String,
        /// How it ended.
        status: StepStatus,
    },
    /// The model requests a tool of the client, which the client runs itself.
    ClientToolRequested(ModelToolCall),
    /// The answer cites this passage or reading.
    Cited(Citation),
    /// The run ended with an answer, complete or partial.
    Finished(RunSummary),
    /// The run failed.
    Failed(Problem),
}

impl RunEvent {
    /// Whether this is the last event of a run.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Failed(_))
    }
}

/// The summary at the end of a run.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct RunSummary {
    /// Why generation ended.
    pub finish_reason: FinishReason,
    /// Input and output tokens of the run.
    pub usage: TokenUsage,
    /// Name of the model that answered.
    pub model: String,
    /// A fallback backend answered, or part of the input (retrieval, for instance) was unavailable.
    pub degraded: bool,
    /// Whether a backend other than the first choice answered.
    pub fallback: bool,
    /// Number of passages, documents and earlier answers that were left out because the model may not process their
    /// classification.
    pub omitted_count: u32,
    /// Id of the answer's message.
    pub message_id: MessageId,
    /// Statements of the answer that no passage or reading supports, in order; empty if nothing was searched or read.
    #[serde(rename = "unsupported")]
    pub unsupported_statements: Vec<TextRange>,
}

/// An event with its sequence number in the run.
#[derive(Clone, PartialEq, Debug)]
pub struct NumberedEvent {
    /// Sequence number, from 1; the SSE `id`.
    pub seq: u64,
    /// The event itself.
    pub event: RunEvent,
}

/// A subscriber's view of a run: the past events, then the new ones as they happen. Dropping it unsubscribes.
pub type EventStream = BoxStream<'static, NumberedEvent>;

/// A run of the assistant in an existing or new conversation.
pub struct AssistantRun {
    /// Conversation that the run belongs to.
    pub conversation: ConversationId,
    /// Events of the run.
    pub events: EventStream,
    /// Number of client tools that were not offered to the model.
    pub omitted_tools: u32,
}

/// A complete answer, for clients that do not stream.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// Id of the run.
    pub run_id: RunId,
    /// Text of the answer.
    pub content: String,
    /// Passages and readings that the answer cites.
    pub citations: Vec<Citation>,
    /// Summary of the run.
    pub summary: RunSummary,
}
