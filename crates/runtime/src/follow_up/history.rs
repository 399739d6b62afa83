//! Reads the earlier turns of a conversation from its messages.

use super::EarlierTurn;
use domain::conversation::{Citation, Message, MessageRole};
use domain::role::Classification;

/// Returns the earlier questions with their answers, oldest first. Answers above `limit` are left out, so that no words
/// above `limit` are carried over into a question.
#[must_use]
pub fn earlier_turns(history: &[Message], limit: Classification) -> Vec<EarlierTurn<'_>> {
    let mut turns: Vec<EarlierTurn<'_>> = Vec::new();
    for message in history {
        match message.role {
            MessageRole::User => {
                turns.push(EarlierTurn { question: &message.content, ..EarlierTurn::default() });
            }
            MessageRole::Assistant if message.classification <= limit => {
                if let Some(turn) = turns.last_mut() {
                    turn.answer = &message.content;
                    turn.titles = message
                        .citations
                        .iter()
                        .filter_map(Citation::document)
                        .map(|citation| citation.title.as_str())
                        .collect();
                }
            }
            MessageRole::Assistant | MessageRole::System | MessageRole::Tool => {}
        }
    }
    turns
}
