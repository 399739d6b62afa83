//! Chat and embedding models: any OpenAI-compatible server, and the embedded ones that serve without a server.
//!
//! The platform knows models only by three ports of `domain`: [`ChatModel`](domain::ports::ChatModel),
//! [`Embedder`](domain::ports::Embedder) and [`Reranker`](domain::ports::Reranker). This crate has what stands behind
//! them, and [`models`] decides which; [`router`] chooses among several backends:
//!
//! | | with backends | without |
//! |---|---|---|
//! | answers | [`openai::OpenAiChat`] | [`local::extract::ExtractiveAnswerer`]: quotes passages, invents nothing |
//! | vectors | [`openai::OpenAiEmbedder`], unless the settings say otherwise | [`local::embed::LocalEmbedder`] |
//! | order of passages | [`openai::OpenAiReranker`], where some serve the tier | none |
//!
//! ```
//! use futures::TryStreamExt;
//! use model_client::{config::ModelSettings, metrics::ModelMetrics, models, router::Router};
//! # use domain::{model::*, role::Classification};
//! # async fn example(request: ChatRequest) -> Result<(), Box<dyn std::error::Error>> {
//! let settings = ModelSettings::default();
//! let router = Router::new(&settings, ModelMetrics::unread()?)?;
//! let chat = models::chat_model(&router, &settings)?;
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

pub mod cache_salt;
pub mod config;
pub mod error;
mod estimate;
pub mod local;
pub mod metrics;
pub mod models;
pub mod openai;
pub mod probe;
pub mod router;
