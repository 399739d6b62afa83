//! Decides by simple text rules whether a message needs a document search, and with which query. The search itself
//! drops hits with a low score.

use domain::command::RetrievalMode;
use domain::conversation::{Message, MessageRole};

/// Words of small talk: a message that contains only these needs no document search.
const SMALL_TALK: &[&str] = &[
    "hi",
    "hello",
    "hey",
    "good",
    "morning",
    "afternoon",
    "evening",
    "night",
    "thanks",
    "thank",
    "you",
    "very",
    "much",
    "ok",
    "okay",
    "yes",
    "no",
    "great",
    "fine",
    "bye",
    "goodbye",
    "cheers",
    "please",
    "hallo",
    "guten",
    "tag",
    "danke",
    "there",
    "nice",
    "cool",
    "perfect",
    "how",
    "are",
    "who",
    "what",
    "can",
    "do",
];

/// Returns whether to search the documents for this message.
#[must_use]
pub fn needs_search(mode: RetrievalMode, message: &str) -> bool {
    match mode {
        RetrievalMode::Always => true,
        RetrievalMode::Never => false,
        RetrievalMode::Auto => {
            let mut words = words(message).peekable();
            words.peek().is_some() && words.any(|word| !SMALL_TALK.contains(&word.as_str()))
        }
    }
}

/// Builds the search query from the message. If the message is a follow-up, the previous question is put in front of
/// it.
#[must_use]
pub fn search_query(message: &str, history: &[Message]) -> String {
    let previous_question = history.iter().rev().find(|m| m.role == MessageRole::User);
    match previous_question {
        Some(previous_question) if is_follow_up(message) => format!("{}\n{message}", previous_question.content),
        _ => message.to_owned(),
    }
}

/// Returns whether this is a short message that refers to the previous question, such as "and for pump B?" or "why is
/// that?".
fn is_follow_up(message: &str) -> bool {
    const REFERRING_WORDS: &[&str] =
        &["and", "it", "its", "that", "this", "those", "these", "they", "them", "there", "why", "also", "else"];
    let words: Vec<_> = words(message).collect();
    words.len() <= 7 && words.iter().any(|word| REFERRING_WORDS.contains(&word.as_str()))
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_talk_needs_no_documents_and_questions_do() {
        for talk in ["Hi!", "Thank you very much.", "ok", "…", "Who are you?"] {
            assert!(!needs_search(RetrievalMode::Auto, talk), "{talk}");
        }
        for question in ["P-101A?", "What torque do the casing bolts get?", "thanks, and the seal?"] {
            assert!(needs_search(RetrievalMode::Auto, question), "{question}");
        }
        assert!(needs_search(RetrievalMode::Always, "hi"));
        assert!(!needs_search(RetrievalMode::Never, "What torque?"));
    }

    #[test]
    fn only_a_short_follow_up_is_combined_with_the_previous_question() {
        assert!(is_follow_up("And for pump P-101B?"));
        assert!(is_follow_up("Why is that?"));
        assert!(!is_follow_up("What is the trip limit of PIT-1001?"));
    }
}
