//! Why the models cannot be set up. What goes wrong later is a [`domain::model::ModelError`].

use crate::local::embed::EmbedError;

/// Why the models cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The server's address is not of use.
    #[error("the model server's address {address} is not an http or https address")]
    Address {
        /// The address, without what may be secret in it.
        address: String,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client for the model server cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The metrics cannot be made.
    #[error("the metrics of the model layer cannot be made")]
    Metrics(#[source] prometheus::Error),
    /// Embeddings are to come from a backend, and none serves them.
    #[error("embeddings are to come from a model server, but none serves them (models.base_url or models.tiers.embed)")]
    NoServer,
    /// A tier names a backend that there is not.
    #[error("no backend is called {name:?}, but a tier names it")]
    UnknownBackend {
        /// The name.
        name: String,
    },
    /// The embedded model cannot be loaded.
    #[error("the embedded embedding model cannot be loaded")]
    Embedded(#[source] EmbedError),
    /// The thread that loads the embedded model died.
    #[error("loading the embedded embedding model was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}
