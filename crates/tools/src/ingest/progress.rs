//! Writes the ingestion progress of a document to the database.
//!
//! A report is written at most once a second within a stage, and at the end of each stage. Each report has its own
//! transaction, which writes nothing if the lease is lost. A failed report never stops the ingestion.

use super::inner::IngestInner;
use domain::document::IngestionProgress;
use domain::ids::DocumentId;
use domain::ports::{LeasedJob, StoreError};
use domain::time::Timestamp;
use std::pin::pin;
use tokio::sync::watch;

/// Minimum interval between two reports within a stage, in milliseconds.
const INTERVAL_MS: i64 = 1000;

/// Reports the progress of one document.
pub(super) struct ProgressReporter<'a> {
    ingest: &'a IngestInner,
    job: &'a LeasedJob,
    document: DocumentId,
    progress: IngestionProgress,
    reported_at: Option<Timestamp>,
}

impl<'a> ProgressReporter<'a> {
    /// Starts with zero progress and writes nothing yet.
    pub(super) fn new(ingest: &'a IngestInner, job: &'a LeasedJob, document: DocumentId) -> Self {
        Self { ingest, job, document, progress: IngestionProgress::default(), reported_at: None }
    }

    /// Awaits `reading` and, until it completes, reports the page counts received from `pages_read`.
    pub(super) async fn while_reading<T>(
        &mut self,
        mut pages_read: watch::Receiver<u32>,
        reading: impl Future<Output = T>,
    ) -> T {
        let mut reading = pin!(reading);
        loop {
            let next = async {
                if pages_read.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                self.progress.pages_read = *pages_read.borrow_and_update();
                self.report(false).await;
            };
            tokio::select! {
                biased;
                result = &mut reading => return result,
                () = next => {}
            }
        }
    }

    /// Reports that all pages are read and split into `chunks` chunks.
    pub(super) async fn report_read(&mut self, pages: Option<u32>, chunks: usize) {
        self.progress.page_count = pages;
        self.progress.pages_read = pages.unwrap_or(self.progress.pages_read);
        self.progress.chunk_count = Some(to_u32(chunks));
        self.report(true).await;
    }

    /// Reports that `chunks` of `total` chunks are embedded.
    pub(super) async fn report_embedded(&mut self, chunks: usize, total: usize) {
        self.progress.chunks_embedded = to_u32(chunks);
        self.report(chunks == total).await;
    }

    async fn report(&mut self, stage_ends: bool) {
        let now = self.ingest.ports.clock.now();
        if !stage_ends && self.reported_at.is_some_and(|at| (now - at).num_milliseconds() < INTERVAL_MS) {
            return;
        }
        self.reported_at = Some(now);
        if let Err(error) = self.try_report().await {
            tracing::debug!(%error, document_id = %self.document, "progress could not be reported");
        }
    }

    async fn try_report(&self) -> Result<(), StoreError> {
        let mut tx = self.ingest.ports.store.begin(&self.job.scope).await?;
        if tx.jobs().holds_lease(self.job.lease).await?
            && tx.documents().update_progress(self.document, self.progress).await?
        {
            tx.commit().await?;
        }
        Ok(())
    }
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
