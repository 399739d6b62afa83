//! Errors at startup. Errors of model calls are [`domain::model::ModelError`]s.

use crate::local::embed::EmbedError;
use std::path::PathBuf;

/// Why the models cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL of a backend is not `http` or `https`.
    #[error("the model server's address {address} is not an http or https URL")]
    Address {
        /// Scheme and host of the URL, without credentials.
        address: String,
    },
    /// The TLS or HTTP configuration was rejected.
    #[error("the HTTP client for the model server cannot be set up")]
    Client(#[source] reqwest::Error),
    /// A metric could not be registered.
    #[error("the metrics of the model layer cannot be registered")]
    Metrics(#[source] prometheus::Error),
    /// The settings ask for remote embeddings, but no route serves the `embed` tier.
    #[error("embeddings are configured as remote, but no backend serves them (models.base_url or models.tiers.embed)")]
    NoEmbeddingRoute,
    /// A route refers to a backend that is not configured.
    #[error("unknown backend {name:?}: a tier refers to it, but models.backends does not contain it")]
    UnknownBackend {
        /// The unknown backend's name.
        name: String,
    },
    /// The file of a chat model's tokenizer could not be loaded.
    #[error("the tokenizer {} cannot be loaded", path.display())]
    Tokenizer {
        /// The configured path.
        path: PathBuf,
        /// Why it could not be read or parsed.
        source: tokenizers::Error,
    },
    /// The in-process embedding model could not be loaded.
    #[error("the in-process embedding model cannot be loaded")]
    LoadLocalModel(#[source] EmbedError),
    /// A pattern of the privacy rules does not compile, which is a bug.
    #[error("a built-in privacy pattern does not compile")]
    PrivacyPatterns(#[from] regex::Error),
    /// The task that loads the in-process embedding model panicked or was cancelled.
    #[error("loading the in-process embedding model was interrupted")]
    LoadTaskFailed(#[source] tokio::task::JoinError),
}
