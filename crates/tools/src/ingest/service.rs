//! The ingestion service: implements [`Ingest`] for the runtime and the worker.

use super::inner::IngestInner;
use super::interface::{Ingest, JobOutcome, RetryLater};
use super::isolate::{ChildParser, Parser, ThreadParser};
use super::readers::{Limits, ScanLimits};
use super::settings::{IngestPorts, IngestSettings};
use crate::error::IngestError;
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{ByteRange, ByteStream, JobPayload, LeasedJob};
use domain::upload::{Upload, UploadOutcome};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Ingests documents; the implementation of [`Ingest`].
pub struct DocumentIngest {
    pub(super) inner: Arc<IngestInner>,
}

impl DocumentIngest {
    /// Creates the service. Work that must continue after the caller has disconnected (deleting a blob, recording an
    /// outcome) runs in tasks of `tracker`; shutdown must wait for it.
    #[must_use]
    pub fn new(ports: IngestPorts, settings: IngestSettings, tracker: TaskTracker) -> Self {
        let parser = create_parser(&settings);
        let inner = IngestInner { ports, settings, parser, tracker };
        Self { inner: Arc::new(inner) }
    }
}

fn create_parser(settings: &IngestSettings) -> Arc<dyn Parser> {
    let timeout = settings.read_timeout;
    let limits =
        Limits { scans: settings.ocr.as_ref().map(|_| ScanLimits::default()), ..settings.reader_limits.clone() };
    match settings.parser.clone() {
        Some(program) => Arc::new(ChildParser::new(program, timeout, limits)),
        None => Arc::new(ThreadParser::new(timeout, limits)),
    }
}

#[async_trait]
impl Ingest for DocumentIngest {
    async fn accept(&self, permit: &Permit, upload: Upload) -> Result<UploadOutcome, IngestError> {
        self.inner.accept(permit, upload).await
    }

    async fn open(
        &self,
        permit: &Permit,
        document: &Document,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, IngestError> {
        let tenant = permit.scope().tenant();
        let opened = self.inner.ports.blobs.open(tenant, &document.storage_path, range).await;
        opened.map_err(IngestError::Blob)
    }

    async fn requeue(&self, permit: &Permit, document: DocumentId) -> Result<Option<Document>, IngestError> {
        self.inner.requeue(permit, document).await
    }

    async fn discard(&self, permit: &Permit, document: &Document) -> Result<(), IngestError> {
        let tenant = permit.scope().tenant();
        let deleted = self.inner.ports.blobs.delete(tenant, &document.storage_path).await;
        deleted.map_err(IngestError::Blob)
    }

    async fn process(&self, job: &LeasedJob) -> Result<JobOutcome, RetryLater> {
        let cancellation = CancellationToken::new();
        let _cancel_on_drop = cancellation.clone().drop_guard();
        let (inner, job) = (Arc::clone(&self.inner), job.clone());
        let task = async move {
            match job.payload {
                JobPayload::Ingest(document) => inner.ingest(&job, document, &cancellation).await,
                JobPayload::Reindex => inner.reindex(&job, &cancellation).await,
                JobPayload::UpdateVectorIndexes | JobPayload::ProcessApprovals | JobPayload::DeliverMessages => {
                    Err(RetryLater { reason: "this job is processed elsewhere".to_owned(), counts_as_attempt: true })
                }
            }
        };
        let task = self.inner.tracker.spawn(task.in_current_span());
        task.await.unwrap_or_else(|_| {
            Err(RetryLater {
                reason: "the task that processed the document was aborted".to_owned(),
                counts_as_attempt: true,
            })
        })
    }
}
