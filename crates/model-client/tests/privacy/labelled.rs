//! Measures recall and precision of the built-in patterns on labeled lines.

use domain::privacy::BuiltInPattern;
use model_client::privacy::{BuiltInPatterns, Detector};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

const PATTERNS: [BuiltInPattern; 5] = [
    BuiltInPattern::EmployeeId,
    BuiltInPattern::Email,
    BuiltInPattern::Phone,
    BuiltInPattern::IpAddress,
    BuiltInPattern::EquipmentSerial,
];

pub fn detector() -> Detector {
    let compiled = BuiltInPatterns::compile().expect("built-in patterns");
    Detector::new(Arc::new(compiled), &PATTERNS, Vec::new())
}

struct Label {
    pattern: String,
    range: Range<usize>,
}

struct Line {
    text: String,
    labels: Vec<Label>,
}

/// Parses a line: turns marks such as `{{email|a@b.example}}` into labels, and resolves escapes.
fn parse(line: &str) -> Line {
    let mut parsed = Line { text: String::new(), labels: Vec::new() };
    let mut rest = line;
    while let Some((before, mark)) = rest.split_once("{{") {
        let (mark, after) = mark.split_once("}}").expect("a mark ends");
        let (pattern, value) = mark.split_once('|').expect("a mark names its pattern");
        parsed.text += &unescape(before);
        let start = parsed.text.len();
        parsed.text += &unescape(value);
        parsed.labels.push(Label { pattern: pattern.to_owned(), range: start..parsed.text.len() });
        rest = after;
    }
    parsed.text += &unescape(rest);
    parsed
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, code)) = rest.split_once("\\u{") {
        let (code, after) = code.split_once('}').expect("an escape ends");
        plain += &before.replace("\\n", "\n");
        plain.push(u32::from_str_radix(code, 16).ok().and_then(char::from_u32).expect("a character"));
        rest = after;
    }
    plain + &rest.replace("\\n", "\n")
}

pub fn lines(file: &str) -> Vec<String> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| parse(line).text).collect()
}

#[derive(Default)]
struct Score {
    labeled: usize,
    true_positives: usize,
    false_positives: usize,
}

impl Score {
    fn recall(&self) -> f64 {
        self.true_positives as f64 / self.labeled as f64
    }

    fn precision(&self) -> f64 {
        self.true_positives as f64 / (self.true_positives + self.false_positives) as f64
    }
}

struct Scores {
    by_pattern: BTreeMap<String, Score>,
    mistakes: Vec<String>,
    negatives: usize,
}

/// A value counts as found if findings of its pattern cover all of it; a finding without a label of its pattern is
/// wrong.
fn score(file: &str) -> Scores {
    let detector = detector();
    let mut scores = Scores { by_pattern: BTreeMap::new(), mistakes: Vec::new(), negatives: 0 };
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Line { text, labels } = parse(line);
        scores.negatives += usize::from(labels.is_empty());
        let findings = detector.find(&text);
        for label in &labels {
            let score = scores.by_pattern.entry(label.pattern.clone()).or_default();
            score.labeled += 1;
            let covers =
                |at: usize| findings.iter().any(|found| found.pattern == label.pattern && found.range.contains(&at));
            if label.range.clone().all(covers) {
                score.true_positives += 1;
            } else {
                scores.mistakes.push(format!("missed {}: {line}", &text[label.range.clone()]));
            }
        }
        for found in findings {
            let is_labelled = |label: &Label| {
                label.pattern == found.pattern
                    && label.range.start < found.range.end
                    && found.range.start < label.range.end
            };
            if !labels.iter().any(is_labelled) {
                scores.by_pattern.entry(found.pattern.to_owned()).or_default().false_positives += 1;
                scores.mistakes.push(format!("wrong {} {}: {line}", found.pattern, &text[found.range]));
            }
        }
    }
    scores
}

fn assert_minimum_scores(scores: &Scores, min_recall: f64, min_precision: f64) {
    for (pattern, score) in &scores.by_pattern {
        println!(
            "{pattern}: {} of {} found, {} wrong; recall {:.3}, precision {:.3}",
            score.true_positives,
            score.labeled,
            score.false_positives,
            score.recall(),
            score.precision()
        );
    }
    for (pattern, score) in &scores.by_pattern {
        let misses = scores.mistakes.join("\n");
        assert!(score.recall() >= min_recall, "{pattern}: recall {:.3}\n{misses}", score.recall());
        assert!(score.precision() >= min_precision, "{pattern}: precision {:.3}\n{misses}", score.precision());
    }
}

#[test]
fn recall_and_precision_are_high_on_the_tuning_lines() {
    let scores = score(include_str!("../../testdata/privacy/tuning.txt"));
    assert!(scores.by_pattern.values().map(|score| score.labeled).sum::<usize>() >= 600);
    assert!(scores.negatives >= 600, "{}", scores.negatives);
    assert_eq!(scores.by_pattern.len(), PATTERNS.len());
    assert_minimum_scores(&scores, 0.99, 0.95);
}

/// Spellings of phone numbers in four countries, beside numbers that look like them. Written before the patterns knew
/// most of these spellings, which were not tuned on them.
#[test]
fn phone_numbers_are_found_on_held_out_lines_in_the_spellings_of_four_countries() {
    let scores = score(include_str!("../../testdata/privacy/held-out-phone.txt"));
    assert!(scores.by_pattern["phone"].labeled >= 40 && scores.negatives >= 40);
    let phones = BTreeMap::from_iter(scores.by_pattern.into_iter().filter(|(pattern, _)| pattern == "phone"));
    assert_minimum_scores(&Scores { by_pattern: phones, ..scores }, 0.99, 0.95);
}

/// The held-out lines were written before the patterns, which were not tuned on them.
#[test]
fn recall_and_precision_are_high_on_the_held_out_lines() {
    let scores = score(include_str!("../../testdata/privacy/held-out.txt"));
    assert!(scores.by_pattern.values().map(|score| score.labeled).sum::<usize>() >= 150);
    assert_eq!(scores.by_pattern.len(), PATTERNS.len());
    assert_minimum_scores(&scores, 0.99, 0.95);
}
