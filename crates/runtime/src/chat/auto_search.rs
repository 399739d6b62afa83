//! Decides by simple text rules whether a message needs a document search or readings of plant systems. The search
//! itself drops hits with a low score.

use crate::run::plant_data_query::PlantDataQuery;
use domain::command::RetrievalMode;

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

/// Returns whether to search the documents for this message. A follow-up such as "How much?" is not small talk.
#[must_use]
pub fn needs_search(mode: RetrievalMode, message: &str, is_follow_up: bool) -> bool {
    match mode {
        RetrievalMode::Always => true,
        RetrievalMode::Never => false,
        RetrievalMode::Auto => {
            let mut words = words(message);
            is_follow_up || words.any(|word| !SMALL_TALK.contains(&word.as_str()))
        }
    }
}

/// Returns which plant data a message asks for; `None` if none, or if retrieval is off. `standalone` is the message in
/// standalone form.
#[must_use]
pub fn plant_data_query(mode: RetrievalMode, message: &str, standalone: &str) -> Option<PlantDataQuery> {
    if mode == RetrievalMode::Never { None } else { PlantDataQuery::from_text(message, standalone) }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_talk_needs_no_search_and_questions_need_one() {
        for talk in ["Hi!", "Thank you very much.", "ok", "…", "Who are you?"] {
            assert!(!needs_search(RetrievalMode::Auto, talk, false), "{talk}");
        }
        for question in ["P-101A?", "What torque do the casing bolts get?", "thanks, and the seal?"] {
            assert!(needs_search(RetrievalMode::Auto, question, false), "{question}");
        }
        assert!(needs_search(RetrievalMode::Auto, "How much?", true));
        assert!(needs_search(RetrievalMode::Always, "hi", false));
        assert!(!needs_search(RetrievalMode::Never, "What torque?", true));
    }

    #[test]
    fn without_retrieval_no_plant_system_is_read() {
        let question = "What does PIT-1001 show now?";
        assert!(plant_data_query(RetrievalMode::Auto, question, question).is_some());
        assert!(plant_data_query(RetrievalMode::Never, question, question).is_none());
    }
}
