//! An upload as it arrives: the file's bytes first, what the form says of it once the whole body was read.

use crate::document::Document;
use crate::ids::DocumentId;
use crate::ports::ByteStream;
use crate::role::Classification;
use crate::text::{Label, RevisionLabel};
use crate::time::Date;
use futures::future::BoxFuture;
use serde_json::Value;

/// A field that is well-formed but whose value is not allowed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901), `/tags/0` for instance.
    pub pointer: String,
    /// Why, as a sentence for the caller.
    pub detail: String,
}

/// The form fields beside an uploaded file.
#[derive(Clone, PartialEq, Debug)]
pub struct UploadForm {
    /// Last component of the given file name: a label, never a path.
    pub filename: String,
    /// At most [`crate::command::UploadDocument::MAX_TAGS`], without duplicates.
    pub tags: Vec<Label>,
    /// Kind of document, in the plant's own terms: `procedure`, `datasheet`, …
    pub doc_type: Option<Label>,
    /// Who may read it; `None` takes the platform's default.
    pub classification: Option<Classification>,
    /// Revision label, as the plant counts.
    pub revision: Option<RevisionLabel>,
    /// First day (UTC) on which it is in force; `None` from its ingestion on.
    pub effective_from: Option<Date>,
    /// The document that it replaces from then on.
    pub supersedes: Option<DocumentId>,
    /// Client data: a JSON object, at most 16 KiB.
    pub metadata: Value,
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
    /// Document that it belongs to.
    pub document: Document,
    /// Its bytes, read from the blob store as they are polled.
    pub content: ByteStream,
}
