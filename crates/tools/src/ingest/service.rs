//! The ingestion service: implements [`Ingest`] for the runtime and the worker.

use super::accept::{Ingest, JobEnd, RetryLater};
use super::inner::IngestInner;
use super::isolate::{ChildParser, Parser, ThreadParser};
use super::readers::{Limits, ScanLimits};
use super::settings::{IngestPorts, IngestSettings};
use crate::error::IngestError;
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{ByteRange, ByteStream, LeasedJob, Work};
use domain::upload::{Upload, UploadOutcome};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Ingests documents; the implementation of [`Ingest`].
pub struct DocumentIngest {
    pub(super) work: Arc<IngestInner>,
}

impl DocumentIngest {
    /// Creates the service. Work that must continue after the caller has disconnected (deleting a blob, recording an
    /// outcome) runs in tasks of `tracker`; shutdown must wait for it.
    #[must_use]
    pub fn new(ports: IngestPorts, settings: IngestSettings, tracker: TaskTracker) -> Self {
        let parser = parser(&settings);
        let work = IngestInner { ports, settings, parser, tracker };
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
        let cancellation = CancellationToken::new();
        let _on_drop = cancellation.clone().drop_guard();
        let (work, job) = (Arc::clone(&self.work), job.clone());
        let task = async move {
            match job.work {
                Work::Ingest(document) => work.ingest(&job, document, &cancellation).await,
                Work::Reindex => work.reindex(&job, &cancellation).await,
                Work::BuildVectorIndex => Err(RetryLater {
                    reason: "vector indexes are built by the job queue itself".to_owned(),
                    counts: true,
                }),
            }
        };
        let task = self.work.tracker.spawn(task.in_current_span());
        task.await.unwrap_or_else(|_| {
            Err(RetryLater { reason: "the task that processed the document was aborted".to_owned(), counts: true })
        })
    }
}
