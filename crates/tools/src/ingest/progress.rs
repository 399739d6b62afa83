//! Tells who looks at a document how far its ingestion has come.
//!
//! At most once a second, and at the end of each stage; each time in a transaction of its own that writes nothing where
//! the lease is no longer this worker's. That it cannot be told never stops the work.

use super::service::IngestWork;
use domain::document::IngestionProgress;
use domain::ids::DocumentId;
use domain::ports::{LeasedJob, StoreError};
use domain::time::Timestamp;
use std::pin::pin;
use tokio::sync::watch;

/// Shortest time between two reports within a stage, in milliseconds.
const INTERVAL_MS: i64 = 1000;

/// Reports the progress of one document.
pub(super) struct Reporter<'a> {
    work: &'a IngestWork,
    job: &'a LeasedJob,
    document: DocumentId,
    progress: IngestionProgress,
    told_at: Option<Timestamp>,
}

impl<'a> Reporter<'a> {
    /// Nothing is done yet, and nothing said.
    pub(super) fn new(work: &'a IngestWork, job: &'a LeasedJob, document: DocumentId) -> Self {
        Self { work, job, document, progress: IngestionProgress::default(), told_at: None }
    }

    /// Reports the pages that `seen` counts while `reading` goes on.
    pub(super) async fn while_reading<T>(
        &mut self,
        mut seen: watch::Receiver<u32>,
        reading: impl Future<Output = T>,
    ) -> T {
        let mut reading = pin!(reading);
        loop {
            let next = async {
                if seen.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                self.progress.pages_read = *seen.borrow_and_update();
                self.tell(false).await;
            };
            tokio::select! {
                biased;
                done = &mut reading => return done,
                () = next => {}
            }
        }
    }

    /// All pages are read and cut into `chunks`.
    pub(super) async fn read(&mut self, pages: Option<u32>, chunks: usize) {
        self.progress.page_count = pages;
        self.progress.pages_read = pages.unwrap_or(self.progress.pages_read);
        self.progress.chunk_count = Some(to_u32(chunks));
        self.tell(true).await;
    }

    /// So many of all chunks are embedded.
    pub(super) async fn embedded(&mut self, chunks: usize, of: usize) {
        self.progress.chunks_embedded = to_u32(chunks);
        self.tell(chunks == of).await;
    }

    async fn tell(&mut self, stage_ends: bool) {
        let now = self.work.ports.clock.now();
        if !stage_ends && self.told_at.is_some_and(|told_at| (now - told_at).num_milliseconds() < INTERVAL_MS) {
            return;
        }
        self.told_at = Some(now);
        if let Err(error) = self.try_tell().await {
            tracing::debug!(%error, document_id = %self.document, "progress could not be reported");
        }
    }

    async fn try_tell(&self) -> Result<(), StoreError> {
        let mut tx = self.work.ports.store.begin(&self.job.scope).await?;
        if tx.jobs().holds(self.job.lease).await? && tx.documents().report(self.document, self.progress).await? {
            tx.commit().await?;
        }
        Ok(())
    }
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
