//! Measures the check on the labelled statements in `tests/citations`: how many of those that it does not list are
//! supported, and how many of the supported ones it lists.

use super::super::citations::CitableSources;
use super::tests::passage;
use super::unsupported_statements;
use domain::conversation::TextRange;
use domain::model::NumberedPassage;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Results of the check on a set of statements.
#[derive(Default)]
struct Score {
    supported: u32,
    unsupported: u32,
    /// Supported statements that it listed.
    wrongly_listed: Vec<String>,
    /// Unsupported statements that it did not list.
    missed: Vec<String>,
    /// Wrong decisions by kind of statement.
    wrong_by_kind: BTreeMap<String, u32>,
}

impl Score {
    fn add(&mut self, statement: &Value, listed: &[TextRange]) {
        let is_listed = !listed.is_empty();
        let is_supported = statement["supported"] == true;
        *(if is_supported { &mut self.supported } else { &mut self.unsupported }) += 1;
        if is_supported != is_listed {
            return;
        }
        let ranges: Vec<_> = listed.iter().map(|range| range.start..range.end).collect();
        let text = format!("{} {} {ranges:?}", statement["id"].as_str().expect("an id"), statement["statement"]);
        (if is_supported { &mut self.wrongly_listed } else { &mut self.missed }).push(text);
        *self.wrong_by_kind.entry(statement["kind"].as_str().expect("a kind").to_owned()).or_default() += 1;
    }

    /// The share of the statements that are not listed which are supported.
    fn precision(&self) -> f64 {
        let kept = f64::from(self.supported) - self.wrongly_listed.len() as f64;
        kept / (kept + self.missed.len() as f64)
    }

    /// The share of the supported statements which are listed.
    fn wrongly_listed_share(&self) -> f64 {
        self.wrongly_listed.len() as f64 / f64::from(self.supported)
    }

    fn report(&self) -> String {
        format!(
            "{} supported, {} unsupported; precision {:.3}, wrongly listed {:.3}; {:?}\nlisted:\n{}\nmissed:\n{}",
            self.supported,
            self.unsupported,
            self.precision(),
            self.wrongly_listed_share(),
            self.wrong_by_kind,
            self.wrongly_listed.join("\n"),
            self.missed.join("\n")
        )
    }
}

fn score(name: &str) -> Score {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/citations").join(name);
    let set: Value = serde_json::from_slice(&std::fs::read(path).expect("the statements")).expect("JSON");
    let mut score = Score::default();
    for statement in set["statements"].as_array().expect("a list") {
        let names = statement["passages"].as_array().expect("a list").iter();
        let texts = names.map(|name| passage_text(&set["passages"][name.as_str().expect("a name")]));
        let passages: Vec<NumberedPassage> = (1..).zip(texts).map(|(n, text)| passage(n, "Manual", &text)).collect();
        let sources = CitableSources { passages: &passages, ..CitableSources::default() };
        let listed = unsupported_statements(statement["statement"].as_str().expect("a text"), sources);
        score.add(statement, &listed);
    }
    score
}

/// Joins the pieces of a passage, which keep the lines of the file short.
fn passage_text(pieces: &Value) -> String {
    pieces.as_array().expect("a list").iter().map(|piece| piece.as_str().expect("a text")).collect()
}

#[track_caller]
fn assert_floors(name: &str, min_precision: f64, max_wrongly_listed_share: f64) {
    let score = score(name);
    println!("{name}: {}", score.report());
    assert!(score.supported >= 50 && score.unsupported >= 60, "{name} is too small: {}", score.report());
    assert!(score.precision() >= min_precision, "{name}: {}", score.report());
    assert!(score.wrongly_listed_share() <= max_wrongly_listed_share, "{name}: {}", score.report());
}

#[test]
fn statements_that_are_not_listed_are_supported_in_the_tuned_set() {
    assert_floors("tuned.json", 0.96, 0.05);
}

/// The held-out statements were written after the rules, which were not tuned on them.
#[test]
fn statements_that_are_not_listed_are_supported_in_the_held_out_set() {
    assert_floors("held-out.json", 0.92, 0.11);
}
