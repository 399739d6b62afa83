//! Working off one job: read, chunk and embed with no transaction open, then everything at once.
//!
//! Running it again is harmless: passages are swapped whole, and a worker that has lost its lease changes nothing.

use super::accept::{JobEnd, RetryLater};
use super::embed::{Embedding, chunk_params};
use super::isolate::{ParseError, SourceFile};
use super::progress::Reporter;
use super::read::Reading;
use super::record::Record;
use super::service::IngestWork;
use crate::calls::CallSheet;
use domain::audit::ResultStatus;
use domain::document::{Document, DocumentFailure, FailureCode, NewChunk, StatusChange};
use domain::ids::{DocumentId, TenantId};
use domain::model_call::ModelCaller;
use domain::ports::{BlobError, Embedder, LeasedJob};
use domain::role::Classification;
use domain::tenant::TenantSettings;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A document read and embedded, ready to be published.
pub(super) struct Made {
    title: Option<String>,
    page_count: Option<i32>,
    /// The model that embedded them.
    pub(super) model: String,
    pub(super) chunks: Vec<NewChunk>,
    warnings: Vec<String>,
}

/// A document being processed, the open record of it, and what it is embedded with.
type TakenUp = (Document, Record, EmbedWith);

/// What a document is embedded with.
pub(super) struct EmbedWith {
    /// The model.
    pub(super) embedder: Arc<dyn Embedder>,
    /// On whose behalf it is called.
    pub(super) caller: ModelCaller,
    /// Where the calls are noted.
    pub(super) models: CallSheet,
}

/// Reads how a document is classified at this moment.
#[derive(Clone, Copy)]
pub(super) struct ClassNow<'a> {
    work: &'a IngestWork,
    job: &'a LeasedJob,
    document: DocumentId,
}

impl ClassNow<'_> {
    /// The class, where `embedder` may see it. A document that is gone fails at being published.
    pub(super) async fn for_model(
        &self,
        embedder: &dyn Embedder,
        caller: &ModelCaller,
    ) -> Result<Classification, Trouble> {
        let mut tx = self.work.ports.store.begin(&self.job.scope).await.map_err(RetryLater::from)?;
        let classes = tx.documents().classes(&[self.document]).await.map_err(RetryLater::from)?;
        let class = classes.first().map_or(Classification::Restricted, |(_, class)| *class);
        if class > embedder.highest_classification(caller) { Err(above_the_model(class).into()) } else { Ok(class) }
    }
}

/// Why a document was not made.
pub(super) enum Trouble {
    /// It never will be.
    Document(DocumentFailure),
    /// Something else failed.
    Later(RetryLater),
    /// The worker went away.
    Stopped,
}

impl From<RetryLater> for Trouble {
    fn from(later: RetryLater) -> Self {
        Self::Later(later)
    }
}

impl From<DocumentFailure> for Trouble {
    fn from(failure: DocumentFailure) -> Self {
        Self::Document(failure)
    }
}

impl From<ParseError> for Trouble {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Document(failure) => Self::Document(failure),
            ParseError::Bytes(error) => lost(&error),
            ParseError::Unavailable { reason, counts } => Self::Later(RetryLater { reason, counts }),
        }
    }
}

impl IngestWork {
    /// Ingests a document. See [`super::accept::Ingest::process`].
    pub(super) async fn ingest(
        self: &Arc<Self>,
        job: &LeasedJob,
        document: DocumentId,
        worker_left: &CancellationToken,
    ) -> Result<JobEnd, RetryLater> {
        let Some((document, record, with)) = self.take_up(job, document).await? else {
            return Ok(JobEnd::Superseded);
        };
        if job.attempt > job.max_attempts {
            return self.dead_letter(job, &record, None).await;
        }
        let making = self.make(job, &document, &with);
        let made = worker_left.run_until_cancelled(making).await.unwrap_or(Err(Trouble::Stopped));
        let (ended, status, reason) = match made {
            Ok(made) => (self.publish(job, &record, made).await, ResultStatus::Error, "store"),
            Err(Trouble::Document(failure)) => {
                (self.give_up(job, &record, failure).await, ResultStatus::Error, "store")
            }
            Err(Trouble::Later(later)) => (Err(later), ResultStatus::Error, "dependency_down"),
            Err(Trouble::Stopped) => (Err(stopped()), ResultStatus::Cancelled, "worker_left"),
        };
        match &ended {
            Ok(JobEnd::Superseded) => self.close(&record, ResultStatus::Cancelled, "superseded").await,
            Ok(_) => {}
            Err(later) if later.counts && job.attempt == job.max_attempts => {
                return self.dead_letter(job, &record, Some(&later.reason)).await;
            }
            Err(_) => self.close(&record, status, reason).await,
        }
        ended
    }

