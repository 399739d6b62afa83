//! What a step gets of the steps before it: their outputs as data, with what these are based on.

use crate::prompt::step_task::EarlierOutput;
use crate::prompt::tokens::TokenBudget;
use crate::run::agent::Agent;
use crate::run::provenance::Provenance;
use crate::withheld::current_classifications;
use domain::goal::Step;
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;

/// The outputs of the steps before, with what they are based on.
#[derive(Default)]
pub(super) struct EarlierOutputs {
    pub outputs: Vec<EarlierOutput>,
    pub provenance: Provenance,
    /// Number of outputs that were left out because of their classification.
    pub omitted_count: u32,
}

impl EarlierOutputs {
    /// Takes the outputs of `steps`, as far as their current classification allows; together they fill at most half of
    /// the agent's prompt.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn load(
        tx: &mut dyn TenantTx,
        steps: &[&Step],
        max_classification: Classification,
        agent: &Agent,
    ) -> Result<Self, StoreError> {
        let documents = steps.iter().flat_map(|step| step.sources.documents());
        let current = current_classifications(tx, documents).await?;
        let share = TokenBudget(agent.limits.max_prompt_tokens() / 2 / steps.len().max(1));
        let mut earlier = Self::default();
        for step in steps {
            let classification = step.classification.max(step.sources.current_classification(&current));
            let Some(output) = step.output.as_ref().filter(|_| classification <= max_classification) else {
                earlier.omitted_count += 1;
                continue;
            };
            earlier.provenance.merge(&Provenance { classification, sources: step.sources.clone() });
            let text = without_markers(output);
            let text = agent.counter.truncate(&text, share).to_owned();
            earlier.outputs.push(EarlierOutput { id: step.plan.id.clone(), title: step.plan.title.clone(), text });
        }
        Ok(earlier)
    }
}

/// A text without citation markers, whose numbers mean nothing in another step.
fn without_markers(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        let (before, from_bracket) = rest.split_at(start);
        kept.push_str(before);
        let digits = from_bracket[1..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && from_bracket[1 + digits..].starts_with(']') {
            rest = &from_bracket[digits + 2..];
        } else {
            kept.push('[');
            rest = &from_bracket[1..];
        }
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_removed_and_other_brackets_stay() {
        for (text, expected) in [
            ("At 16 bar [1], see [2][3].", "At 16 bar , see ."),
            ("[a] [] [12", "[a] [] [12"),
            ("x[1]", "x"),
            ("ä[1]ö", "äö"),
        ] {
            assert_eq!(without_markers(text), expected, "{text}");
        }
    }
}
