//! Which tier answers: what was asked for, or by a cheap rule the one that fits the question.

use domain::model::{ModelChoice, ModelTier};
use domain::run::Escalation;

/// A question of more characters is a hard one.
const LONG: usize = 1_200;
/// One that names as many documents compares them.
const SEVERAL: usize = 3;

/// To choose among as many tools is hard for a small model.
const MANY_TOOLS: usize = 4;

/// Words by which a user asks for the model for hard questions.
const WISHES: &[&str] = &[
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

/// Words that ask for more than looking something up. Whole words, so that "planned" asks for no plan.
const REASONING: &[&str] = &[
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

/// The tier that answers, and why it is not the everyday one where the platform chose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chosen {
    /// The tier.
    pub tier: ModelTier,
    /// Why.
    pub escalated: Option<Escalation>,
}

/// The tier for a question about so many named documents, with so many tools of the client's own. Where nothing serves the heavy tier, the platform never chooses
/// it; who asks for it is told that there is none.
#[must_use]
pub fn choose(wish: ModelChoice, asked: (&str, usize, usize), has_heavy: bool) -> Chosen {
    let only = |tier| Chosen { tier, escalated: None };
    match wish {
        ModelChoice::Fast => only(ModelTier::Fast),
        ModelChoice::Heavy => only(ModelTier::Heavy),
        ModelChoice::Auto => match grounds(asked).filter(|_| has_heavy) {
            Some(why) => Chosen { tier: ModelTier::Heavy, escalated: Some(why) },
            None => only(ModelTier::Fast),
        },
    }
}

fn grounds((question, documents, tools): (&str, usize, usize)) -> Option<Escalation> {
    let words = format!(" {} ", plain(question));
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(&format!(" {} ", plain(phrase))));
    if says(WISHES) {
        Some(Escalation::Wish)
    } else if question.chars().count() > LONG {
        Some(Escalation::Length)
    } else if documents >= SEVERAL {
        Some(Escalation::Documents)
    } else if tools >= MANY_TOOLS {
        Some(Escalation::Tools)
    } else {
        says(REASONING).then_some(Escalation::Reasoning)
    }
}

/// The words in lower case with one space between them.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(question: &str, documents: usize) -> Option<Escalation> {
        with_tools(question, documents, 0)
    }

    fn with_tools(question: &str, documents: usize, tools: usize) -> Option<Escalation> {
        let chosen = choose(ModelChoice::Auto, (question, documents, tools), true);
        assert_eq!(chosen.tier == ModelTier::Heavy, chosen.escalated.is_some());
        chosen.escalated
    }

    #[test]
    fn everyday_questions_stay_with_the_everyday_model() {
        for question in
            ["What torque do the casing bolts of P-101 get?", "Was the outage planned?", "Who compared them?", ""]
        {
            assert_eq!(auto(question, 1), None, "{question}");
        }
    }

    #[test]
    fn hard_questions_are_told_by_wish_length_documents_and_words() {
        assert_eq!(auto("Think carefully: which valve first?", 0), Some(Escalation::Wish));
        assert_eq!(auto(&"why ".repeat(400), 0), Some(Escalation::Length));
        assert_eq!(auto("Which limits differ?", 3), Some(Escalation::Documents));
        assert_eq!((with_tools("Go on.", 0, 3), with_tools("Go on.", 0, 4)), (None, Some(Escalation::Tools)));
        assert_eq!(auto("Compare the seals of P-101A and P-101B.", 0), Some(Escalation::Reasoning));
        assert_eq!(auto("What is the ROOT-CAUSE of the trip?", 0), Some(Escalation::Reasoning));
        assert_eq!(auto("Vergleiche die Dichtungen.", 0), Some(Escalation::Reasoning));
    }

    #[test]
    fn what_was_asked_for_is_not_overruled_and_no_tier_is_chosen_that_nobody_serves() {
        let hard = "Compare everything.";
        assert_eq!(choose(ModelChoice::Fast, (hard, 9, 9), true), Chosen { tier: ModelTier::Fast, escalated: None });
        assert_eq!(choose(ModelChoice::Heavy, ("hi", 0, 0), false), Chosen { tier: ModelTier::Heavy, escalated: None });
        assert_eq!(choose(ModelChoice::Auto, (hard, 9, 9), false).tier, ModelTier::Fast);
    }
}
