//! Documents, their passages, and what can go wrong with them.

use crate::classified::HasClass;
use crate::ids::{ChunkId, DocumentId, UserId};
use crate::role::{Classification, string_enum};
use crate::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

string_enum! {
    /// Where a document stands in ingestion.
    DocumentStatus {
        /// Stored, waiting for the worker.
        Pending = "pending",
        /// Being read, chunked and embedded.
        Processing = "processing",
        /// Ingested, and found by searches.
        Ready = "ready",
        /// Not searchable; the reason stands beside it.
        Failed = "failed",
    }
}

string_enum! {
    /// Why a document could not be ingested.
    FailureCode {
        /// Encrypted with a password.
        Encrypted = "encrypted",
        /// Larger than the limits, before or after decompression.
        TooLarge = "too_large",
        /// Not readable as what it claims to be.
        Corrupt = "corrupt",
        /// Took longer than allowed.
        Timeout = "timeout",
        /// Holds no text, a scan for instance.
        NoText = "no_text",
        /// A kind of content that no reader handles.
        Unsupported = "unsupported",
    }
}

/// Why a document failed, for programs and for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DocumentFailure {
    /// Code for programs.
    pub code: FailureCode,
    /// For people: a sentence that says what to do.
    pub detail: String,
}

/// Which issue of a controlled document this is. What is not said is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Revision {
    /// As the plant counts: `C`, `3.1`, `2026-03`.
    pub label: Option<String>,
    /// The day from which it is in force (UTC); from its ingestion on where not given.
    pub effective_from: Option<Date>,
    /// The document that it takes the place of, from that day.
    pub supersedes: Option<DocumentId>,
}

/// How far the ingestion in hand has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IngestionProgress {
    /// Pages read so far (for formats without pages, parts).
    pub pages_read: u32,
    /// Pages in all, once known.
    pub page_count: Option<u32>,
    /// Passages embedded so far.
    pub chunks_embedded: u32,
    /// Passages in all, once known.
    pub chunk_count: Option<u32>,
}

/// A document of a tenant.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// UUIDv7, chosen by the application.
    pub id: DocumentId,
    /// The file name as uploaded; a label, never a path.
    pub filename: String,
    /// Title, from the file's metadata or its name.
    pub title: String,
    /// Type as recognized from the content.
    pub mime_type: String,
    /// Size in bytes.
    pub file_size_bytes: i64,
    /// SHA-256 of the bytes, lower-case hex.
    pub sha256: String,
    /// Where the blob store keeps the bytes.
    pub storage_path: String,
    /// Kind of document: procedure, manual, report, …
    pub doc_type: Option<String>,
    /// Labels that filters match exactly.
    pub tags: Vec<String>,
    /// Class of the content; decides who may see it and which backends may serve it.
    pub classification: Classification,
    /// Status of ingestion.
    pub status: DocumentStatus,
    /// Reason of the failure, for a failed document.
    pub failure: Option<DocumentFailure>,
    /// How far its ingestion has come, while it is being processed.
    pub progress: Option<IngestionProgress>,
    /// What a person should know of how it was read, pages that need text recognition for instance: sentences.
    pub warnings: Vec<String>,
    /// Which revision it is.
    pub revision: Revision,
    /// The document that takes its place, once that one is searchable.
    pub superseded_by: Option<DocumentId>,
    /// Pages, for formats that have them.
    pub page_count: Option<i32>,
    /// Number of passages that a search finds.
    pub chunk_count: i32,
    /// The client's own data: a JSON object.
    pub metadata: Value,
    /// Who uploaded it.
    pub uploaded_by: UserId,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When its state changed last.
    pub updated_at: Timestamp,
}

/// A document to be recorded, its bytes stored already.
#[derive(Clone, PartialEq, Debug)]
pub struct NewDocument {
    /// UUIDv7, chosen by the application.
    pub id: DocumentId,
    /// The file name as uploaded.
    pub filename: String,
    /// Title until the file's own is known.
    pub title: String,
    /// Type as recognized from the content.
    pub mime_type: String,
    /// Size in bytes.
    pub file_size_bytes: i64,
    /// SHA-256, lower-case hex; the same bytes are one document per tenant.
    pub sha256: String,
    /// Where the blob store keeps the bytes.
    pub storage_path: String,
    /// Kind of document.
    pub doc_type: Option<String>,
    /// Labels that filters match exactly.
    pub tags: Vec<String>,
    /// Class of the content; decides who may see it and which backends may serve it.
    pub classification: Classification,
    /// Which revision it is.
    pub revision: Revision,
    /// The client's own data: a JSON object.
    pub metadata: Value,
    /// Who uploads it.
    pub uploaded_by: UserId,
}

/// What may change of a document. A field that is `None` stays as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct DocumentPatch {
    /// New title; it stays when the document is ingested again.
    pub title: Option<String>,
    /// New kind of document; the inner `None` removes it.
    pub doc_type: Option<String>,
    /// New tags, in place of all before.
    pub tags: Option<Vec<String>>,
    /// How far it may travel from now on; its passages follow.
    pub classification: Option<Classification>,
    /// New client data.
    pub metadata: Option<Value>,
}

/// A change of a document's ingestion state.
#[derive(Clone, PartialEq, Debug)]
pub enum StatusChange {
    /// It is to be ingested, again perhaps.
    Queued,
    /// A worker took it up.
    Processing,
    /// Its passages are in. The document that it supersedes is marked so in the same transaction.
    Ready {
        /// Title found in the file, if any.
        title: Option<String>,
        /// Pages, for formats that have them.
        page_count: Option<i32>,
        /// Number of passages that a search finds.
        chunk_count: i32,
        /// What a person should know of how it was read.
        warnings: Vec<String>,
    },
    /// It cannot be ingested.
    Failed(DocumentFailure),
}

/// Which documents to list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DocumentFilter {
    /// Only in this state.
    pub status: Option<DocumentStatus>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only of this kind.
    pub doc_type: Option<String>,
}

/// A passage to be indexed.
#[derive(Clone, PartialEq, Debug)]
pub struct NewChunk {
    /// UUIDv7, chosen by the application.
    pub id: ChunkId,
    /// Place in the document, from 0.
    pub chunk_index: i32,
    /// The passage as cited.
    pub content: String,
    /// What the lexical index reads beside the content: title and heading path.
    pub context: String,
    /// Tokens of the content, by the embedding model's tokenizer.
    pub token_count: i32,
    /// Page in the file, from 1; `None` for formats without pages.
    pub page: Option<i32>,
    /// Headings above the passage, outermost first.
    pub section: Option<String>,
    /// The embedding: as many numbers as the model has dimensions, of unit length.
    pub embedding: Vec<f32>,
}

impl HasClass for Document {
    fn class(&self) -> Classification {
        self.classification
    }
}
