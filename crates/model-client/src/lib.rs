//! Clients of chat, embedding and reranking models: OpenAI-compatible servers, and models that run in this process.
//!
//! The platform uses models through three ports of `domain`: [`ChatModel`](domain::ports::ChatModel),
//! [`Embedder`](domain::ports::Embedder) and [`Reranker`](domain::ports::Reranker). This crate implements them;
//! [`models`] selects the implementation, [`router`] selects a backend for each request:
//!
//! | port | with backends | without backends |
//! |---|---|---|
//! | chat | [`openai::OpenAiChat`] | [`local::extract::ExtractiveAnswerer`]: quotes passages |
//! | embeddings | [`openai::OpenAiEmbedder`], unless configured otherwise | [`local::embed::LocalEmbedder`] |
//! | reranking | [`openai::OpenAiReranker`], if the tier has routes | none |
//!
//! ```
//! use futures::TryStreamExt;
//! use model_client::{config::ModelSettings, metrics::ModelMetrics, models, router::Router};
//! # use domain::{model::*, role::Classification};
//! # async fn example(request: ChatRequest) -> Result<(), Box<dyn std::error::Error>> {
//! let settings = ModelSettings::default();
//! let router = Router::new(&settings, ModelMetrics::unregistered()?)?;
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
//! A server's error message may repeat the prompt, so errors and spans contain only error codes, never messages.

mod breaker_state;
pub mod cache_salt;
pub mod config;
pub mod error;
mod estimate;
pub mod local;
pub mod metrics;
pub mod models;
pub mod openai;
pub mod privacy;
pub mod probe;
pub mod router;
