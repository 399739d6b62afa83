//! Compares the vectors of the in-process embedding model, with its real weights, to those of the reference
//! implementation.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use domain::{
    ids::TenantId,
    model::{EmbedPurpose, EmbedRequest},
    model_call::ModelCaller,
    ports::Embedder,
    role::Classification,
};
use model_client::{
    config::EmbeddedModel,
    local::embed::{EmbedError, LocalEmbedder},
};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    text: String,
    tokens: usize,
    vector: Vec<f32>,
}

fn reference() -> Vec<Case> {
    let file = include_str!("../testdata/embed/reference.json");
    serde_json::from_str::<Reference>(file).expect("the reference file").cases
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test runner says where the model is; there is no configuration here"
)]
fn model_dir() -> PathBuf {
    std::env::var_os("PLATFORM_TEST_MODEL_DIR")
        .map(PathBuf::from)
        .expect("PLATFORM_TEST_MODEL_DIR is not set: run `cargo xtask test`, which fetches the embedding model")
}

fn load(dir: &Path, threads: usize) -> Result<LocalEmbedder, EmbedError> {
    LocalEmbedder::load(EmbeddedModel::AllMiniLmL6V2, dir, threads)
}

fn embedder() -> Arc<LocalEmbedder> {
    static EMBEDDER: LazyLock<Arc<LocalEmbedder>> =
        LazyLock::new(|| Arc::new(load(&model_dir(), 2).expect("the model loads")));
    Arc::clone(&EMBEDDER)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[tokio::test]
async fn vectors_agree_with_the_reference_implementation() {
    let cases = reference();
    assert!(cases.len() >= 12);
    let texts: Vec<String> = cases.iter().map(|case| case.text.clone()).collect();
    for purpose in [EmbedPurpose::Query, EmbedPurpose::Document] {
        let vectors = embedder().embed(purpose, texts.clone()).await.expect("embeds");
        assert_eq!(vectors.len(), cases.len());
        for (case, vector) in cases.iter().zip(&vectors) {
            let cosine = cosine(vector, &case.vector);
            assert!(cosine >= 0.999_999, "{}: cosine {cosine:.9}", case.name);
        }
    }
}

#[tokio::test]
async fn vectors_have_the_models_dimension_and_length_one() {
    let embedder = embedder();
    assert_eq!((embedder.dimension(), embedder.max_tokens()), (384, 256));
    for vector in embedder.embed(EmbedPurpose::Query, vec![String::new(), "pump".to_owned()]).await.expect("embeds") {
        assert_eq!(vector.len(), 384);
        assert!((dot(&vector, &vector) - 1.0).abs() < 1e-5);
    }
}

#[test]
fn token_counts_agree_with_the_reference_tokenizer_without_truncation() {
    for case in reference() {
        assert_eq!(embedder().count_tokens(&case.text), case.tokens, "{}", case.name);
    }
    assert_eq!(embedder().count_tokens(&"valve ".repeat(5000)), 5000);
}

#[tokio::test]
async fn text_is_truncated_after_254_tokens() {
    let words = |count: usize| "valve ".repeat(count);
    let texts = vec![words(253), words(254), words(254) + "open", words(600)];
    let vectors = embedder().embed(EmbedPurpose::Document, texts).await.expect("embeds");
    assert_eq!(vectors[1], vectors[2]);
    assert_eq!(vectors[1], vectors[3]);
    assert_ne!(vectors[0], vectors[1]);
}

#[tokio::test]
async fn a_query_is_embedded_while_documents_are_queued() {
    let embedder = embedder();
    let mut documents = std::pin::pin!(embedder.embed(EmbedPurpose::Document, vec!["valve ".repeat(254); 400]));
    let query = embedder.embed(EmbedPurpose::Query, vec!["Which valve?".to_owned()]);
    tokio::select! {
        biased;
        _ = &mut documents => panic!("400 chunks were done before one query"),
        vectors = query => assert_eq!(vectors.expect("embeds").len(), 1),
    }
}

#[tokio::test]
async fn the_embedder_port_reports_the_model_and_returns_the_same_vectors() {
    let embedder = embedder();
    let port: &dyn Embedder = &*embedder;
    let model = port.model();
    assert_eq!((model.name.as_str(), model.dimension, model.max_tokens), ("all-MiniLM-L6-v2", 384, 256));
    let text = vec!["pump".to_owned()];
    let (tenant, max_cloud_classification) = (TenantId::from_uuid(Uuid::nil()), Classification::Internal);
    let caller = ModelCaller::without_privacy_rules(tenant, max_cloud_classification);
    let (purpose, classification) = (EmbedPurpose::Document, Classification::Restricted);
    let request = EmbedRequest { caller, purpose, texts: text.clone(), classification };
    let response = port.embed(request).await.expect("embeds");
    assert_eq!(response.vectors, embedder.embed(EmbedPurpose::Query, text).await.expect("embeds"));
    assert_eq!((response.usage.token_usage.input_tokens, response.usage.served_by.backend.as_str()), (1, "embedded"));
    assert_eq!(port.count_tokens("pump"), 1);
}

#[test]
fn the_error_for_a_missing_model_file_names_the_file_and_the_remedy() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = load(directory.path(), 1).expect_err("nothing is there");
    let text = error.to_string();
    assert!(matches!(error, EmbedError::File { .. }));
    assert!(text.contains("tokenizer.json") && text.contains("cargo xtask up"), "{text}");
}

#[test]
fn a_model_with_one_changed_byte_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["tokenizer.json", "model.safetensors"] {
        std::fs::copy(model_dir().join(name), directory.path().join(name)).expect("copies");
    }
    let path = directory.path().join("model.safetensors");
    let mut weights = std::fs::read(&path).expect("reads");
    *weights.last_mut().expect("not empty") ^= 1;
    std::fs::write(&path, weights).expect("writes");
    let error = load(directory.path(), 1).expect_err("the weights are not the pinned ones");
    assert!(matches!(error, EmbedError::Checksum { .. }));
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}
