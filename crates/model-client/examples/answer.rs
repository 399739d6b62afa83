//! Answers a question from two passages, without any server:
//!
//! ```text
//! cargo run -p model-client --example answer -- "What torque do the tie bolts of P-101A get?"
//! ```

#![expect(clippy::print_stdout, reason = "a command line program")]

use std::error::Error;

use domain::classified::Classified;
use domain::{
    ids::{ChunkId, DocumentId, TenantId},
    model::{ChatDelta, ChatOptions, ChatRequest, ExtractiveInput, ModelTier, NumberedPassage},
    model_call::ModelCaller,
    role::Classification,
    search::{Passage, SurroundingText},
};
use futures::TryStreamExt;
use model_client::{config::ModelSettings, metrics::ModelMetrics, models, router::Router};
use uuid::Uuid;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let question = std::env::args().nth(1).unwrap_or("What torque do the tie bolts of P-101A get?".to_owned());
    println!("{question}\n");
    let request = ChatRequest {
        caller: caller(),
        options: ChatOptions::default(),
        tier: ModelTier::Fast,
        prompt: Classified::new(Vec::new(), Classification::Internal),
        tools: Vec::new(),
        max_output_tokens: 512,
        extractive_input: ExtractiveInput {
            question,
            passages: vec![
                passage(1, "Joint | Torque, N·m\nTie bolts of the casing | 480\nPump feet | 280"),
                passage(2, "Warm the pump up before the start. The bearings of P-101A trip the motor at 95 °C."),
            ],
            is_weak_match: false,
            ..ExtractiveInput::default()
        },
    };
    let settings = ModelSettings::default();
    let chat = models::chat_model(&Router::new(&settings, ModelMetrics::unregistered()?)?, &settings)?;
    let mut answer = chat.stream(request).await?;
    while let Some(delta) = answer.deltas.try_next().await? {
        match delta {
            ChatDelta::Text(text) => print!("{text}"),
            ChatDelta::Finished { usage, .. } => println!("\n\n{} tokens", usage.output_tokens),
            ChatDelta::Reasoning(_) | ChatDelta::ToolCall(_) => {}
        }
    }
    Ok(())
}

fn passage(n: u32, content: &str) -> NumberedPassage {
    let passage = Passage {
        chunk_id: ChunkId::from_uuid(Uuid::from_u128(u128::from(n))),
        document_id: DocumentId::from_uuid(Uuid::from_u128(1)),
        chunk_index: 0,
        file_name: "pump-manual.pdf".to_owned(),
        title: "Boiler feedwater pumps P-101A/B".to_owned(),
        page: Some(n),
        section: None,
        content: content.to_owned(),
        classification: Classification::Internal,
    };
    NumberedPassage { n, passage, score: 0.8, surrounding_text: SurroundingText::default() }
}

fn caller() -> ModelCaller {
    ModelCaller::without_privacy_rules(TenantId::from_uuid(Uuid::nil()), Classification::Internal)
}
