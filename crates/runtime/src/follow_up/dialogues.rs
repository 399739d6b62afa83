//! Applies the rules to the dialogues in `tests/dialogues`, without a search. `tests/it/dialogues.rs` measures how many
//! of the completed questions find their passage.

use super::{EarlierTurn, QuestionKind, resolve, tokens};
use serde_json::Value;
use std::path::Path;

/// How many questions of a set of dialogues the rules recognized and completed.
#[derive(Debug, Default)]
struct Counts {
    follow_ups: usize,
    recognized: usize,
    standalone: usize,
    wrongly_completed: usize,
    wrong_identifiers: usize,
}

fn count_dialogues(name: &str) -> Counts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues").join(name);
    let set: Value = serde_json::from_slice(&std::fs::read(path).expect("the dialogues")).expect("JSON");
    let mut counts = Counts::default();
    for dialogue in set["dialogues"].as_array().expect("a list") {
        count_dialogue(dialogue, &mut counts);
    }
    counts
}

fn count_dialogue(dialogue: &Value, counts: &mut Counts) {
    let turns = dialogue["turns"].as_array().expect("a list");
    let questions: Vec<&str> = turns.iter().map(|turn| turn["question"].as_str().expect("a question")).collect();
    for (at, turn) in turns.iter().enumerate() {
        let earlier: Vec<EarlierTurn<'_>> =
            questions[..at].iter().map(|question| EarlierTurn { question, ..EarlierTurn::default() }).collect();
        let resolved = resolve(questions[at], &earlier);
        let depends = turn["depends"] == true;
        let is_completed = resolved.kind != QuestionKind::Standalone;
        let excluded = turn["not_about"].as_array().cloned().unwrap_or_default();
        let found = tokens::identifiers_in(&resolved.text);
        let is_wrong = excluded.iter().any(|name| found.iter().any(|id| Some(id.text.as_str()) == name.as_str()));
        println!("{} {depends} {is_wrong} {} -> {}", dialogue["id"], questions[at], resolved.text);
        counts.follow_ups += usize::from(depends);
        counts.recognized += usize::from(depends && is_completed);
        counts.standalone += usize::from(!depends);
        counts.wrongly_completed += usize::from(!depends && is_completed);
        counts.wrong_identifiers += usize::from(is_wrong);
    }
}

#[test]
fn nearly_all_follow_ups_of_the_tuned_dialogues_are_recognized_and_no_standalone_question_is_completed() {
    let counts = count_dialogues("tuned.json");
    assert!(counts.recognized * 100 >= counts.follow_ups * 97, "{counts:?}");
    assert_eq!((counts.wrongly_completed, counts.wrong_identifiers), (0, 0), "{counts:?}");
}

#[test]
fn most_follow_ups_of_the_held_out_dialogues_are_recognized() {
    let counts = count_dialogues("held_out.json");
    assert!(counts.recognized * 100 >= counts.follow_ups * 90, "{counts:?}");
    assert!(counts.wrongly_completed * 100 <= counts.standalone * 5, "{counts:?}");
    assert!(counts.wrong_identifiers * 100 <= counts.follow_ups * 5, "{counts:?}");
}
