//! Properties of redaction and restoration that hold for any text.

use super::labelled::{detector, lines};
use domain::privacy::{BuiltInPattern, CustomPattern};
use model_client::privacy::{
    BuiltInPatterns, Detector, Encoding, Part, PlaceholderKey, PlaceholderKeys, Redaction, Restorer, redact, restore,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

static LINES: LazyLock<Vec<String>> = LazyLock::new(|| lines(include_str!("../../testdata/privacy/tuning.txt")));

/// All built-in patterns, and some custom ones that match often.
static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    let custom = [("project", r"PRJ-\d+"), ("capital", r"\b[A-Z]{3,}\b"), ("bracket", r"\[[^\]]*\]")];
    let custom = custom.map(|(name, pattern)| CustomPattern::compile(name, pattern).expect("a pattern"));
    let built_in = [BuiltInPattern::PERSONAL, BuiltInPattern::OPERATIONAL].concat();
    Detector::new(Arc::new(BuiltInPatterns::compile().expect("patterns")), &built_in, custom.to_vec())
});

fn key() -> PlaceholderKey {
    PlaceholderKeys::new(b"secret").key_for_scope(Uuid::from_u128(1), Uuid::from_u128(2))
}

/// A random concatenation of values, placeholders and text that resembles placeholders.
fn text() -> impl Strategy<Value = String> {
    let any_line = (0..LINES.len()).prop_map(|at| LINES[at].clone());
    let line = (any_line, any::<prop::sample::Index>()).prop_map(|(line, cut)| {
        let mut at = cut.index(line.len() + 1);
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        [line[at..].to_owned(), line].concat()
    });
    let sign = prop_oneof![
        Just("[EMAIL_BCDFGH]"),
        Just("EMAIL_BCDFGH"),
        Just("[PHONE_BCDFGH_JK]"),
        Just("["),
        Just("]"),
        Just("[["),
        Just("_"),
        Just("\u{200b}"),
        Just("\u{1}"),
        Just("\n"),
        Just(" "),
        Just(", "),
        Just("@"),
        Just(":"),
        Just("."),
        Just("SN "),
        Just("Tel. "),
    ];
    let piece =
        prop_oneof![3 => line, 2 => sign.prop_map(ToOwned::to_owned), 1 => "\\PC{0,12}", 1 => "[0-9 .:@+()-]{0,24}"];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn redacted(text: &str) -> (String, Redaction) {
    let mut copy = text.to_owned();
    let redaction = redact(&DETECTOR, &key(), [Part::Text(&mut copy)]);
    (copy, redaction)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 4000 }))]

    #[test]
    fn restoring_a_redacted_text_gives_the_original(text in text()) {
        let (copy, redaction) = redacted(&text);
        prop_assert_eq!(restore(&Arc::new(redaction.placeholders), &copy, Encoding::Plain), text);
    }

    #[test]
    fn redacting_twice_changes_nothing_more(text in text()) {
        let (once, _) = redacted(&text);
        let (twice, redaction) = redacted(&once);
        prop_assert_eq!(&once, &twice);
        prop_assert!(redaction.counts.is_empty());
    }

    #[test]
    fn a_redacted_text_contains_no_values(text in text()) {
        let (copy, _) = redacted(&text);
        prop_assert_eq!(DETECTOR.find(&copy), Vec::new());
    }

    #[test]
    fn a_stream_is_restored_wherever_it_is_split(text in text(), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let (copy, redaction) = redacted(&text);
        let placeholders = Arc::new(redaction.placeholders);
        let cuts = cuts.iter().map(|cut| cut.index(copy.len() + 1));
        let mut cuts: Vec<_> = cuts.filter(|at| copy.is_char_boundary(*at)).collect();
        cuts.extend([0, copy.len()]);
        cuts.sort_unstable();
        let mut restorer = Restorer::new(Arc::clone(&placeholders), Encoding::Plain);
        let mut streamed: String = cuts.windows(2).map(|cut| restorer.push(&copy[cut[0]..cut[1]])).collect();
        streamed += &restorer.finish();
        prop_assert_eq!(streamed, restore(&placeholders, &copy, Encoding::Plain));
    }

    #[test]
    fn redacted_json_is_valid_and_can_be_restored(keys in vec(text(), 0..3), values in vec(text(), 0..3)) {
        let fields = keys.iter().zip(&values).map(|(name, value)| (name.clone(), serde_json::json!([value])));
        let json = serde_json::Value::Object(fields.collect());
        let mut copy = json.to_string();
        let redaction = redact(&DETECTOR, &key(), [Part::JsonOrText(&mut copy)]);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&copy).is_ok());
        let restored = restore(&Arc::new(redaction.placeholders), &copy, Encoding::Json);
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&restored).expect("JSON"), json);
    }

    #[test]
    fn redacting_and_restoring_never_panics(text in any::<String>()) {
        let (copy, redaction) = redacted(&text);
        prop_assert_eq!(restore(&Arc::new(redaction.placeholders), &copy, Encoding::Plain), text);
    }
}

