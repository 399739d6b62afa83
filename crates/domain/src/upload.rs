//! An upload as it arrives: the file's bytes first, what the form says of it once the whole body was read.

use crate::command::UploadForm;
use crate::document::Document;
use crate::ports::ByteStream;
use futures::future::BoxFuture;

/// A field that was understood and is not allowed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901), `/tags/0` for instance.
    pub pointer: String,
    /// Why, as a sentence for the caller.
    pub detail: String,
}

/// An upload in flight.
pub struct Upload {
    /// The file's bytes. Reading them drives the form: fields may stand before or behind the file.
    pub bytes: ByteStream,
    /// The form, once `bytes` has ended; an error where a field is not allowed or the file is missing.
    pub form: BoxFuture<'static, Result<UploadForm, FieldError>>,
}

/// What became of an upload.
#[derive(Clone, PartialEq, Debug)]
pub enum UploadOutcome {
    /// Stored and queued.
    Created(Document),
    /// The tenant has these bytes already.
    Duplicate(Document),
}

impl UploadOutcome {
    /// The document that was created, or the one that the tenant has already.
    #[must_use]
    pub fn document(&self) -> &Document {
        match self {
            Self::Created(document) | Self::Duplicate(document) => document,
        }
    }
}

/// A document with its original bytes, or the part of them that was asked for.
pub struct Download {
    /// The document.
    pub document: Document,
    /// Its bytes, read from the blob store as they are polled.
    pub content: ByteStream,
}
