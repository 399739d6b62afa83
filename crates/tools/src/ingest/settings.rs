//! What ingestion depends on, and its limits.

use super::chunk_params::Chunking;
use super::isolate::ParserProgram;
use super::ocr::OcrSettings;
use super::readers::Limits;
use domain::ports::{AccessRules, BlobStore, Clock, Embedders, IdGen, Store};
use std::sync::Arc;
use std::time::Duration;

/// The ports that ingestion uses.
#[derive(Clone)]
pub struct IngestPorts {
    /// Documents, chunks, jobs and audit log.
    pub store: Arc<dyn Store>,
    /// The documents' bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Re-checks the uploader's rights while an upload arrives.
    pub rules: Arc<dyn AccessRules>,
    /// The embedding models of the tenants.
    pub embedders: Embedders,
    /// Source of timestamps.
    pub clock: Arc<dyn Clock>,
    /// Source of ids.
    pub ids: Arc<dyn IdGen>,
}

/// Limits and options of ingestion.
#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// Largest file in bytes.
    pub max_upload_bytes: u64,
    /// Time limit of an upload, from its intent to its record. Must be far below one day, after which an open intent is
    /// closed as `unknown`.
    pub upload_limit: Duration,
    /// The program that reads each document in its own process. `None` reads on threads of this process, which a
    /// crafted file can crash.
    pub parser: Option<ParserProgram>,
    /// Time limit of reading one document.
    pub read_limit: Duration,
    /// Time limit of chunking one document.
    pub chunk_limit: Duration,
    /// Limits of what is extracted from one file.
    pub reader_limits: Limits,
    /// Text recognition of scanned pages; `None` only adds a warning to the document.
    pub ocr: Option<OcrSettings>,
    /// Wanted sizes of chunks.
    pub chunking: Chunking,
    /// Chunks embedded per request.
    pub embed_batch: usize,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            max_upload_bytes: 100 << 20,
            upload_limit: Duration::from_secs(15 * 60),
            parser: None,
            read_limit: Duration::from_secs(45),
            chunk_limit: Duration::from_secs(15),
            reader_limits: Limits::default(),
            ocr: None,
            chunking: Chunking::default(),
            embed_batch: 32,
        }
    }
}