    /// Marks the document as being processed and records the intent; `None` where the lease is lost or the document gone.
    async fn take_up(&self, job: &LeasedJob, id: DocumentId) -> Result<Option<TakenUp>, RetryLater> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().holds(job.lease).await? {
            return Ok(None);
        }
        let Some(document) = tx.documents().get(id, Classification::Restricted).await? else {
            return Ok(None);
        };
        if !tx.documents().advance(document.id, &StatusChange::Processing, now).await? {
            return Ok(None);
        }
        let record = Record::open(&mut *tx, job, id, (self.audit_id(), now)).await?;
        let in_use = tx.chunks().model_in_use().await?;
        let settings = tx.users().settings().await?;
        tx.commit().await?;
        let embedder = Arc::clone(self.ports.embedders.for_tenant(in_use.as_deref()));
        let with = EmbedWith { embedder, caller: caller(job, &settings), models: record.models.clone() };
        Ok(Some((document, record, with)))
    }

    /// Reads, cuts and embeds a document.
    pub(super) async fn make(&self, job: &LeasedJob, document: &Document, with: &EmbedWith) -> Result<Made, Trouble> {
        let EmbedWith { embedder, caller, models } = with;
        let class = ClassNow { work: self, job, document: document.id };
        class.for_model(&**embedder, caller).await?;
        let mut reporter = Reporter::new(self, job, document.id);
        let file = self.file(job.scope.tenant(), document).await?;
        let reading = Reading {
            parser: Arc::clone(&self.parser),
            chunk_time: self.settings.chunk_limit,
            ocr: self.settings.ocr.clone(),
            chunks: chunk_params(&embedder.model(), self.settings.chunking),
            embedder: Arc::clone(embedder),
        };
        let (pages, seen) = watch::channel(0);
        let (read, chunks) = reporter.while_reading(seen, reading.run(file, &pages)).await?;
        reporter.read(read.page_count, chunks.len()).await;
        let embedding = Embedding {
            embedder: &**embedder,
            models,
            caller: *caller,
            class,
            ids: &*self.ports.ids,
            title: read.title.as_deref().unwrap_or(&document.title),
            batch: self.settings.embed_batch,
        };
        let chunks = embedding.run(chunks, &mut reporter).await?;
        Ok(Made {
            warnings: read.warnings.iter().map(ToString::to_string).collect(),
            page_count: read.page_count.map(|count| i32::try_from(count).unwrap_or(i32::MAX)),
            title: read.title,
            model: embedder.model().name,
            chunks,
        })
    }

    /// The document's file, its bytes still in the storage.
    async fn file(&self, tenant: TenantId, document: &Document) -> Result<SourceFile, Trouble> {
        let most = self.settings.max_upload_bytes;
        let size = u64::try_from(document.file_size_bytes).unwrap_or_default();
        if size > most {
            return Err(Trouble::Document(DocumentFailure {
                code: FailureCode::TooLarge,
                detail: format!("The file is larger than the {} MiB that are allowed by now.", most >> 20),
            }));
        }
        let opened = self.ports.blobs.open(tenant, &document.storage_path, None).await;
        let bytes = opened.map_err(|error| lost(&error))?;
        Ok(SourceFile { name: document.filename.clone(), size, bytes })
    }

    /// Passages, state, job and outcome in one transaction; nothing where the lease is lost or the document gone.
    async fn publish(self: &Arc<Self>, job: &LeasedJob, record: &Record, made: Made) -> Result<JobEnd, RetryLater> {
        let now = self.ports.clock.now();
        let count = i32::try_from(made.chunks.len()).unwrap_or(i32::MAX);
        let facts = json!({"pages": made.page_count, "chunks": count, "warnings": made.warnings});
        let ready = StatusChange::Ready {
            title: made.title,
            page_count: made.page_count,
            chunk_count: count,
            warnings: made.warnings,
        };
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().complete(job.lease).await? || !tx.documents().advance(record.document, &ready, now).await? {
            return Ok(JobEnd::Superseded);
        }
        let in_use = tx.chunks().lock_model_in_use().await?;
        if self.ports.embedders.for_tenant(in_use.as_deref()).model().name != made.model {
            let reason = "the tenant changed over to the next embedding model meanwhile".to_owned();
            return Err(RetryLater { reason, counts: false });
        }
        tx.chunks().replace(record.document, &made.model, &made.chunks, now).await?;
        record.outcome(&mut *tx, self.audit_id(), now, (ResultStatus::Success, facts)).await?;
        tx.commit().await?;
        Ok(JobEnd::Ready)
    }

    /// Failure, job and outcome in one transaction; nothing where the lease is lost or the document gone.
    async fn give_up(
        self: &Arc<Self>,
        job: &LeasedJob,
        record: &Record,
        failure: DocumentFailure,
    ) -> Result<JobEnd, RetryLater> {
        let now = self.ports.clock.now();
        let facts = json!({"code": failure.code});
        let failed = StatusChange::Failed(failure);
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().complete(job.lease).await? || !tx.documents().advance(record.document, &failed, now).await? {
            return Ok(JobEnd::Superseded);
        }
        record.outcome(&mut *tx, self.audit_id(), now, (ResultStatus::Error, facts)).await?;
        tx.commit().await?;
        Ok(JobEnd::Failed)
    }

    /// Failure, dead job and outcome in one transaction; nothing where the lease is lost or the document gone.
    async fn dead_letter(
        self: &Arc<Self>,
        job: &LeasedJob,
        record: &Record,
        reason: Option<&str>,
    ) -> Result<JobEnd, RetryLater> {
        let now = self.ports.clock.now();
        let failed = StatusChange::Failed(too_often(job));
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().dead_letter(job.lease, reason, now).await?
            || !tx.documents().advance(record.document, &failed, now).await?
        {
            drop(tx);
            self.close(record, ResultStatus::Cancelled, "superseded").await;
            return Ok(JobEnd::Superseded);
        }
        let facts = json!({"code": FailureCode::Timeout, "dead": true});
        record.outcome(&mut *tx, self.audit_id(), now, (ResultStatus::Error, facts)).await?;
        tx.commit().await?;
        Ok(JobEnd::Dead)
    }
}

