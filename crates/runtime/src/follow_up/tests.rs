//! The rules for follow-ups: English and German examples, and properties of any conversation.

use super::*;
use proptest::prelude::*;

const OIL_QUESTION: &str = "How often is the oil of C-410 changed?";
/// Any text, or text made of words that the rules know.
const EARLIER_QUESTION_REGEX: &str = "\\PC{0,80}|(And|Und|No,|the other|it|P-101A|C-4[12]0|oil|Öl| |\\?){0,12}";
const OIL_QUESTION_DE: &str = "Wie oft wird das Öl von P-720A gewechselt?";

fn resolved_after(earlier: &[&str], message: &str) -> String {
    let turns: Vec<EarlierTurn<'_>> =
        earlier.iter().map(|question| EarlierTurn { question, ..EarlierTurn::default() }).collect();
    resolve(message, &turns).text
}

#[test]
fn a_fragment_takes_topic_and_equipment_from_the_last_question() {
    assert_eq!(resolved_after(&[OIL_QUESTION], "And which grade?"), "which grade? oil C-410");
    assert_eq!(resolved_after(&[OIL_QUESTION_DE], "Und welche Sorte?"), "welche Sorte? Öl P-720A");
    assert_eq!(resolved_after(&[OIL_QUESTION], "How much?"), "How much? oil changed C-410");
    assert_eq!(resolved_after(&[OIL_QUESTION_DE], "Warum?"), "Warum? Öl gewechselt P-720A");
}

#[test]
fn another_unit_or_part_replaces_the_previous_one() {
    assert_eq!(resolved_after(&[OIL_QUESTION], "And for C-420?"), "How often is the oil of C-420 changed?");
    assert_eq!(resolved_after(&[OIL_QUESTION], "What about the filter?"), "How often is the filter of C-410 changed?");
    assert_eq!(resolved_after(&[OIL_QUESTION_DE], "Und bei P-730?"), "Wie oft wird das Öl von P-730 gewechselt?");
    assert_eq!(resolved_after(&[OIL_QUESTION_DE], "Und der Filter?"), "Wie oft wird das Filter von P-720A gewechselt?");
    assert_eq!(
        resolved_after(&[OIL_QUESTION], "And the filter of C-420?"),
        "How often is the filter of C-420 changed?"
    );
    assert_eq!(
        resolved_after(&[OIL_QUESTION], "Does the same apply to C-420?"),
        "How often is the oil of C-420 changed?"
    );
    assert_eq!(resolved_after(&[OIL_QUESTION], "And in winter?"), "How often is the oil of C-410 changed? in winter?");
}

#[test]
fn the_other_one_is_the_twin_or_the_unit_mentioned_before() {
    assert_eq!(
        resolved_after(&[OIL_QUESTION_DE], "Und die andere Pumpe?"),
        "Wie oft wird das Öl von P-720B gewechselt?"
    );
    assert_eq!(
        resolved_after(&[OIL_QUESTION_DE], "Welche Dichtung hat die andere Pumpe?"),
        "Welche Dichtung hat Pumpe P-720B?"
    );
    let named = ["What is the flow of P-610A?", "And of P-620?"];
    assert_eq!(resolved_after(&named, "How heavy is the other one?"), "How heavy is P-610A?");
}

#[test]
fn pronouns_refer_to_equipment_or_topic() {
    assert_eq!(resolved_after(&[OIL_QUESTION], "Which grade is it?"), "Which grade is it? oil C-410");
    assert_eq!(resolved_after(&[OIL_QUESTION], "How heavy is it?"), "How heavy is it? oil C-410");
    assert_eq!(resolved_after(&[OIL_QUESTION_DE], "Welche Dichtung hat sie?"), "Welche Dichtung hat sie? Öl P-720A");
    assert_eq!(
        resolved_after(&["How often is the fire drill held?"], "Who leads it?"),
        "Who leads it? fire drill held"
    );
}

#[test]
fn a_comparison_includes_both_units() {
    let both = resolved_after(&[OIL_QUESTION, "And for C-420?"], "Which of the two is louder?");
    assert!(both.contains("C-410") && both.contains("C-420"), "{both}");
    let both = resolved_after(&[OIL_QUESTION_DE], "Was ist der Unterschied zwischen den beiden Pumpen?");
    assert!(both.contains("P-720A") && both.contains("P-720B"), "{both}");
}

