//! Documents, their passages, and the failures of ingestion.

use crate::classified::HasClass;
use crate::ids::{ChunkId, DocumentId, UserId};
use crate::role::{Classification, string_enum};
use crate::search::PassageTerms;
use crate::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

string_enum! {
    /// Ingestion status of a document.
    DocumentStatus {
        /// Stored, waiting for the worker.
        Pending = "pending",
        /// A worker is extracting, chunking and embedding it.
        Processing = "processing",
        /// Ingested and searchable.
        Ready = "ready",
        /// Ingestion failed; the document's `failure` says why.
        Failed = "failed",
    }
}

string_enum! {
    /// Why a document could not be ingested.
    FailureCode {
        /// The file is encrypted with a password.
        Encrypted = "encrypted",
        /// The file exceeds a size limit, before or after decompression.
        TooLarge = "too_large",
        /// The file does not conform to its format.
        Corrupt = "corrupt",
        /// Ingestion took longer than allowed.
        Timeout = "timeout",
        /// The file contains no text; a scan, for instance.
        NoText = "no_text",
        /// No extractor supports the file's format.
        Unsupported = "unsupported",
    }
}

/// Why ingestion of a document failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DocumentFailure {
    /// Reason code for programs.
    pub code: FailureCode,
    /// A sentence for the user that says what to do.
    pub detail: String,
}

/// Revision data of a controlled document; fields that the uploader did not set are `None`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Revision {
    /// The plant's own revision label: `C`, `3.1`, `2026-03`.
    pub label: Option<String>,
    /// First day (UTC) on which it is in force; `None` means from its ingestion on.
    pub effective_from: Option<Date>,
    /// The document that it replaces from that day on.
    pub supersedes: Option<DocumentId>,
}

/// Progress of a running ingestion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IngestionProgress {
    /// Pages extracted so far; parts, for formats without pages.
    pub pages_read: u32,
    /// Total number of pages, once known.
    pub page_count: Option<u32>,
    /// Passages embedded so far.
    pub chunks_embedded: u32,
    /// Total number of passages, once known.
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
    /// Key of the file in the blob store.
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
    /// Progress of ingestion; `None` unless it is being processed.
    pub progress: Option<IngestionProgress>,
    /// Warnings from extraction, as sentences; pages that need text recognition, for instance.
    pub warnings: Vec<String>,
    /// Revision label, effective date and predecessor.
    pub revision: Revision,
    /// The document that replaces it, set once that one is searchable.
    pub superseded_by: Option<DocumentId>,
    /// Number of pages, for formats that have them.
    pub page_count: Option<i32>,
    /// Number of searchable passages.
    pub chunk_count: i32,
    /// Data of the client: a JSON object.
    pub metadata: Value,
    /// User who uploaded it.
    pub uploaded_by: UserId,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When its state or metadata last changed.
    pub updated_at: Timestamp,
}

/// A document to insert; its file is in the blob store already.
#[derive(Clone, PartialEq, Debug)]
pub struct NewDocument {
    /// UUIDv7, chosen by the application.
    pub id: DocumentId,
    /// The file name as uploaded.
    pub filename: String,
    /// Provisional title, used until extraction finds one in the file.
    pub title: String,
    /// Type as recognized from the content.
    pub mime_type: String,
    /// Size in bytes.
    pub file_size_bytes: i64,
    /// SHA-256 of the file, lower-case hex; identifies duplicates within the tenant.
    pub sha256: String,
    /// Key of the file in the blob store.
    pub storage_path: String,
    /// Kind of document: procedure, manual, report, …
    pub doc_type: Option<String>,
    /// Labels that filters match exactly.
    pub tags: Vec<String>,
    /// Class of the content; decides who may see it and which backends may serve it.
    pub classification: Classification,
    /// Revision label, effective date and predecessor.
    pub revision: Revision,
    /// Data of the client: a JSON object.
    pub metadata: Value,
    /// User who uploads it.
    pub uploaded_by: UserId,
}

/// Changes to a document. A field that is `None` is left unchanged.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct DocumentPatch {
    /// New title; a later ingestion does not overwrite it.
    pub title: Option<String>,
    /// New kind of document: procedure, manual, report, …
    pub doc_type: Option<String>,
    /// New tags; they replace all old ones.
    pub tags: Option<Vec<String>>,
    /// New class; its passages get the same one.
    pub classification: Option<Classification>,
    /// New client data; replaces the old data.
    pub metadata: Option<Value>,
}

/// A change of a document's ingestion state.
#[derive(Clone, PartialEq, Debug)]
pub enum StatusChange {
    /// Queued for ingestion, for the first time or again.
    Queued,
    /// A worker has started to process it.
    Processing,
    /// Its passages are stored. The document that it supersedes is marked in the same transaction.
    Ready {
        /// Title found in the file, if any.
        title: Option<String>,
        /// Number of pages, for formats that have them.
        page_count: Option<i32>,
        /// Number of searchable passages.
        chunk_count: i32,
        /// Warnings from extraction, as sentences.
        warnings: Vec<String>,
    },
    /// Ingestion failed for good.
    Failed(DocumentFailure),
}

/// Filter for a list of documents; all conditions that are set must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DocumentFilter {
    /// Only documents with this status.
    pub status: Option<DocumentStatus>,
    /// Only documents with this tag.
    pub tag: Option<String>,
    /// Only documents of this kind.
    pub doc_type: Option<String>,
}

/// A passage to insert into the search indexes.
#[derive(Clone, PartialEq, Debug)]
pub struct NewChunk {
    /// UUIDv7, chosen by the application.
    pub id: ChunkId,
    /// Index of the passage within the document, from 0.
    pub chunk_index: i32,
    /// Text of the passage, as it is cited.
    pub content: String,
    /// Text that only the lexical index includes, in addition to the content: title and heading path.
    pub context: String,
    /// Number of tokens of the content, by the embedding model's tokenizer.
    pub token_count: i32,
    /// Page in the file, from 1; `None` for formats without pages.
    pub page: Option<i32>,
    /// Headings above the passage, outermost first.
    pub section: Option<String>,
    /// Embedding vector, of the model's dimension and unit length.
    pub embedding: Vec<f32>,
    /// Terms that searches return with the passage. `None` makes every search read the passage's text instead.
    pub terms: Option<PassageTerms>,
}

impl HasClass for Document {
    fn class(&self) -> Classification {
        self.classification
    }
}