/// On whose behalf a job's models are called.
pub(super) fn caller(job: &LeasedJob, settings: &TenantSettings) -> ModelCaller {
    ModelCaller { tenant: job.scope.tenant(), user: job.scope.user(), cloud_limit: settings.cloud_limit() }
}

/// The failure of a document that no configured embedding model may see.
fn above_the_model(classification: Classification) -> DocumentFailure {
    DocumentFailure {
        code: FailureCode::Unsupported,
        detail: format!(
            "The document is {classification}, which is above what the embedding model may see. Have it embedded on the \
             platform's own premises, or classify it lower if that is right, and process it again."
        ),
    }
}

/// The failure of a document whose job was given up: it was tried as often as is allowed, and each time its worker died,
/// ran out of time or met a defect.
fn too_often(job: &LeasedJob) -> DocumentFailure {
    DocumentFailure {
        code: FailureCode::Timeout,
        detail: format!(
            "The file could not be processed in {} attempts. Split it, or save it anew, and upload it again.",
            job.max_attempts
        ),
    }
}

pub(super) fn stopped() -> RetryLater {
    RetryLater { reason: "the worker went away".to_owned(), counts: false }
}

/// A file that is not there never will be; storage that fails may come back.
fn lost(error: &BlobError) -> Trouble {
    match error {
        BlobError::Missing { .. } => Trouble::Document(DocumentFailure {
            code: FailureCode::Corrupt,
            detail: "The stored file is gone. Delete the document and upload it again.".to_owned(),
        }),
        other => Trouble::Later(RetryLater { reason: other.to_string(), counts: false }),
    }
}
