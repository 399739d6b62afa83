//! Embeds a question and three sentences, and prints how close each sentence is to the question.
//!
//! ```text
//! cargo run --release -p model-client --example embed -- all-minilm-l6-v2|use-multilingual-v3 <model directory>
//! ```
//! The directory must contain the model's files.

#![expect(clippy::print_stdout, reason = "a command line program")]

use std::{error::Error, path::PathBuf};

use domain::model::EmbedPurpose;
use model_client::config::EmbeddedModel;
use model_client::local::embed::LocalEmbedder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("the argument <model> is missing")?;
    let model: EmbeddedModel = serde_json::from_value(name.into())?;
    let model_dir = arguments.next().map(PathBuf::from).ok_or("the argument <model directory> is missing")?;
    let embedder = LocalEmbedder::load(model, &model_dir, 2)?;
    let question = "How do I isolate the pump before maintenance?";
    let sentences = [
        "Lock and tag the breaker, then close both block valves.",
        "The seal water pressure is checked once in each shift.",
        "Visitors report to the gate house.",
    ];
    let passages = sentences.map(str::to_owned).to_vec();
    let (question_vectors, sentence_vectors) = tokio::try_join!(
        embedder.embed(EmbedPurpose::Query, vec![question.to_owned()]),
        embedder.embed(EmbedPurpose::Document, passages),
    )?;
    println!("{question}");
    for (sentence, vector) in sentences.iter().zip(&sentence_vectors) {
        // The vectors have length 1, so their dot product is the cosine similarity.
        let cosine: f32 = question_vectors.iter().flatten().zip(vector).map(|(a, b)| a * b).sum();
        println!("{cosine:.3}  {:2} tokens  {sentence}", embedder.count_tokens(sentence));
    }
    Ok(())
}
