//! Counts tokens, and fits text and history to a token budget.

use domain::conversation::{Message, MessageRole, MessageStatus};
use domain::model::{OfferedTool, PromptMessage};
use domain::ports::Tokenizer;
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum tokens of the call that rewrites a follow-up, prompt and output together.
pub const REWRITE_TOKENS: usize = 1_400;
/// Maximum output tokens of that call.
pub const REWRITE_OUTPUT_TOKENS: u32 = 96;

/// Tokens that chat templates add to each message, such as its role.
const MESSAGE_OVERHEAD: usize = 4;
/// Bytes per token if the tokenizer is not known. Plant text with equipment tags and numbers needs more tokens than
/// prose, so that most texts have fewer.
const ESTIMATED_BYTES_PER_TOKEN: usize = 3;
/// Number of messages by which the start of the history moves at once; see [`newest_messages_within`].
const HISTORY_STEP: i64 = 8;

/// A limit in tokens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TokenBudget(pub usize);

/// Counts the tokens of a prompt with the tokenizer of the model that gets it, or estimates them if it is not known.
#[derive(Clone, Default)]
pub struct TokenCounter {
    tokenizer: Option<Arc<CachedTokenizer>>,
}

/// A tokenizer with a cache, because a run counts the same messages several times.
struct CachedTokenizer {
    tokenizer: Arc<dyn Tokenizer>,
    /// Token counts by the hash of the text.
    counts: Mutex<HashMap<u64, usize>>,
}

impl CachedTokenizer {
    fn count(&self, text: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let counts = || self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = hasher.finish();
        if let Some(count) = counts().get(&hash) {
            return *count;
        }
        let count = self.tokenizer.count(text);
        counts().insert(hash, count);
        count
    }
}

impl TokenCounter {
    /// `None` if the model's tokenizer is not known.
    #[must_use]
    pub fn new(tokenizer: Option<Arc<dyn Tokenizer>>) -> Self {
        let cached = |tokenizer| Arc::new(CachedTokenizer { tokenizer, counts: Mutex::default() });
        Self { tokenizer: tokenizer.map(cached) }
    }

    /// Returns the tokens of a message with this text, or a conservative estimate.
    #[must_use]
    pub fn message(&self, text: &str) -> usize {
        self.text(text) + MESSAGE_OVERHEAD
    }

    /// Returns the tokens of a text within a message, or a conservative estimate.
    #[must_use]
    pub fn text(&self, text: &str) -> usize {
        match &self.tokenizer {
            Some(tokenizer) => tokenizer.count(text),
            None => text.len().div_ceil(ESTIMATED_BYTES_PER_TOKEN),
        }
    }

    /// Returns a prefix of `text` whose message is within `budget`: the longest one by the estimate, and with a
    /// tokenizer about a tenth shorter at most. It ends on a character boundary.
    #[must_use]
    pub fn truncate<'t>(&self, text: &'t str, budget: TokenBudget) -> &'t str {
        let max_tokens = budget.0.saturating_sub(MESSAGE_OVERHEAD);
        let Some(tokenizer) = &self.tokenizer else {
            return &text[..text.floor_char_boundary(max_tokens.saturating_mul(ESTIMATED_BYTES_PER_TOKEN))];
        };
        let mut truncated = text;
        loop {
            let tokens = tokenizer.count(truncated);
            if tokens <= max_tokens {
                return truncated;
            }
            // The length that the ratio of the tokens suggests, and at least a tenth less, so that few steps are
            // needed.
            let by_share = truncated.len() / tokens.max(1) * max_tokens;
            let max_bytes = by_share.min(truncated.len() - truncated.len().div_ceil(10));
            truncated = &truncated[..truncated.floor_char_boundary(max_bytes)];
        }
    }

    /// Returns the tokens of these messages, including tool calls.
    #[must_use]
    pub fn prompt(&self, messages: &[PromptMessage]) -> usize {
        let tokens = |message: &PromptMessage| match message {
            PromptMessage::System(text) | PromptMessage::User(text) => self.message(text),
            PromptMessage::Assistant { content, tool_calls } => {
                let calls = tool_calls.iter().map(|call| self.message(&call.name) + self.message(&call.arguments));
                self.message(content) + calls.sum::<usize>()
            }
            PromptMessage::Tool { content, .. } => self.message(content),
        };
        messages.iter().map(tokens).sum()
    }

    /// Returns the tokens of tool definitions, which the model server adds to the prompt.
    #[must_use]
    pub fn tools(&self, tools: &[OfferedTool]) -> usize {
        let tokens = |tool: &OfferedTool| {
            self.message(&tool.name) + self.message(&tool.description) + self.message(&tool.parameters.to_string())
        };
        tools.iter().map(tokens).sum()
    }

    /// Returns the tokens of an earlier message in a prompt; 0 if it is not included in prompts.
    #[must_use]
    pub fn earlier_message(&self, message: &Message) -> usize {
        if is_included_in_prompt(message) { self.message(&message.content) } else { 0 }
    }

    /// Returns how many of the newest messages fit into `budget`.
    #[must_use]
    pub fn count_newest_within(&self, history: &[Message], budget: TokenBudget) -> usize {
        count_fitting(history.iter().rev().map(|message| self.earlier_message(message)), budget)
    }

    /// Returns the newest messages that fit into `budget`, oldest first.
    ///
    /// If not all fit, the first one is that after a multiple of [`HISTORY_STEP`] in the conversation, so that it
    /// stays the same for several turns and with it the prefix that a model server caches. If nothing fits from there,
    /// as many messages as fit are returned.
    #[must_use]
    pub fn newest_messages_within<'m>(&self, history: &'m [Message], budget: TokenBudget) -> &'m [Message] {
        let count = self.count_newest_within(history, budget);
        let fitting = &history[history.len() - count..];
        if count == history.len() {
            return history;
        }
        let is_step = |message: &Message| (message.seq - 1) % HISTORY_STEP == 0;
        fitting.iter().position(is_step).map_or(fitting, |start| &fitting[start..])
    }
}

