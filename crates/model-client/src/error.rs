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
    /// A server's embeddings or reranking are wanted and there is no server.
    #[error("embeddings or reranking are to come from a model server, but no base URL is set")]
    NoServer,
    /// The embedded model cannot be loaded.
    #[error("the embedded embedding model cannot be loaded")]
    Embedded(#[source] EmbedError),
    /// The thread that loads the embedded model died.
    #[error("loading the embedded embedding model was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}
