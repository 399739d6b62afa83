//! Processes one ingestion job: reads, chunks and embeds the document without an open transaction, then writes all
//! results in one transaction.
//!
//! Idempotent: all chunks of a document are replaced at once, and a worker that lost its lease changes nothing.

use super::attempt_record::AttemptRecord;
use super::chunk_params::chunk_params;
use super::embed::ChunkEmbedder;
use super::failure::{CurrentClassification, ProcessError, attempts_exhausted, blob_error, worker_stopped};
use super::inner::IngestInner;
use super::interface::{JobOutcome, RetryLater};
use super::isolate::SourceFile;
use super::progress::ProgressReporter;
use super::read_and_chunk::ReadAndChunkTask;
use crate::calls::CallRecorder;
use domain::audit::ResultStatus;
use domain::document::{Document, DocumentFailure, FailureCode, NewChunk, StatusChange};
use domain::ids::{DocumentId, TenantId};
use domain::model_call::ModelCaller;
use domain::ports::{Embedder, LeasedJob};
use domain::role::Classification;
use domain::tenant::TenantSettings;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A document that has been read, chunked and embedded, but not yet written to the database.
pub(super) struct ProcessedDocument {
    title: Option<String>,
    page_count: Option<i32>,
    /// Name of the model that embedded the chunks.
    pub(super) model: String,
    pub(super) chunks: Vec<NewChunk>,
    warnings: Vec<String>,
}

/// A document that this worker has marked as processing.
struct ClaimedDocument {
    document: Document,
    record: AttemptRecord,
    context: EmbedContext,
}

/// The embedding model with the attribution of its calls.
pub(super) struct EmbedContext {
    /// The embedding model to use for the tenant.
    pub(super) embedder: Arc<dyn Embedder>,
    /// Tenant and user that the model calls are attributed to.
    pub(super) caller: ModelCaller,
    /// Records the model calls.
    pub(super) model_call_recorder: CallRecorder,
}

impl IngestInner {
    /// Ingests a document; see [`super::interface::Ingest::process`]. `cancellation` is cancelled when the worker drops
    /// the job.
    pub(super) async fn ingest(
        self: &Arc<Self>,
        job: &LeasedJob,
        document: DocumentId,
        cancellation: &CancellationToken,
    ) -> Result<JobOutcome, RetryLater> {
        let Some(claimed) = self.start_processing(job, document).await? else {
            return Ok(JobOutcome::Stale);
        };
        let ClaimedDocument { document, record, context } = claimed;
        if job.attempt > job.max_attempts {
            return self.dead_letter(job, &record, None).await;
        }
        let processing = self.process_document(job, &document, &context);
        let processed = cancellation.run_until_cancelled(processing).await.unwrap_or(Err(ProcessError::Cancelled));
        let (outcome, status, reason) = match processed {
            Ok(processed) => (self.publish(job, &record, processed).await, ResultStatus::Error, "store"),
            Err(ProcessError::Document(failure)) => {
                (self.fail_document(job, &record, failure).await, ResultStatus::Error, "store")
            }
            Err(ProcessError::Retry(retry)) => (Err(retry), ResultStatus::Error, "dependency_down"),
            Err(ProcessError::Cancelled) => (Err(worker_stopped()), ResultStatus::Cancelled, "worker_left"),
        };
        match &outcome {
            Ok(JobOutcome::Stale) => self.close_attempt(&record, ResultStatus::Cancelled, "superseded").await,
            Ok(_) => {}
            Err(retry) if retry.counts_as_attempt && job.attempt == job.max_attempts => {
                return self.dead_letter(job, &record, Some(&retry.reason)).await;
            }
            Err(_) => self.close_attempt(&record, status, reason).await,
        }
        outcome
    }

