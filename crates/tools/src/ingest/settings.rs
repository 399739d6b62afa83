//! Dependencies and settings of ingestion.

use super::chunk_params::ChunkSizeOverrides;
use super::isolate::ParserProgram;
use super::ocr::OcrSettings;
use super::readers::Limits;
use domain::ports::{AccessRules, BlobStore, Clock, Embedders, IdGen, Store};
use std::sync::Arc;
use std::time::Duration;

/// The ports that ingestion depends on.
#[derive(Clone)]
pub struct IngestPorts {
    /// Stores documents, chunks, jobs and audit rows.
    pub store: Arc<dyn Store>,
    /// Stores the original bytes of the documents.
    pub blobs: Arc<dyn BlobStore>,
    /// Re-checks the uploader's rights while an upload arrives.
    pub rules: Arc<dyn AccessRules>,
    /// The embedding models of the tenants.
    pub embedders: Embedders,
    /// Supplies the current time.
    pub clock: Arc<dyn Clock>,
    /// Supplies ids of documents and audit rows.
    pub ids: Arc<dyn IdGen>,
}

/// Limits and options of ingestion.
#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// Maximum size of a file, in bytes.
    pub max_upload_bytes: u64,
    /// Time limit of an upload, from its audit intent until the document is inserted. Must be far below one day, after
    /// which an open intent is closed as `unknown`.
    pub upload_timeout: Duration,
    /// The program that reads each document in its own process. With `None`, documents are read on threads of this
    /// process, which a crafted file can crash.
    pub parser: Option<ParserProgram>,
    /// Time limit for reading one document.
    pub read_timeout: Duration,
    /// Time limit for chunking one document.
    pub chunk_timeout: Duration,
    /// Limits on what is extracted from one file.
    pub reader_limits: Limits,
    /// Text recognition (OCR) of scanned pages; with `None`, such a document only gets a warning.
    pub ocr: Option<OcrSettings>,
    /// Chunk sizes configured by the operator.
    pub chunking: ChunkSizeOverrides,
    /// Number of chunks per embedding request.
    pub embed_batch_size: usize,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            max_upload_bytes: 100 << 20,
            upload_timeout: Duration::from_secs(15 * 60),
            parser: None,
            read_timeout: Duration::from_secs(45),
            chunk_timeout: Duration::from_secs(15),
            reader_limits: Limits::default(),
            ocr: None,
            chunking: ChunkSizeOverrides::default(),
            embed_batch_size: 32,
        }
    }
}
