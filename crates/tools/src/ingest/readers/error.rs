//! Reader errors. Each has a machine-readable code and a message for the person who uploaded the file.

use thiserror::Error;

/// Why a file could not be read. `Display` is the message for the uploader; [`ReadError::code`] is the machine-readable
/// code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The file needs a password.
    #[error("The file is protected with a password. Upload a copy without it.")]
    Encrypted,
    /// The file is damaged and could not be repaired.
    #[error("The file is damaged: {detail}.")]
    Corrupt {
        /// What is wrong; never contains file content.
        detail: String,
    },
    /// The file exceeds a limit.
    #[error("The file is too large: more than {limit} {what}.")]
    TooLarge {
        /// What the limit counts, such as `pages` or `bytes of text`.
        what: &'static str,
        /// The limit that was exceeded.
        limit: u64,
    },
    /// The file is valid but has no text.
    #[error("No text was found in the file. If it is a scan, run text recognition on it first.")]
    NoText,
    /// The file format is not supported.
    #[error(
        "This kind of file is not supported. Upload PDF, DOCX, XLSX, ODS, PPTX, CSV, HTML, EML, Markdown or plain text."
    )]
    Unsupported,
}

impl ReadError {
    /// The machine-readable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Corrupt { .. } => "corrupt",
            Self::TooLarge { .. } => "too_large",
            Self::NoText => "no_text",
            Self::Unsupported => "unsupported",
        }
    }

    /// Creates a [`ReadError::Corrupt`] with this detail, which completes the sentence "The file is damaged: …".
    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::Corrupt { detail: detail.into() }
    }
}
