//! Errors of the readers: each has a code for machines and a sentence for the uploader.

use thiserror::Error;

/// Why a file could not be read. `Display` is a sentence for the uploader; [`ReadError::code`] is for machines.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The file needs a password.
    #[error("The file is protected with a password. Upload a copy without it.")]
    Encrypted,
    /// The file is damaged beyond what the reader can repair.
    #[error("The file is damaged: {detail}.")]
    Corrupt {
        /// What is wrong; contains none of the file's content.
        detail: String,
    },
    /// The file exceeds a limit.
    #[error("The file is too large: more than {limit} {what}.")]
    TooLarge {
        /// Unit of the limit: `pages`, `bytes of text`.
        what: &'static str,
        /// The exceeded limit.
        limit: u64,
    },
    /// The file is valid but has no text.
    #[error("No text was found in the file. If it is a scan, run text recognition on it first.")]
    NoText,
    /// The file format is not supported.
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
