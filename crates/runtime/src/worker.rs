//! Works off the queue: claim, process under a heartbeat, put back what should be tried again.

use domain::ports::{JobFilter, JobKind, JobQueue, Lease, LeasedJob, Requeue, Work};
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tools::ingest::accept::{Ingest, JobEnd, RetryLater};

/// Largest document that the worker for small ones takes.
const SMALL_BYTES: u64 = 2 << 20;
/// Most doublings of the wait before a retry.
const DOUBLINGS: u32 = 6;
/// Longest wait before the next look whether something that was down is up again.
const OUTAGE: Duration = Duration::from_secs(60);
/// How long a job that was done in part lets others of its tenant go first.
const TURN: Duration = Duration::from_secs(1);

/// How the worker paces itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerSettings {
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// How long to wait for a notification before looking anyway.
    pub poll: Duration,
    /// How long to wait before the first retry, give or take a quarter; doubled for each further one, up to 64 times,
    /// or up to a minute where the attempt did not count.
    pub retry: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), poll: Duration::from_secs(5), retry: Duration::from_secs(5) }
    }
}

/// One worker: one job at a time. Several may run, in one process or many.
pub struct Worker {
    queue: Arc<dyn JobQueue>,
    ingest: Arc<dyn Ingest>,
    settings: WorkerSettings,
    wanted: JobFilter,
}

impl Worker {
    /// Over the queue and ingestion; takes any job.
    #[must_use]
    pub fn new(queue: Arc<dyn JobQueue>, ingest: Arc<dyn Ingest>, settings: WorkerSettings) -> Self {
        Self { queue, ingest, settings, wanted: JobFilter::any() }
    }

    /// Takes only jobs of these kinds.
    #[must_use]
    pub fn only(self, kinds: Vec<JobKind>) -> Self {
        Self { wanted: JobFilter { kinds, ..self.wanted }, ..self }
    }

    /// Takes no jobs of this kind.
    #[must_use]
    pub fn without(self, kind: JobKind) -> Self {
        let kinds = self.wanted.kinds.iter().copied().filter(|other| *other != kind).collect();
        self.only(kinds)
    }

    /// Takes only documents of up to 2 MiB, and no work on whole tenants.
    #[must_use]
    pub fn for_small_documents(self) -> Self {
        Self { wanted: JobFilter { kinds: vec![JobKind::Ingestion], max_document_bytes: Some(SMALL_BYTES) }, ..self }
    }

    /// Workers that together do `size` jobs at a time. From two on, one of them is for small documents, so that large
    /// ones never keep all hands busy.
    #[must_use]
    pub fn crew(
        size: usize,
        queue: &Arc<dyn JobQueue>,
        ingest: &Arc<dyn Ingest>,
        settings: WorkerSettings,
    ) -> Vec<Self> {
        let one = || Self::new(Arc::clone(queue), Arc::clone(ingest), settings);
        let small = (size >= 2).then(|| one().for_small_documents());
        small.into_iter().chain(std::iter::repeat_with(one)).take(size).collect()
    }

    /// Works until `shutdown`; a job in hand then goes back to the queue without using up an attempt.
    pub async fn run(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            match self.queue.claim(&self.wanted, self.settings.lease).await {
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
            ended = AssertUnwindSafe(self.process(&job)).catch_unwind() => {
                Some(ended.unwrap_or_else(|_| Err(RetryLater { reason: "ingestion panicked".to_owned(), counts: true })))
            }
            () = self.keep_alive(lease) => None,
            () = shutdown.cancelled() => {
                self.requeue(lease, Requeue::default()).await;
                return;
            }
        };
        let (kind, attempt) = (job.work.kind(), job.attempt);
        let document = job.work.document().map(tracing::field::display);
        match ended {
            Some(Ok(JobEnd::Unfinished)) => self.requeue(lease, Requeue { delay: TURN, ..Requeue::default() }).await,
            Some(Ok(end)) => tracing::info!(%kind, document_id = document, attempt, ?end, "job ended"),
            Some(Err(retry)) => self.retry(&job, retry).await,
            None => {
                tracing::warn!(%kind, document_id = document, attempt, "the lease was lost, or its tenant switched off")
            }
        }
    }

    async fn process(&self, job: &LeasedJob) -> Result<JobEnd, RetryLater> {
        let too_often = job.attempt > job.max_attempts;
        match job.work {
            Work::Ingest(_) => self.ingest.process(job).await,
            // A tenant's work that was claimed too often: the queue gives up what comes back once more.
            _ if too_often => Err(RetryLater { reason: "its workers ended before it did".to_owned(), counts: true }),
            Work::Reindex => self.ingest.process(job).await,
            Work::BuildVectorIndex => {
                let built = self.queue.build_vector_index(job.lease).await?;
                Ok(if built { JobEnd::Done } else { JobEnd::Superseded })
            }
        }
    }

    async fn retry(&self, job: &LeasedJob, retry: RetryLater) {
        let delay = self.delay(job, retry.counts);
        tracing::warn!(
            kind = %job.work.kind(), document_id = job.work.document().map(tracing::field::display), attempt = job.attempt,
            delay_s = delay.as_secs(), reason = %retry.reason, "job put back"
        );
        self.requeue(job.lease, Requeue { delay, counts: retry.counts, reason: Some(retry.reason) }).await;
    }

    /// Doubled with each failure in a row. Spread by a quarter either way, so that jobs which failed together do not
    /// come back together.
    fn delay(&self, job: &LeasedJob, counts: bool) -> Duration {
        let doubled = self.settings.retry * 2u32.pow(job.failures.min(DOUBLINGS));
        let delay = if counts { doubled } else { doubled.min(OUTAGE) };
        delay.mul_f64(0.75 + 0.5 * share(job.lease))
    }

    async fn requeue(&self, lease: Lease, how: Requeue) {
        if let Err(error) = self.queue.requeue(lease, &how).await {
            tracing::warn!(error = %error, "a job could not be put back; its lease will expire");
        }
    }

    /// Extends the lease while the work goes on; returns when it is lost or its tenant switched off. A database that is
    /// down for a moment loses nothing: the lease runs on.
    async fn keep_alive(&self, lease: Lease) {
        loop {
            tokio::time::sleep(self.settings.lease / 3).await;
            if let Ok(false) = self.queue.heartbeat(lease, self.settings.lease).await {
                return;
            }
        }
    }
}

/// A number from 0 to 1 that differs from job to job, and for a job from claim to claim.
fn share(lease: Lease) -> f64 {
    let mixed = (lease.job.as_uuid().as_u64_pair().1 ^ lease.token.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    f64::from((mixed >> 48) as u16) / f64::from(u16::MAX)
}
