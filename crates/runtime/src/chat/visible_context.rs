//! The part of a conversation and of the memories that the model of a turn may see.

use domain::conversation::{BranchSummary, Message};
use domain::memory::Memory;
use domain::role::Classification;

/// Earlier messages and memories that the model may see.
pub(super) struct VisibleContext {
    /// Summary of the messages before `history`.
    pub summary: Option<BranchSummary>,
    pub history: Vec<Message>,
    pub memories: Vec<Memory>,
    /// Number of earlier messages and memories that the model may not see.
    pub omitted_count: u32,
}

impl VisibleContext {
    /// Removes answers that are withheld from the user, and messages and memories that the model may not see. Counts
    /// only the latter. The newest summary that the model may see takes the place of the messages that it covers.
    pub(super) fn new(
        mut history: Vec<Message>,
        mut memories: Vec<Memory>,
        max_classification: Classification,
    ) -> Self {
        let usable = |message: &mut Message| message.summary.take_if(|it| it.classification <= max_classification);
        let newest = history.iter_mut().enumerate().rev().find_map(|(at, message)| Some((at, usable(message)?)));
        let summary = newest.map(|(at, summary)| {
            history.drain(..=at);
            summary
        });
        history.retain(|message| !message.withheld);
        let total = history.len() + memories.len();
        history.retain(|message| message.classification <= max_classification);
        memories.retain(|memory| memory.classification <= max_classification);
        let omitted_count = u32::try_from(total - history.len() - memories.len()).unwrap_or(u32::MAX);
        Self { summary, history, memories, omitted_count }
    }
}
