//! Chat and embedding models: any OpenAI-compatible server, and the embedded ones that serve without a server.
//!
//! The platform knows models only by three ports of `domain`: [`ChatModel`](domain::ports::ChatModel),
//! [`Embedder`](domain::ports::Embedder) and [`Reranker`](domain::ports::Reranker). This crate has what stands behind
//! them, and [`router`] decides which:
//!
//! | | with a base URL | without |
//! |---|---|---|
//! | answers | [`openai::OpenAiChat`] | [`local::extract::ExtractiveAnswerer`]: quotes passages, invents nothing |
//! | vectors | [`openai::OpenAiEmbedder`], unless the settings say otherwise | [`local::embed::LocalEmbedder`] |
//! | order of passages | [`openai::OpenAiReranker`], where the settings name a model | none |
//!
//! ```
//! use futures::TryStreamExt;
//! use model_client::{config::ModelSettings, router};
//! # use domain::{model::*, role::Classification};
//! # async fn example(request: ChatRequest) -> Result<(), Box<dyn std::error::Error>> {
//! let chat = router::chat_model(&ModelSettings::default())?;
//! let mut answer = chat.stream(request).await?;
//! while let Some(delta) = answer.deltas.try_next().await? {
//!     if let ChatDelta::Text(text) = delta {
//!         print!("{text}");
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! What a server says in its errors may repeat the prompt, so that errors and spans carry its code words only.

pub mod config;
pub mod error;
mod estimate;
pub mod local;
pub mod openai;
pub mod router;