#[test]
fn only_a_possible_start_of_a_placeholder_is_buffered() {
    let (copy, redaction) = redacted("write to max.muster@plant.example");
    assert!(copy.starts_with("write to [EMAIL_") && copy.len() == "write to [EMAIL_BCDFGH]".len(), "{copy}");
    let mut restorer = Restorer::new(Arc::new(redaction.placeholders), Encoding::Plain);
    assert_eq!(restorer.push("ask [1] the EMPLOYEE at [EM"), "ask [1] the EMPLOYEE at ");
    assert_eq!(restorer.push("PLOYEE] or "), "[EMPLOYEE] or ");
    assert_eq!(restorer.push(&copy[9..20]), "");
    assert_eq!(restorer.push(&copy[20..]), "max.muster@plant.example");
    assert_eq!(restorer.push(" E"), " ");
    assert_eq!(restorer.finish(), "E");
}

#[test]
fn a_placeholder_depends_on_value_and_conversation_only() {
    let keys = PlaceholderKeys::new(b"secret");
    let (tenant, conversation) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let redact_in_conversation = |keys: &PlaceholderKeys, tenant, conversation, text: &str| {
        let mut text = text.to_owned();
        redact(&detector(), &keys.key_for_scope(tenant, conversation), [Part::Text(&mut text)]);
        text
    };
    let first = redact_in_conversation(&keys, tenant, conversation, "max@plant.example");
    let later = redact_in_conversation(
        &PlaceholderKeys::new(b"secret"),
        tenant,
        conversation,
        "eva@plant.example, max@plant.example",
    );
    assert!(later.ends_with(&format!(", {first}")), "{later} {first}");
    assert_ne!(first, redact_in_conversation(&keys, tenant, Uuid::from_u128(3), "max@plant.example"));
    assert_ne!(first, redact_in_conversation(&keys, Uuid::from_u128(3), conversation, "max@plant.example"));
    assert_ne!(
        first,
        redact_in_conversation(&PlaceholderKeys::new(b"other"), tenant, conversation, "max@plant.example")
    );
    let spelled = redact_in_conversation(&keys, tenant, conversation, "Max@Plant.example");
    assert_eq!(spelled[..first.len() - 1], first[..first.len() - 1], "spellings of a value share its letters");
    assert_ne!(spelled, first);
}

#[test]
fn a_literal_that_equals_a_placeholder_is_not_restored() {
    let (first, _) = redacted("max@plant.example");
    let text = format!("{first} is max@plant.example, {}", first.trim_matches(['[', ']']));
    let (copy, redaction) = redacted(&text);
    assert!(!copy.contains('@'), "{copy}");
    assert_eq!(restore(&Arc::new(redaction.placeholders), &copy, Encoding::Plain), text);
}

#[test]
fn placeholders_without_brackets_or_spelling_are_restored_too() {
    let (copy, redaction) = redacted("Tel. +49 621 555-0142");
    let placeholders = Arc::new(redaction.placeholders);
    let name = copy.trim_start_matches("Tel. [").trim_end_matches(']');
    let plain = name.rsplit_once('_').expect("letters of the spelling").0;
    let answer = format!("**{name}**, [{plain}] but not {plain}Q");
    let restored = restore(&placeholders, &answer, Encoding::Plain);
    assert_eq!(restored, format!("**+49 621 555-0142**, +49 621 555-0142 but not {plain}Q"));
}

#[test]
fn json_is_searched_with_the_names_of_its_fields() {
    let mut json = r#"{"serialNumber":"KX44120","phone":49621601234,"to":"max\u0040plant.example","n":12}"#.to_owned();
    let redaction = redact(&detector(), &key(), [Part::JsonOrText(&mut json)]);
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for (field, label) in [("serialNumber", "[EQUIPMENT_SERIAL_"), ("phone", "[PHONE_"), ("to", "[EMAIL_")] {
        assert!(value[field].as_str().is_some_and(|text| text.starts_with(label)), "{json}");
    }
    assert_eq!(value["n"], 12);
    assert_eq!(redaction.counts.total(), 3);
}

/// A scan in quadratic time would take far too long for 256 KiB.
#[test]
fn long_adversarial_texts_are_scanned_in_linear_time() {
    let custom = [("greedy", ".*[^A-Z]|[A-Z]"), ("nested", "(a+)+b"), ("words", r"(\w+\s?)+!")];
    let custom = custom.map(|(name, pattern)| CustomPattern::compile(name, pattern).expect("a pattern")).to_vec();
    let built_in = [BuiltInPattern::PERSONAL, BuiltInPattern::OPERATIONAL].concat();
    let compiled = Arc::new(BuiltInPatterns::compile().expect("patterns"));
    let detectors = [Detector::new(Arc::clone(&compiled), &built_in, Vec::new()), Detector::new(compiled, &[], custom)];
    let seeds = [
        "a",
        "A",
        "1",
        "@",
        "1.",
        "a@",
        "0621 ",
        "+4",
        "::1 ",
        "a:",
        "tel ",
        "serial ",
        "SN 1234, ",
        "[A_",
        "(at) ",
        " ",
        "\u{200b}",
        "employee id of ",
        "10.0.0.1 ::1 ",
        "max@plant.example ",
        "1.\n",
        "mail -_at_-",
    ];
    for (detector, seed) in detectors.iter().flat_map(|detector| seeds.map(|seed| (detector, seed))) {
        let text = seed.repeat((256 << 10) / seed.len());
        let matches = detector.find(&text);
        assert!(matches.len() <= text.len(), "{seed:?}");
    }
}