    /// Marks the document as processing and records the intent; `None` if the lease is lost or the document was
    /// deleted.
    async fn start_processing(&self, job: &LeasedJob, id: DocumentId) -> Result<Option<ClaimedDocument>, RetryLater> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().holds_lease(job.lease).await? {
            return Ok(None);
        }
        let Some(document) = tx.documents().get(id, Classification::Restricted).await? else {
            return Ok(None);
        };
        if !tx.documents().set_status(document.id, &StatusChange::Processing, now).await? {
            return Ok(None);
        }
        let record = AttemptRecord::record_intent(&mut *tx, job, id, self.audit_id(), now).await?;
        let model_in_use = tx.chunks().model_in_use().await?;
        let settings = tx.users().tenant_settings().await?;
        tx.commit().await?;
        let language = settings.language.as_deref();
        let embedder = Arc::clone(self.ports.embedders.for_tenant(model_in_use.as_deref(), language));
        let context = EmbedContext {
            embedder,
            caller: model_caller(job, &settings),
            model_call_recorder: record.model_call_recorder.clone(),
        };
        Ok(Some(ClaimedDocument { document, record, context }))
    }

    /// Reads, chunks and embeds a document; writes only progress reports to the database.
    pub(super) async fn process_document(
        &self,
        job: &LeasedJob,
        document: &Document,
        context: &EmbedContext,
    ) -> Result<ProcessedDocument, ProcessError> {
        let EmbedContext { embedder, caller, model_call_recorder } = context;
        let classification =
            CurrentClassification { store: &*self.ports.store, scope: &job.scope, document: document.id };
        classification.for_model(&**embedder, caller).await?;
        let mut reporter = ProgressReporter::new(self, job, document.id);
        let file = self.open_file(job.scope.tenant(), document).await?;
        let task = ReadAndChunkTask {
            parser: Arc::clone(&self.parser),
            chunk_timeout: self.settings.chunk_timeout,
            ocr: self.settings.ocr.clone(),
            chunk_params: chunk_params(&embedder.model(), self.settings.chunking),
            embedder: Arc::clone(embedder),
        };
        let (pages, pages_read) = watch::channel(0);
        let (parsed, chunks) = reporter.while_reading(pages_read, task.run(file, &pages)).await?;
        reporter.report_read(parsed.page_count, chunks.len()).await;
        let embedding = ChunkEmbedder {
            embedder: &**embedder,
            model_call_recorder,
            caller: caller.clone(),
            classification,
            ids: &*self.ports.ids,
            filename: &document.filename,
            title: parsed.title.as_deref().unwrap_or(&document.title),
            batch_size: self.settings.embed_batch_size,
        };
        let chunks = embedding.run(chunks, &mut reporter).await?;
        Ok(ProcessedDocument {
            warnings: parsed.warnings.iter().map(ToString::to_string).collect(),
            page_count: parsed.page_count.map(|count| i32::try_from(count).unwrap_or(i32::MAX)),
            title: parsed.title,
            model: embedder.model().name,
            chunks,
        })
    }

    /// Opens the document's file in the blob store, unless it is larger than the current limit.
    async fn open_file(&self, tenant: TenantId, document: &Document) -> Result<SourceFile, ProcessError> {
        let max_bytes = self.settings.max_upload_bytes;
        let size = u64::try_from(document.file_size_bytes).unwrap_or_default();
        if size > max_bytes {
            return Err(ProcessError::Document(DocumentFailure {
                code: FailureCode::TooLarge,
                detail: format!("The file is larger than the current limit of {} MiB.", max_bytes >> 20),
            }));
        }
        let opened = self.ports.blobs.open(tenant, &document.storage_path, None).await;
        let bytes = opened.map_err(|error| blob_error(&error))?;
        Ok(SourceFile { name: document.filename.clone(), size, bytes })
    }

    /// Writes the chunks, the document's status, the job's completion and the audit outcome in one transaction. Writes
    /// nothing if the lease is lost or the document was deleted.
    async fn publish(
        self: &Arc<Self>,
        job: &LeasedJob,
        record: &AttemptRecord,
        processed: ProcessedDocument,
    ) -> Result<JobOutcome, RetryLater> {
        let now = self.ports.clock.now();
        let count = i32::try_from(processed.chunks.len()).unwrap_or(i32::MAX);
        let metadata = json!({"pages": processed.page_count, "chunks": count, "warnings": processed.warnings});
        let change = StatusChange::Ready {
            title: processed.title,
            page_count: processed.page_count,
            chunk_count: count,
            warnings: processed.warnings,
        };
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().complete(job.lease).await? || !tx.documents().set_status(record.document, &change, now).await? {
            return Ok(JobOutcome::Stale);
        }
        let model_in_use = tx.chunks().lock_model_in_use().await?;
        let in_use = self.ports.embedders.in_use(model_in_use.as_deref());
        if in_use.is_some_and(|in_use| in_use.model().name != processed.model) {
            let reason = "the tenant switched to another embedding model during ingestion".to_owned();
            return Err(RetryLater { reason, counts_as_attempt: false });
        }
        tx.chunks().replace(record.document, &processed.model, &processed.chunks, now).await?;
        record.record_outcome(&mut *tx, self.audit_id(), now, ResultStatus::Success, metadata).await?;
        tx.commit().await?;
        Ok(JobOutcome::Ready)
    }

    /// Writes the document's failure, the job's completion and the audit outcome in one transaction. Writes nothing if
    /// the lease is lost or the document was deleted.
    async fn fail_document(
        self: &Arc<Self>,
        job: &LeasedJob,
        record: &AttemptRecord,
        failure: DocumentFailure,
    ) -> Result<JobOutcome, RetryLater> {
        let now = self.ports.clock.now();
        let metadata = json!({"code": failure.code});
        let change = StatusChange::Failed(failure);
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().complete(job.lease).await? || !tx.documents().set_status(record.document, &change, now).await? {
            return Ok(JobOutcome::Stale);
        }
        record.record_outcome(&mut *tx, self.audit_id(), now, ResultStatus::Error, metadata).await?;
        tx.commit().await?;
        Ok(JobOutcome::Failed)
    }

    /// Dead-letters the job and writes the document's failure and the audit outcome, in one transaction. Writes only a
    /// cancelled outcome if the lease is lost or the document was deleted.
    async fn dead_letter(
        self: &Arc<Self>,
        job: &LeasedJob,
        record: &AttemptRecord,
        reason: Option<&str>,
    ) -> Result<JobOutcome, RetryLater> {
        let now = self.ports.clock.now();
        let change = StatusChange::Failed(attempts_exhausted(job));
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().dead_letter(job.lease, reason, now).await?
            || !tx.documents().set_status(record.document, &change, now).await?
        {
            drop(tx);
            self.close_attempt(record, ResultStatus::Cancelled, "superseded").await;
            return Ok(JobOutcome::Stale);
        }
        let metadata = json!({"code": FailureCode::Timeout, "dead": true});
        record.record_outcome(&mut *tx, self.audit_id(), now, ResultStatus::Error, metadata).await?;
        tx.commit().await?;
        Ok(JobOutcome::DeadLettered)
    }
}

/// Tenant and user that the model calls of a job are attributed to.
pub(super) fn model_caller(job: &LeasedJob, settings: &TenantSettings) -> ModelCaller {
    ModelCaller {
        tenant: job.scope.tenant(),
        user: job.scope.user(),
        max_cloud_classification: settings.max_cloud_classification(),
        conversation: None,
        privacy: settings.pii_sanitization.rules(),
    }
}
