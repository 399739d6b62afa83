//! How much of a conversation fits into a prompt: the newest messages within a token budget.

use domain::conversation::{Message, MessageRole, MessageStatus};
use domain::model::PromptMessage;

/// Tokens, estimated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TokenBudget(pub usize);

/// An upper estimate of the tokens of `text` for any of the usual tokenizers: a token per three bytes, which plant
/// text with its tags and numbers needs, and four for the message's frame.
#[must_use]
pub fn estimate(text: &str) -> usize {
    text.len().div_ceil(3) + 4
}

/// The beginning of `text` that fits.
#[must_use]
pub fn cut(text: &str, budget: TokenBudget) -> &str {
    let most = budget.0.saturating_sub(4).saturating_mul(3);
    &text[..text.floor_char_boundary(most)]
}

/// Tokens of these messages.
#[must_use]
pub fn cost(messages: &[PromptMessage]) -> usize {
    let of = |message: &PromptMessage| match message {
        PromptMessage::System(text) | PromptMessage::User(text) => estimate(text),
        PromptMessage::Assistant { content, tool_calls } => {
            let calls = tool_calls.iter().map(|call| estimate(&call.name) + estimate(&call.arguments));
            estimate(content) + calls.sum::<usize>()
        }
        PromptMessage::Tool { content, .. } => estimate(content),
    };
    messages.iter().map(of).sum()
}

/// The newest messages that fit, oldest of them first. Answers still being written and empty ones are left out.
#[must_use]
pub fn newest_within(history: &[Message], budget: TokenBudget) -> &[Message] {
    let mut left = budget.0;
    let mut start = history.len();
    for (index, message) in history.iter().enumerate().rev() {
        if counts(message) {
            let cost = estimate(&message.content);
            if cost > left {
                break;
            }
            left -= cost;
        }
        start = index;
    }
    &history[start..]
}

/// Whether a message goes into a prompt.
#[must_use]
pub fn counts(message: &Message) -> bool {
    matches!(message.role, MessageRole::User | MessageRole::Assistant)
        && message.status != MessageStatus::Streaming
        && !message.content.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{ConversationId, MessageId};
    use uuid::Uuid;

    fn message(seq: i64, content: &str, status: MessageStatus) -> Message {
        Message {
            id: MessageId::from_uuid(Uuid::from_u128(seq.unsigned_abs().into())),
            conversation_id: ConversationId::from_uuid(Uuid::nil()),
            seq,
            role: if seq % 2 == 1 { MessageRole::User } else { MessageRole::Assistant },
            content: content.to_owned(),
            status,
            token_count: None,
            citations: Vec::new(),
            model: None,
            classification: domain::role::Classification::Public,
            sources: domain::conversation::Sources::default(),
            withheld: false,
            degraded: false,
            created_at: domain::time::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_newest_messages_win_and_keep_their_order() {
        let history: Vec<_> = (1..=4).map(|seq| message(seq, &"x".repeat(30), MessageStatus::Complete)).collect();
        let kept = newest_within(&history, TokenBudget(2 * estimate(&"x".repeat(30))));
        assert_eq!(kept.iter().map(|m| m.seq).collect::<Vec<_>>(), [3, 4]);
        assert!(newest_within(&history, TokenBudget(0)).is_empty());
        assert_eq!(newest_within(&history, TokenBudget(10_000)).len(), 4);
    }

    #[test]
    fn a_text_is_cut_within_the_budget_and_between_characters() {
        let text = "Überdruck – 95 °C".repeat(9);
        for budget in 0..70 {
            let kept = cut(&text, TokenBudget(budget));
            assert!(text.starts_with(kept) && (kept.is_empty() || estimate(kept) <= budget), "{budget}: {kept}");
        }
        assert_eq!(cut(&text, TokenBudget(1_000)), text);
    }

    #[test]
    fn answers_in_flight_cost_nothing_and_do_not_count() {
        let history = [
            message(1, "a question", MessageStatus::Complete),
            message(2, "", MessageStatus::Streaming),
            message(4, "  ", MessageStatus::Error),
        ];
        assert_eq!(newest_within(&history, TokenBudget(estimate("a question"))).len(), 3);
        assert_eq!(history.iter().filter(|m| counts(m)).count(), 1);
    }
}
