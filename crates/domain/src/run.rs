//! A run: one answer being written, as a numbered sequence of events that can be read again.

pub use crate::token_usage::{FinishReason, TokenUsage};

use crate::conversation::Citation;
use crate::error::Problem;
use crate::ids::{ConversationId, MessageId, RunId};
use crate::model::ModelToolCall;
use crate::model_tier::ModelTier;
use crate::role::string_enum;
use futures::stream::BoxStream;

string_enum! {
    /// Why the platform has a question answered by the model for hard ones.
    Escalation {
        /// The user asks for it in words.
        Wish = "wish",
        /// The question is long.
        Length = "length",
        /// It asks for more than looking something up.
        Reasoning = "reasoning",
        /// It is about several documents.
        Documents = "documents",
        /// The client offers many tools to choose among.
        Tools = "tools",
    }
}

string_enum! {
    /// How a tool call ended.
    ToolStatus {
        /// With a result.
        Success = "success",
        /// With a failure.
        Error = "error",
        /// The user may not call this tool.
        Denied = "denied",
    }
}

/// Something that happened in a run.
#[derive(Clone, PartialEq, Debug)]
pub enum RunEvent {
    /// The run began.
    Started {
        /// Run that this belongs to.
        run_id: RunId,
        /// The answer's message.
        message_id: MessageId,
        /// The tier that answers.
        model: ModelTier,
        /// Why it is not the everyday one, where the platform chose.
        escalated: Option<Escalation>,
    },
    /// The next piece of what the model thinks before it answers; for those who may see it.
    Reasoning {
        /// Text to append to what came before.
        text: String,
    },
    /// The next piece of the answer.
    Delta {
        /// Text to append to what came before.
        text: String,
    },
    /// A tool is being called.
    ToolStarted {
        /// Id of the call, as the model gave it.
        call_id: String,
        /// Name of the tool.
        name: String,
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
    /// The model wants a tool of the client's called: the client calls it, not the platform.
    ToolWanted(ModelToolCall),
    /// The answer rests on this passage.
    Cited(Citation),
    /// The run ended with an answer, whole or not.
    Finished(RunSummary),
    /// The run broke off.
    Failed(Problem),
}

impl RunEvent {
    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Failed(_))
    }
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
pub struct RunSummary {
    /// What went wrong; never content.
    pub finish_reason: FinishReason,
    /// Tokens read and written.
    pub usage: TokenUsage,
    /// The model that served.
    pub model: String,
    /// A fallback served, or a part (retrieval, say) was down.
    pub degraded: bool,
    /// A backend other than the first choice served.
    pub fallback: bool,
    /// Passages, documents and earlier answers that were left out, because the model may not see them.
    pub left_out: u32,
    /// The answer's message.
    pub message_id: MessageId,
}

/// An event with its place in the run, from 1.
#[derive(Clone, PartialEq, Debug)]
pub struct NumberedEvent {
    /// Place, from 1: the SSE `id`.
    pub seq: u64,
    /// Type of the event.
    pub event: RunEvent,
}

/// A reader's view of a run: what came so far, then what comes. Dropping it says that the reader is gone.
pub type EventStream = BoxStream<'static, NumberedEvent>;

/// A run of the assistant in a conversation that it continues or has begun.
pub struct AssistantRun {
    /// Conversation that it belongs to.
    pub conversation: ConversationId,
    /// Events of the run.
    pub events: EventStream,
}

/// A whole answer, for clients that do not stream.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// Run that this belongs to.
    pub run_id: RunId,
    /// The next piece of text.
    pub content: String,
    /// Passages that the answer cites.
    pub citations: Vec<Citation>,
    /// How it ended.
    pub summary: RunSummary,
}
