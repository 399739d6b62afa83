//! A streamed upload: the form fields are available once all of the file's bytes have been read.

use crate::document::Document;
use crate::ids::DocumentId;
use crate::ports::ByteStream;
use crate::role::Classification;
use crate::text::{RevisionLabel, ShortText};
use crate::time::Date;
use futures::future::BoxFuture;
use serde_json::Value;

/// A field that is well-formed but whose value is not allowed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field, such as `/tags/0`.
    pub pointer: String,
    /// Reason, as a sentence for the caller.
    pub detail: String,
}

/// The form fields of an upload, other than the file.
#[derive(Clone, PartialEq, Debug)]
pub struct UploadForm {
    /// Last component of the given file name: a label, never a path.
    pub filename: String,
    /// Tags without duplicates, at most [`crate::command::UploadDocument::MAX_TAGS`].
    pub tags: Vec<ShortText>,
    /// Kind of document, in the plant's own terms: `procedure`, `datasheet`, …
    pub doc_type: Option<ShortText>,
    /// Classification of the document; `None` uses the platform's default.
    pub classification: Option<Classification>,
    /// Revision label, in the plant's own notation.
    pub revision: Option<RevisionLabel>,
    /// First day (UTC) on which it is in force; `None` means as soon as it is ingested.
    pub effective_from: Option<Date>,
    /// The document that it replaces from that day on.
    pub supersedes: Option<DocumentId>,
    /// Client data: a JSON object, at most 16 KiB.
    pub metadata: Value,
}

/// An upload in progress.
pub struct Upload {
    /// The file's bytes. Reading them also parses the form, whose fields may come before or after the file.
    pub bytes: ByteStream,
    /// Resolves once `bytes` has ended; an error if a field's value is not allowed or the file is missing.
    pub form: BoxFuture<'static, Result<UploadForm, FieldError>>,
}

/// The outcome of an upload.
#[derive(Clone, PartialEq, Debug)]
pub enum UploadOutcome {
    /// The document was stored and queued for ingestion.
    Created(Document),
    /// The tenant already has a document with the same content.
    Duplicate(Document),
}

impl UploadOutcome {
    /// The created document, or the existing one.
    #[must_use]
    pub fn document(&self) -> &Document {
        match self {
            Self::Created(document) | Self::Duplicate(document) => document,
        }
    }
}

/// A document with its original file, or the requested range of it.
pub struct Download {
    /// The document's metadata.
    pub document: Document,
    /// The bytes, read from the blob store as they are polled.
    pub content: ByteStream,
}
