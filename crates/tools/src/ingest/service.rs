//! Ingestion as a service: its ports, its limits, and the trait that runtime and worker call.

use super::accept::{Ingest, JobEnd, RetryLater};
use super::embed::Chunking;
use super::isolate::{ChildParser, Parser, ParserProgram, ThreadParser};
use super::ocr::OcrSettings;
use super::readers::{Limits, ScanLimits};
use crate::error::IngestError;
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{AccessRules, BlobStore, ByteRange, ByteStream, Clock, Embedders, IdGen, LeasedJob, Store, Work};
use domain::upload::{Upload, UploadOutcome};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// What ingestion works with.
#[derive(Clone)]
pub struct IngestPorts {
    /// Documents, passages, jobs, audit log.
    pub store: Arc<dyn Store>,
    /// The documents' bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Policy's rules, asked again when an upload's body has arrived.
    pub rules: Arc<dyn AccessRules>,
    /// Make the passages' vectors.
    pub embedders: Embedders,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdGen>,
}

/// How much ingestion takes on.
#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// Largest file, in bytes.
    pub max_upload_bytes: u64,
    /// Longest time that an upload may take, from its intent to its record. Far less than the day after which an open
    /// intent is closed as `unknown`.
    pub upload_limit: Duration,
    /// The program that reads documents, each in a process of its own; `None` reads them on threads of this process,
    /// which a crafted file can bring down.
    pub parser: Option<ParserProgram>,
    /// Longest time that reading one document may take.
    pub read_limit: Duration,
    /// Longest time that chunking one document may take.
    pub chunk_limit: Duration,
    /// What a reader may take out of one file.
    pub reader_limits: Limits,
    /// How text is recognized on pages that are pictures; `None` leaves them out and says so.
    pub ocr: Option<OcrSettings>,
    /// How documents are cut.
    pub chunking: Chunking,
    /// Passages embedded at a time.
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

/// The platform's ingestion.
pub struct DocumentIngest {
    pub(super) work: Arc<IngestWork>,
}

/// What uploads and jobs need, shared with the tasks that carry them out.
pub(super) struct IngestWork {
    pub(super) ports: IngestPorts,
    pub(super) settings: IngestSettings,
    pub(super) parser: Arc<dyn Parser>,
    pub(super) tracker: TaskTracker,
}

impl DocumentIngest {
    /// Works with `ports` within `settings`. What must still happen when a caller goes away (a blob removed, an
    /// outcome recorded) happens in tasks of `tracker`, which shutdown waits for.
    #[must_use]
    pub fn new(ports: IngestPorts, settings: IngestSettings, tracker: TaskTracker) -> Self {
        let parser = parser(&settings);
        let work = IngestWork { ports, settings, parser, tracker };
        Self { work: Arc::new(work) }
    }
}

fn parser(settings: &IngestSettings) -> Arc<dyn Parser> {
    let time = settings.read_limit;
    let limits =
        Limits { scans: settings.ocr.as_ref().map(|_| ScanLimits::default()), ..settings.reader_limits.clone() };
    match settings.parser.clone() {
        Some(program) => Arc::new(ChildParser::new(program, time, limits)),
        None => Arc::new(ThreadParser::new(time, limits)),
    }
}

#[async_trait]
impl Ingest for DocumentIngest {
    async fn accept(&self, permit: &Permit, upload: Upload) -> Result<UploadOutcome, IngestError> {
        self.work.accept(permit, upload).await
    }

    async fn open(
        &self,
        permit: &Permit,
        document: &Document,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, IngestError> {
        let tenant = permit.scope().tenant();
        let opened = self.work.ports.blobs.open(tenant, &document.storage_path, range).await;
        opened.map_err(IngestError::Blob)
    }

    async fn requeue(&self, permit: &Permit, document: DocumentId) -> Result<Option<Document>, IngestError> {
        self.work.requeue(permit, document).await
    }

    async fn discard(&self, permit: &Permit, document: &Document) -> Result<(), IngestError> {
        let tenant = permit.scope().tenant();
        let deleted = self.work.ports.blobs.delete(tenant, &document.storage_path).await;
        deleted.map_err(IngestError::Blob)
    }

    async fn process(&self, job: &LeasedJob) -> Result<JobEnd, RetryLater> {
        let worker_left = CancellationToken::new();
        let _on_drop = worker_left.clone().drop_guard();
        let (work, job) = (Arc::clone(&self.work), job.clone());
        let task = async move {
            match job.work {
                Work::Ingest(document) => work.ingest(&job, document, &worker_left).await,
                Work::Reindex => work.reindex(&job, &worker_left).await,
                Work::BuildVectorIndex => {
                    Err(RetryLater { reason: "building an index is the queue's work".to_owned(), counts: true })
                }
            }
        };
        let task = self.work.tracker.spawn(task.in_current_span());
        task.await.unwrap_or_else(|_| {
            Err(RetryLater { reason: "the task that processed the document broke off".to_owned(), counts: true })
        })
    }
}
