//! Why a file could not be read: a closed set that becomes the document's error code, with a sentence for its uploader.

use thiserror::Error;

/// Why a file could not be read. `Display` is a sentence for a person; [`ReadError::code`] is for machines.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The file opens only with a password.
    #[error("The file is protected with a password. Upload a copy without it.")]
    Encrypted,
    /// The file is damaged beyond what the reader can repair.
    #[error("The file is damaged: {detail}.")]
    Corrupt {
        /// What was wrong, without any of the file's content.
        detail: String,
    },
    /// The file exceeds a limit.
    #[error("The file is too large: {what}, and the limit is {limit}.")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The limit that it exceeds, in the unit that `what` names.
        limit: u64,
    },
    /// The file is sound but holds no text.
    #[error("No text was found in the file. If it is a scan, run text recognition on it first.")]
    NoText,
    /// The file's format is not one that can be read.
    #[error("This kind of file is not supported. Upload PDF, DOCX, Markdown or plain text.")]
    Unsupported,
}

impl ReadError {
    /// The machine-readable reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Corrupt { .. } => "corrupt",
            Self::TooLarge { .. } => "too_large",
            Self::NoText => "no_text",
            Self::Unsupported => "unsupported",
        }
    }

    /// [`ReadError::Corrupt`] with `detail`.
    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::Corrupt { detail: detail.into() }
    }
}
