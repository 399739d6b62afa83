//! Processes the job queue: claims a job, processes it while a heartbeat extends its lease, and requeues jobs that
//! should be retried.

use crate::approvals::process::ApprovalProcessor;
use crate::channels::deliver::DeliveryProcessor;
use crate::trace_link::link_to;
use domain::ports::{JobFilter, JobKind, JobPayload, JobQueue, Lease, LeasedJob, RequeueOptions};
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tools::ingest::interface::{Ingest, JobOutcome, RetryLater};
use tracing::{Instrument as _, Span, field};

/// Maximum size of a document that a worker for small documents takes, in bytes.
const MAX_SMALL_BYTES: u64 = 2 << 20;
/// Maximum number of times that the delay before a retry is doubled.
const MAX_DOUBLINGS: u32 = 6;
/// Maximum delay of a retry that does not count as an attempt, because a dependency of the job is unavailable.
const MAX_OUTAGE_DELAY: Duration = Duration::from_secs(60);
/// Delay before a partly processed job continues, so that other jobs of its tenant take precedence.
const YIELD_DELAY: Duration = Duration::from_secs(1);

/// Timing of a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerSettings {
    /// Duration of a lease without a heartbeat.
    pub lease_duration: Duration,
    /// How long to wait for a notification before polling the queue.
    pub poll_interval: Duration,
    /// Delay before the first retry, plus or minus 25 %. It doubles with each further retry, up to 64 times the first
    /// delay, or up to one minute if the attempt does not count.
    pub retry_delay: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(60),
            poll_interval: Duration::from_secs(5),
            retry_delay: Duration::from_secs(5),
        }
    }
}

/// A worker that processes one job at a time. Several workers can run, in one or in several processes.
pub struct Worker {
    queue: Arc<dyn JobQueue>,
    ingest: Arc<dyn Ingest>,
    settings: WorkerSettings,
    /// The jobs that this worker claims.
    filter: JobFilter,
    /// Processes approvals; without it, the worker claims no such jobs.
    approvals: Option<Arc<ApprovalProcessor>>,
    /// Delivers messages to channels; without it, the worker claims no such jobs.
    deliveries: Option<Arc<DeliveryProcessor>>,
}

impl Worker {
    /// Creates a worker that takes any job of the queue except the processing of approvals and the delivery of
    /// messages.
    #[must_use]
    pub fn new(queue: Arc<dyn JobQueue>, ingest: Arc<dyn Ingest>, settings: WorkerSettings) -> Self {
        let filter = JobFilter::any();
        let worker = Self { queue, ingest, settings, filter, approvals: None, deliveries: None };
        worker.without_kind(JobKind::Approvals).without_kind(JobKind::Deliveries)
    }

    /// Adds the processing of approvals. They are short, so a worker for small documents takes them, too.
    #[must_use]
    pub fn with_approvals(mut self, approvals: Arc<ApprovalProcessor>) -> Self {
        self.filter.kinds.push(JobKind::Approvals);
        Self { approvals: Some(approvals), ..self }
    }

    /// Creates a worker that delivers messages and does nothing else: a receiver that does not respond must not block
    /// other jobs.
    #[must_use]
    pub fn for_deliveries(self, deliveries: Arc<DeliveryProcessor>) -> Self {
        Self { deliveries: Some(deliveries), ..self }.only_kinds(vec![JobKind::Deliveries])
    }

    /// Limits the worker to jobs of these kinds.
    #[must_use]
    pub fn only_kinds(self, kinds: Vec<JobKind>) -> Self {
        Self { filter: JobFilter { kinds, ..self.filter }, ..self }
    }

    /// Excludes jobs of this kind.
    #[must_use]
    pub fn without_kind(self, kind: JobKind) -> Self {
        let kinds = self.filter.kinds.iter().copied().filter(|other| *other != kind).collect();
        self.only_kinds(kinds)
    }

    /// Limits the worker to ingestion of documents of up to 2 MiB. It takes no jobs that concern a whole tenant.
    #[must_use]
    pub fn for_small_documents(self) -> Self {
        Self {
            filter: JobFilter { kinds: vec![JobKind::Ingestion], max_document_bytes: Some(MAX_SMALL_BYTES) },
            ..self
        }
    }

    /// Creates a pool of `size` workers. In a pool of two or more, one worker only takes small documents, so that large
    /// ones never occupy all workers.
    #[must_use]
    pub fn pool(
        size: usize,
        queue: &Arc<dyn JobQueue>,
        ingest: &Arc<dyn Ingest>,
        settings: WorkerSettings,
    ) -> Vec<Self> {
        let worker = || Self::new(Arc::clone(queue), Arc::clone(ingest), settings);
        let small_worker = (size >= 2).then(|| worker().for_small_documents());
        small_worker.into_iter().chain(std::iter::repeat_with(worker)).take(size).collect()
    }

