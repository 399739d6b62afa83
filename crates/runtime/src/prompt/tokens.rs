//! Token estimates, and truncation of text and history to a token budget.

use domain::conversation::{Message, MessageRole, MessageStatus};
use domain::model::{OfferedTool, PromptMessage};

/// Estimated tokens of the rules in the system message, which reduce the budget for passages.
pub const INSTRUCTION_TOKENS: usize = 500;

/// Maximum tokens of the call that rewrites a follow-up, prompt and output together.
pub const REWRITE_TOKENS: usize = 1_400;
/// Maximum output tokens of that call.
pub const REWRITE_OUTPUT_TOKENS: u32 = 96;

/// A limit in estimated tokens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TokenBudget(pub usize);

/// Returns a conservative token estimate of `text` for common tokenizers: one token per three bytes, because plant text
/// with equipment tags and numbers needs more tokens than prose, plus four for the framing of the message.
#[must_use]
pub fn estimate_tokens(text: &str) -> usize {
    text.len().div_ceil(3) + 4
}

/// Returns the longest prefix of `text` whose estimate is within `budget`. It ends on a character boundary.
#[must_use]
pub fn truncate_to_budget(text: &str, budget: TokenBudget) -> &str {
    let max_bytes = budget.0.saturating_sub(4).saturating_mul(3);
    &text[..text.floor_char_boundary(max_bytes)]
}

/// Returns the estimated tokens of these messages, including tool calls.
#[must_use]
pub fn prompt_tokens(messages: &[PromptMessage]) -> usize {
    let tokens = |message: &PromptMessage| match message {
        PromptMessage::System(text) | PromptMessage::User(text) => estimate_tokens(text),
        PromptMessage::Assistant { content, tool_calls } => {
            let calls = tool_calls.iter().map(|call| estimate_tokens(&call.name) + estimate_tokens(&call.arguments));
            estimate_tokens(content) + calls.sum::<usize>()
        }
        PromptMessage::Tool { content, .. } => estimate_tokens(content),
    };
    messages.iter().map(tokens).sum()
}

/// Returns the estimated tokens of tool definitions, which the model server adds to the prompt.
#[must_use]
pub fn tool_tokens(tools: &[OfferedTool]) -> usize {
    let tokens = |tool: &OfferedTool| {
        estimate_tokens(&tool.name) + estimate_tokens(&tool.description) + estimate_tokens(&tool.parameters.to_string())
    };
    tools.iter().map(tokens).sum()
}

/// Returns the newest messages that fit into `budget`, oldest first. Messages that are not included in prompts cost
/// nothing.
#[must_use]
pub fn newest_messages_within(history: &[Message], budget: TokenBudget) -> &[Message] {
    let mut remaining = budget.0;
    let mut start = history.len();
    for (index, message) in history.iter().enumerate().rev() {
        if is_included_in_prompt(message) {
            let tokens = estimate_tokens(&message.content);
            if tokens > remaining {
                break;
            }
            remaining -= tokens;
        }
        start = index;
    }
    &history[start..]
}

/// Returns whether a message is included in prompts. Empty and unfinished answers are not.
#[must_use]
pub fn is_included_in_prompt(message: &Message) -> bool {
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
            parent_id: None,
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
            unsupported: Vec::new(),
            created_at: domain::time::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_newest_messages_are_kept_in_order() {
        let history: Vec<_> = (1..=4).map(|seq| message(seq, &"x".repeat(30), MessageStatus::Complete)).collect();
        let newest = newest_messages_within(&history, TokenBudget(2 * estimate_tokens(&"x".repeat(30))));
        assert_eq!(newest.iter().map(|m| m.seq).collect::<Vec<_>>(), [3, 4]);
        assert!(newest_messages_within(&history, TokenBudget(0)).is_empty());
        assert_eq!(newest_messages_within(&history, TokenBudget(10_000)).len(), 4);
    }

    #[test]
    fn text_is_truncated_within_the_budget_on_a_character_boundary() {
        let text = "Überdruck – 95 °C".repeat(9);
        for budget in 0..70 {
            let truncated = truncate_to_budget(&text, TokenBudget(budget));
            assert!(
                text.starts_with(truncated) && (truncated.is_empty() || estimate_tokens(truncated) <= budget),
                "{budget}: {truncated}"
            );
        }
        assert_eq!(truncate_to_budget(&text, TokenBudget(1_000)), text);
    }

    #[test]
    fn unfinished_and_empty_answers_cost_nothing() {
        let history = [
            message(1, "a question", MessageStatus::Complete),
            message(2, "", MessageStatus::Streaming),
            message(4, "  ", MessageStatus::Error),
        ];
        assert_eq!(newest_messages_within(&history, TokenBudget(estimate_tokens("a question"))).len(), 3);
        assert_eq!(history.iter().filter(|m| is_included_in_prompt(m)).count(), 1);
    }
}