/// Returns how many texts of these numbers of tokens fit into `budget` together, counted from the first.
#[must_use]
pub fn count_fitting(tokens: impl Iterator<Item = usize>, budget: TokenBudget) -> usize {
    let mut remaining = budget.0;
    let fits = |tokens: &usize| match remaining.checked_sub(*tokens) {
        Some(rest) => {
            remaining = rest;
            true
        }
        None => false,
    };
    tokens.take_while(fits).count()
}

impl fmt::Debug for TokenCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCounter").field("is_exact", &self.tokenizer.is_some()).finish()
    }
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
            summary: None,
            author: None,
            source_teams: Vec::new(),
            unsupported_statements: Vec::new(),
            created_at: domain::time::Timestamp::UNIX_EPOCH,
        }
    }

    /// One token per character.
    struct Characters;

    impl Tokenizer for Characters {
        fn count(&self, text: &str) -> usize {
            text.chars().count()
        }
    }

    #[test]
    fn the_newest_messages_are_kept_in_order() {
        let counter = TokenCounter::default();
        let history: Vec<_> = (1..=4).map(|seq| message(seq, &"x".repeat(30), MessageStatus::Complete)).collect();
        let newest = counter.newest_messages_within(&history, TokenBudget(2 * counter.message(&"x".repeat(30))));
        assert_eq!(newest.iter().map(|m| m.seq).collect::<Vec<_>>(), [3, 4]);
        assert!(counter.newest_messages_within(&history, TokenBudget(0)).is_empty());
        assert_eq!(counter.newest_messages_within(&history, TokenBudget(10_000)).len(), 4);
    }

    #[test]
    fn the_start_of_a_long_history_stays_the_same_for_several_turns() {
        let counter = TokenCounter::default();
        let budget = TokenBudget(20 * counter.message("0123456789"));
        let first_seq = |turns: i64| {
            let history: Vec<_> =
                (1..=turns * 2).map(|seq| message(seq, "0123456789", MessageStatus::Complete)).collect();
            counter.newest_messages_within(&history, budget).first().map(|message| message.seq)
        };
        let starts: Vec<_> = (9..=19).filter_map(first_seq).collect();
        assert_eq!(starts, [1, 1, 9, 9, 9, 9, 17, 17, 17, 17, 25]);
    }

    #[test]
    fn text_is_truncated_within_the_budget_on_a_character_boundary() {
        let text = "Überdruck – 95 °C".repeat(9);
        for counter in [TokenCounter::default(), TokenCounter::new(Some(Arc::new(Characters)))] {
            for budget in 0..180 {
                let truncated = counter.truncate(&text, TokenBudget(budget));
                assert!(
                    text.starts_with(truncated) && (truncated.is_empty() || counter.message(truncated) <= budget),
                    "{budget}: {truncated}"
                );
            }
            assert_eq!(counter.truncate(&text, TokenBudget(1_000)), text);
        }
    }

    #[test]
    fn unfinished_and_empty_answers_cost_nothing() {
        let counter = TokenCounter::default();
        let history = [
            message(1, "a question", MessageStatus::Complete),
            message(2, "", MessageStatus::Streaming),
            message(4, "  ", MessageStatus::Error),
        ];
        let budget = TokenBudget(counter.message("a question"));
        assert_eq!(counter.newest_messages_within(&history, budget).len(), 3);
        assert_eq!(history.iter().filter(|m| is_included_in_prompt(m)).count(), 1);
    }
}