#[test]
fn a_correction_replaces_what_was_wrong() {
    let b = "How often is the oil of P-610B changed?";
    let asked = "How often is the oil of P-610A changed?";
    for correction in ["No, I meant P-610B.", "Sorry, P-610B", "I mean P-610B, not P-610A", "not P-610A but P-610B"] {
        assert_eq!(resolved_after(&[asked], correction), b, "{correction}");
    }
    assert_eq!(
        resolved_after(&[OIL_QUESTION_DE], "Nein, ich meinte P-720B"),
        "Wie oft wird das Öl von P-720B gewechselt?"
    );
    assert_eq!(
        resolved_after(&[OIL_QUESTION_DE], "Nicht das Öl, den Filter"),
        "Wie oft wird das Filter von P-720A gewechselt?"
    );
    assert_eq!(resolved_after(&[asked], "No, thanks."), "No, thanks.");
}

#[test]
fn a_standalone_question_is_not_changed() {
    for question in [
        "Who signs the hot work permit?",
        "What is the alarm limit of E-330?",
        "Which valve closes first when the tank farm trips?",
        "Another question: how often is it inspected?",
        "Is there a canteen on the site?",
        "Is it allowed to smoke in the tank farm?",
        "How is C-420 started, and when is it stopped?",
        "Thanks!",
        "Emergency telephone numbers?",
    ] {
        assert_eq!(resolved_after(&[OIL_QUESTION], question), question);
    }
    for german_question in [
        "Wer unterschreibt den Erlaubnisschein für Heißarbeiten?",
        "Andere Frage: Wie oft wird es geprüft?",
        "Gibt es eine Kantine?",
        "Wie hoch darf der Druck im Kessel K-810 sein?",
        "Können Sie mir die Notrufnummer nennen?",
        "Danke!",
    ] {
        assert_eq!(resolved_after(&[OIL_QUESTION_DE], german_question), german_question);
    }
}

#[test]
fn the_dialogue_state_follows_the_topic_and_survives_small_talk() {
    let moved = [OIL_QUESTION, "Who signs the hot work permit?"];
    assert_eq!(resolved_after(&moved, "How long is it valid?"), "How long is it valid? hot work permit");
    assert_eq!(resolved_after(&[OIL_QUESTION, "Thanks!"], "And which grade?"), "which grade? oil C-410");
    assert_eq!(resolved_after(&[OIL_QUESTION, "And which grade?"], "And for C-420?"), "which grade? oil C-420");
}

#[test]
fn a_document_is_carried_over_by_its_title() {
    let turn = EarlierTurn { question: "Who leads the fire drill?", answer: "", titles: vec!["Emergency Plan"] };
    let resolved = resolve("Who approved that document?", &[turn]);
    assert_eq!(resolved.text, "Who approved that document? Emergency Plan");
}

proptest! {
    #[test]
    fn any_conversation_resolves_to_a_bounded_question_that_keeps_its_identifiers(
        earlier in proptest::collection::vec(EARLIER_QUESTION_REGEX, 0..6),
        message in "\\PC{0,120}|(And|Und bei|No,|the other one|it|P-101A|C-4[12]0|which|oil|Öl| |\\?){0,12}",
    ) {
        let turns: Vec<EarlierTurn<'_>> =
            earlier.iter().map(|question| EarlierTurn { question, answer: question, titles: vec![question] }).collect();
        let resolved = resolve(&message, &turns);
        if resolved.kind == QuestionKind::Standalone {
            prop_assert_eq!(&resolved.text, &message);
        }
        let longest = earlier.iter().map(String::len).max().unwrap_or_default();
        prop_assert!(resolved.text.len() <= message.len() + 40 * (longest + 40));
        prop_assert_eq!(resolve(&message, &turns), resolved);
    }

    #[test]
    fn carried_identifiers_were_mentioned_before_or_are_a_twin(
        a in "[A-Z]{1,2}-[0-9]{3}[AB]?",
        message in "(And|Und bei|it|the other pump|which|grade|beide|\\?| ){1,8}",
    ) {
        let asked = format!("How often is the oil of {a} changed?");
        let found = tokens::identifiers_in(&resolved_after(&[&asked], &message));
        let known = tokens::identifiers_in(&a);
        for identifier in found {
            let is_known = known.contains(&identifier) || known[0].twin().as_ref() == Some(&identifier);
            prop_assert!(is_known, "{:?} is not {a}", identifier);
        }
    }
}