    /// Processes jobs until `shutdown` is cancelled. The current job is then requeued without counting as an attempt.
    pub async fn run(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            match self.queue.claim(&self.filter, self.settings.lease_duration).await {
                Ok(Some(job)) => self.run_job(job, &shutdown).await,
                Ok(None) => self.wait_for_job(&shutdown).await,
                Err(error) => {
                    tracing::warn!(error = %error, "failed to claim a job");
                    let _ = shutdown.run_until_cancelled(tokio::time::sleep(self.settings.retry_delay)).await;
                }
            }
        }
    }

    async fn wait_for_job(&self, shutdown: &CancellationToken) {
        let _ = shutdown.run_until_cancelled(self.queue.wait_for_job(self.settings.poll_interval)).await;
    }

    async fn run_job(&self, job: LeasedJob, shutdown: &CancellationToken) {
        let lease = job.lease;
        let span = job_span(&job);
        // A panic in a document reader counts as a failed attempt and does not end the worker.
        let processing = AssertUnwindSafe(self.process(&job)).catch_unwind().instrument(span.clone());
        let outcome = tokio::select! {
            ended = processing => Some(ended.unwrap_or_else(|_| {
                Err(RetryLater { reason: "ingestion panicked".to_owned(), counts_as_attempt: true })
            })),
            () = self.keep_alive(lease) => None,
            () = shutdown.cancelled() => {
                self.requeue(lease, RequeueOptions::default()).await;
                return;
            }
        };
        let (kind, attempt) = (job.payload.kind(), job.attempt);
        let document = job.payload.document().map(field::display);
        if !matches!(outcome, Some(Ok(_))) {
            span.record("otel.status_code", "error");
        }
        match outcome {
            Some(Ok(JobOutcome::Unfinished)) => {
                self.requeue(lease, RequeueOptions { delay: YIELD_DELAY, ..RequeueOptions::default() }).await
            }
            Some(Ok(end)) => tracing::info!(%kind, document_id = document, attempt, ?end, "job ended"),
            Some(Err(retry)) => self.retry(&job, retry).await,
            None => {
                tracing::warn!(%kind, document_id = document, attempt, "the lease was lost, or its tenant is inactive")
            }
        }
    }

    async fn process(&self, job: &LeasedJob) -> Result<JobOutcome, RetryLater> {
        let attempts_exhausted = job.attempt > job.max_attempts;
        match job.payload {
            JobPayload::Ingest(_) => self.ingest.process(job).await,
            // Requeueing a tenant's job beyond its maximum attempts makes the queue fail it permanently.
            _ if attempts_exhausted => Err(RetryLater {
                reason: "the workers stopped before the job was done".to_owned(),
                counts_as_attempt: true,
            }),
            JobPayload::Reindex => self.ingest.process(job).await,
            JobPayload::ProcessApprovals => match &self.approvals {
                Some(approvals) => approvals.process(job).await,
                None => {
                    let reason = "this worker does not process approvals".to_owned();
                    Err(RetryLater { reason, counts_as_attempt: false })
                }
            },
            JobPayload::DeliverMessages => match &self.deliveries {
                Some(deliveries) => deliveries.process(job).await,
                None => {
                    let reason = "this worker delivers no messages".to_owned();
                    Err(RetryLater { reason, counts_as_attempt: false })
                }
            },
            JobPayload::UpdateVectorIndexes => {
                let is_done = self.queue.update_vector_indexes(job.lease).await?;
                Ok(if is_done { JobOutcome::Done } else { JobOutcome::Stale })
            }
        }
    }

    async fn retry(&self, job: &LeasedJob, retry: RetryLater) {
        let delay = self.delay(job, retry.counts_as_attempt);
        tracing::warn!(
            kind = %job.payload.kind(), document_id = job.payload.document().map(field::display),
            attempt = job.attempt, delay_s = delay.as_secs(), reason = %retry.reason, "job requeued"
        );
        self.requeue(
            job.lease,
            RequeueOptions { delay, counts_as_attempt: retry.counts_as_attempt, reason: Some(retry.reason) },
        )
        .await;
    }

    /// Returns the delay before a retry. It doubles with each consecutive failure and has a jitter of 25 %, so that
    /// jobs that failed together are not retried together.
    fn delay(&self, job: &LeasedJob, counts_as_attempt: bool) -> Duration {
        let backoff = self.settings.retry_delay * 2u32.pow(job.failures.min(MAX_DOUBLINGS));
        let delay = if counts_as_attempt { backoff } else { backoff.min(MAX_OUTAGE_DELAY) };
        delay.mul_f64(0.75 + 0.5 * jitter(job.lease))
    }

    async fn requeue(&self, lease: Lease, requeue: RequeueOptions) {
        if let Err(error) = self.queue.requeue(lease, &requeue).await {
            tracing::warn!(error = %error, "failed to requeue a job; its lease will expire");
        }
    }

    /// Extends the lease with heartbeats. Returns when the lease is lost or its tenant is inactive. A failed heartbeat
    /// alone does not end it, since the database may only be unavailable for a while.
    async fn keep_alive(&self, lease: Lease) {
        loop {
            tokio::time::sleep(self.settings.lease_duration / 3).await;
            if let Ok(false) = self.queue.heartbeat(lease, self.settings.lease_duration).await {
                return;
            }
        }
    }
}

/// A span of an attempt at a job. It begins a trace, which links to that of the request that queued the job.
fn job_span(job: &LeasedJob) -> Span {
    let kind = job.payload.kind();
    let span = tracing::debug_span!(
        "job",
        otel.name = format!("process {kind}"),
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        job.kind = %kind,
        job.attempt = job.attempt,
        tenant = %job.scope.tenant(),
        document_id = job.payload.document().map(field::display),
    );
    if let Some(traceparent) = &job.traceparent {
        link_to(&span, traceparent);
    }
    span
}

/// Returns a number from 0 to 1 that differs between jobs, and between the claims of one job.
fn jitter(lease: Lease) -> f64 {
    let hash = (lease.job.as_uuid().as_u64_pair().1 ^ lease.token.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    f64::from((hash >> 48) as u16) / f64::from(u16::MAX)
}
