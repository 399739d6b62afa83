//! Prometheus metric of the jobs that the workers of this process run.

use async_trait::async_trait;
use domain::authorized::Permit;
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{ByteRange, ByteStream, LeasedJob};
use domain::upload::{Upload, UploadOutcome};
use prometheus::{HistogramOpts, HistogramVec, Registry};
use std::sync::Arc;
use tokio::time::Instant;
use tools::error::IngestError;
use tools::ingest::interface::{Ingest, JobOutcome, RetryLater};

/// Buckets in seconds: from a note to a book that must be recognized page by page.
const BUCKETS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0];

/// An [`Ingest`] that measures the jobs of another one.
pub struct MeasuredIngest {
    inner: Arc<dyn Ingest>,
    duration: HistogramVec,
}

impl MeasuredIngest {
    /// Registers the histogram `ingestion_job_duration_seconds`, by kind and outcome of the attempt.
    ///
    /// # Errors
    /// If the registry already has a metric of that name.
    pub fn register(registry: &Registry, inner: Arc<dyn Ingest>) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "ingestion_job_duration_seconds",
            "Seconds of an attempt at an ingestion job, by kind and outcome.",
        );
        let duration = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["kind", "outcome"])?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self { inner, duration })
    }
}

fn outcome_label(result: &Result<JobOutcome, RetryLater>) -> &'static str {
    match result {
        Ok(JobOutcome::Ready) => "ready",
        Ok(JobOutcome::Failed) => "failed",
        Ok(JobOutcome::DeadLettered) => "dead_lettered",
        Ok(JobOutcome::Done) => "done",
        Ok(JobOutcome::Unfinished) => "unfinished",
        Ok(JobOutcome::Stale) => "stale",
        Err(_) => "retried",
    }
}

#[async_trait]
impl Ingest for MeasuredIngest {
    async fn accept(&self, permit: &Permit, upload: Upload) -> Result<UploadOutcome, IngestError> {
        self.inner.accept(permit, upload).await
    }

    async fn open(
        &self,
        permit: &Permit,
        document: &Document,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, IngestError> {
        self.inner.open(permit, document, range).await
    }

    async fn requeue(&self, permit: &Permit, document: DocumentId) -> Result<Option<Document>, IngestError> {
        self.inner.requeue(permit, document).await
    }

    async fn discard(&self, permit: &Permit, document: &Document) -> Result<(), IngestError> {
        self.inner.discard(permit, document).await
    }

    async fn process(&self, job: &LeasedJob) -> Result<JobOutcome, RetryLater> {
        let started = Instant::now();
        let result = self.inner.process(job).await;
        let kind = job.payload.kind().to_string();
        let labels = [kind.as_str(), outcome_label(&result)];
        self.duration.with_label_values(&labels).observe(started.elapsed().as_secs_f64());
        result
    }
}
