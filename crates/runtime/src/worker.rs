//! Works off the queue: claim, process under a heartbeat, put back what should be tried again.

use domain::ports::{JobQueue, Lease, LeasedJob};
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tools::ingest::accept::{Ingest, RetryLater};

/// How the worker paces itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerSettings {
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// How long to wait for a notification before looking anyway.
    pub poll: Duration,
    /// How long to wait before the first retry; doubled for each further one, up to 64 times.
    pub retry: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), poll: Duration::from_secs(5), retry: Duration::from_secs(5) }
    }
}

/// One ingestion worker. Several may run, in one process or many.
pub struct Worker {
    queue: Arc<dyn JobQueue>,
    ingest: Arc<dyn Ingest>,
    settings: WorkerSettings,
}

impl Worker {
    /// Over the queue and ingestion.
    #[must_use]
    pub fn new(queue: Arc<dyn JobQueue>, ingest: Arc<dyn Ingest>, settings: WorkerSettings) -> Self {
        Self { queue, ingest, settings }
    }

    /// Works until `shutdown`; a job in hand then goes back to the queue without using up an attempt.
    pub async fn run(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            match self.queue.claim(self.settings.lease).await {
                Ok(Some(job)) => self.work(job, &shutdown).await,
                Ok(None) => self.idle(&shutdown).await,
                Err(error) => {
                    tracing::warn!(error = %error, "no job could be claimed");
                    let _ = shutdown.run_until_cancelled(tokio::time::sleep(self.settings.retry)).await;
                }
            }
        }
    }

    async fn idle(&self, shutdown: &CancellationToken) {
        let _ = shutdown.run_until_cancelled(self.queue.wait(self.settings.poll)).await;
    }

    async fn work(&self, job: LeasedJob, shutdown: &CancellationToken) {
        let lease = job.lease;
        let ended = tokio::select! {
            // A document that makes a reader panic uses up its attempts; it does not end the worker.
            ended = AssertUnwindSafe(self.ingest.process(&job)).catch_unwind() => {
                Some(ended.unwrap_or_else(|_| Err(RetryLater { reason: "ingestion panicked".to_owned(), counts: true })))
            }
            () = self.keep_alive(lease) => None,
            () = shutdown.cancelled() => {
                self.put_back(lease, Duration::ZERO, false).await;
                return;
            }
        };
        match ended {
            Some(Ok(end)) => tracing::info!(document_id = %job.document, attempt = job.attempt, ?end, "job ended"),
            Some(Err(retry)) => self.retry(&job, &retry).await,
            None => tracing::warn!(document_id = %job.document, "the lease was lost; another worker has the job"),
        }
    }

    async fn retry(&self, job: &LeasedJob, retry: &RetryLater) {
        let delay = self.settings.retry * 2u32.pow(job.attempt.saturating_sub(1).min(6));
        tracing::warn!(
            document_id = %job.document, attempt = job.attempt, delay_s = delay.as_secs(), reason = %retry.reason,
            "job put back"
        );
        self.put_back(job.lease, delay, retry.counts).await;
    }

    async fn put_back(&self, lease: Lease, delay: Duration, counts: bool) {
        if let Err(error) = self.queue.put_back(lease, delay, counts).await {
            tracing::warn!(error = %error, "a job could not be put back; its lease will expire");
        }
    }

    /// Extends the lease while the work goes on; returns when it is lost. A database that is down for a moment loses
    /// nothing: the lease runs on.
    async fn keep_alive(&self, lease: Lease) {
        loop {
            tokio::time::sleep(self.settings.lease / 3).await;
            if let Ok(false) = self.queue.heartbeat(lease, self.settings.lease).await {
                return;
            }
        }
    }
}
