//! Chooses the model tier: the requested one, or by simple text rules the one that suits the question.

use domain::model::{ModelTier, TierChoice};
use domain::run::Escalation;

/// Questions with more characters than this go to the heavy tier.
const MAX_FAST_CHARS: usize = 1_200;
/// Minimum number of selected documents from which a question is assumed to compare them.
const MANY_DOCUMENTS: usize = 3;
/// Minimum number of client tools from which choosing among them is assumed to be hard for a small model.
const MANY_TOOLS: usize = 4;

/// Phrases by which a user requests the heavy model.
const HEAVY_MODEL_PHRASES: &[&str] = &[
    "think carefully",
    "think hard",
    "think deeply",
    "think step by step",
    "use the heavy model",
    "use the best model",
    "denke gründlich",
    "denk gründlich nach",
    "nimm das große modell",
];

/// Phrases of questions that need more than a lookup. They match whole words, so that "plan" does not match "planned".
const REASONING_PHRASES: &[&str] = &[
    "analyse",
    "analyze",
    "compare",
    "contrast",
    "root cause",
    "root-cause",
    "trade-off",
    "trade-offs",
    "tradeoffs",
    "derive",
    "prove",
    "draft a plan",
    "work out",
    "step-by-step plan",
    "what if",
    "pros and cons",
    "vergleiche",
    "analysiere",
    "leite her",
    "ursachenanalyse",
];

/// The tier that answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChosenTier {
    pub tier: ModelTier,
    /// Why the platform chose the heavy tier; `None` if it did not choose it.
    pub escalation: Option<Escalation>,
}

/// Criteria for choosing a tier automatically.
#[derive(Clone, Copy, Debug)]
pub struct TierCriteria<'a> {
    pub question: &'a str,
    /// Number of documents that the question is limited to.
    pub document_count: usize,
    /// Number of tools that the client offers.
    pub client_tool_count: usize,
    /// Whether a backend serves the heavy tier; otherwise it is never chosen automatically.
    pub has_heavy: bool,
}

/// Chooses a tier. An explicit choice is kept even if no backend serves that tier.
#[must_use]
pub fn choose(choice: TierChoice, criteria: TierCriteria<'_>) -> ChosenTier {
    let not_escalated = |tier| ChosenTier { tier, escalation: None };
    match choice {
        TierChoice::Fast => not_escalated(ModelTier::Fast),
        TierChoice::Heavy => not_escalated(ModelTier::Heavy),
        TierChoice::Auto => match escalation(criteria).filter(|_| criteria.has_heavy) {
            Some(reason) => ChosenTier { tier: ModelTier::Heavy, escalation: Some(reason) },
            None => not_escalated(ModelTier::Fast),
        },
    }
}

fn escalation(criteria: TierCriteria<'_>) -> Option<Escalation> {
    let words = format!(" {} ", normalized(criteria.question));
    let contains_any =
        |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(&format!(" {} ", normalized(phrase))));
    if contains_any(HEAVY_MODEL_PHRASES) {
        Some(Escalation::UserRequest)
    } else if criteria.question.chars().count() > MAX_FAST_CHARS {
        Some(Escalation::Length)
    } else if criteria.document_count >= MANY_DOCUMENTS {
        Some(Escalation::Documents)
    } else if criteria.client_tool_count >= MANY_TOOLS {
        Some(Escalation::Tools)
    } else {
        contains_any(REASONING_PHRASES).then_some(Escalation::Reasoning)
    }
}

/// Returns the words in lower case, separated by single spaces.
fn normalized(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criteria(question: &str, documents: usize, client_tools: usize, has_heavy: bool) -> TierCriteria<'_> {
        TierCriteria { question, document_count: documents, client_tool_count: client_tools, has_heavy }
    }

    fn auto_escalation(question: &str, documents: usize) -> Option<Escalation> {
        auto_escalation_with_tools(question, documents, 0)
    }

    fn auto_escalation_with_tools(question: &str, documents: usize, tools: usize) -> Option<Escalation> {
        let chosen = choose(TierChoice::Auto, criteria(question, documents, tools, true));
        assert_eq!(chosen.tier == ModelTier::Heavy, chosen.escalation.is_some());
        chosen.escalation
    }

    #[test]
    fn everyday_questions_go_to_the_fast_tier() {
        for question in
            ["What torque do the casing bolts of P-101 get?", "Was the outage planned?", "Who compared them?", ""]
        {
            assert_eq!(auto_escalation(question, 1), None, "{question}");
        }
    }

    #[test]
    fn hard_questions_are_recognized_by_user_request_length_documents_tools_and_phrases() {
        assert_eq!(auto_escalation("Think carefully: which valve first?", 0), Some(Escalation::UserRequest));
        assert_eq!(auto_escalation(&"why ".repeat(400), 0), Some(Escalation::Length));
        assert_eq!(auto_escalation("Which limits differ?", 3), Some(Escalation::Documents));
        assert_eq!(
            (auto_escalation_with_tools("Go on.", 0, 3), auto_escalation_with_tools("Go on.", 0, 4)),
            (None, Some(Escalation::Tools))
        );
        assert_eq!(auto_escalation("Compare the seals of P-101A and P-101B.", 0), Some(Escalation::Reasoning));
        assert_eq!(auto_escalation("What is the ROOT-CAUSE of the trip?", 0), Some(Escalation::Reasoning));
        assert_eq!(auto_escalation("Vergleiche die Dichtungen.", 0), Some(Escalation::Reasoning));
    }

    #[test]
    fn an_explicit_choice_is_kept_and_a_tier_without_a_backend_is_never_chosen() {
        let hard_question = "Compare everything.";
        let fast = ChosenTier { tier: ModelTier::Fast, escalation: None };
        let heavy = ChosenTier { tier: ModelTier::Heavy, escalation: None };
        assert_eq!(choose(TierChoice::Fast, criteria(hard_question, 9, 9, true)), fast);
        assert_eq!(choose(TierChoice::Heavy, criteria("hi", 0, 0, false)), heavy);
        assert_eq!(choose(TierChoice::Auto, criteria(hard_question, 9, 9, false)), fast);
    }
}
