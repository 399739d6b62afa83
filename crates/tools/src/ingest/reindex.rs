//! Reindexing: embeds a tenant's documents with the next model, or with the one of its language, while searches still
//! use the current one. Once all documents have chunks of that model, searches switch to it.
//!
//! A document that can no longer be read blocks the switch, because it would disappear from search results. The job is
//! then dead-lettered with the number of such documents; the audit log lists them. After they have been deleted or
//! ingested again (a document whose ingestion fails is removed from search), the job can be queued again and continues
//! where it stopped.

use super::attempt_record::AttemptRecord;
use super::failure::{ProcessError, worker_stopped};
use super::inner::IngestInner;
use super::interface::{JobOutcome, RetryLater};
use super::pipeline::{EmbedContext, ProcessedDocument, model_caller};
use domain::audit::ResultStatus;
use domain::ids::DocumentId;
use domain::ports::{Embedder, LeasedJob, StoreError};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::space::spaces_of_tenant;
use serde_json::json;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Seconds after which the job yields and goes back to the queue, so that other jobs of the tenant can run.
const MAX_SECONDS_PER_CLAIM: i64 = 60;

/// Result of reindexing one document.
enum ReindexResult {
    /// The document has chunks for the next model.
    Staged,
    /// The document was deleted.
    Deleted,
    /// The document can no longer be read.
    Unreadable,
    /// This worker lost the lease.
    LeaseLost,
}

/// A document to reindex, with the job in the document's space.
struct UnstagedDocument {
    job: LeasedJob,
    document: DocumentId,
}

impl IngestInner {
    /// Embeds a tenant's documents with the model it is migrated to, one by one; see
    /// [`super::interface::Ingest::process`].
    pub(super) async fn reindex(
        self: &Arc<Self>,
        job: &LeasedJob,
        cancellation: &CancellationToken,
    ) -> Result<JobOutcome, RetryLater> {
        if self.ports.embedders.is_single() {
            return self.finish(job, None, 0).await;
        }
        let mut tx = self.ports.store.begin(&job.scope).await?;
        let settings = tx.users().tenant_settings().await?;
        tx.commit().await?;
        let next = Arc::clone(self.ports.embedders.target(settings.language.as_deref()));
        let model = next.model().name;
        let started = self.ports.clock.now();
        let (mut unreadable, mut unreadable_at_home): (Vec<DocumentId>, usize) = (Vec::new(), 0);
        let spaces = spaces_of_tenant(&*self.ports.store, &job.scope).await?;
        while let Some(unstaged) = self.next_unstaged(job, &spaces, &model, &unreadable).await? {
            match self.reindex_document(&unstaged.job, unstaged.document, &next, cancellation).await? {
                ReindexResult::LeaseLost => return Ok(JobOutcome::Stale),
                ReindexResult::Unreadable => {
                    unreadable_at_home += usize::from(unstaged.job.scope.team().is_none());
                    unreadable.push(unstaged.document);
                }
                // Yield only after a success: each claim tries the unreadable documents again first, so yielding after
                // those would never make progress.
                ReindexResult::Staged if (self.ports.clock.now() - started).num_seconds() >= MAX_SECONDS_PER_CLAIM => {
                    return Ok(JobOutcome::Unfinished);
                }
                ReindexResult::Staged | ReindexResult::Deleted => {}
            }
        }
        // Otherwise the tenant keeps its current model, and so do its teams.
        if unreadable_at_home == 0 {
            self.switch_teams(&spaces, &model).await?;
        }
        self.finish(job, Some(&model), unreadable_at_home).await
    }

    /// The oldest document of the first space that has one without chunks of `model` which is not in `excluded`.
    async fn next_unstaged(
        &self,
        job: &LeasedJob,
        spaces: &[TenantScope],
        model: &str,
        excluded: &[DocumentId],
    ) -> Result<Option<UnstagedDocument>, StoreError> {
        let limit = u32::try_from(excluded.len()).unwrap_or(u32::MAX).saturating_add(1);
        for scope in spaces {
            let mut tx = self.ports.store.begin(scope).await?;
            let unstaged = tx.chunks().list_unstaged(model, limit).await?;
            if let Some(document) = unstaged.into_iter().find(|id| !excluded.contains(id)) {
                return Ok(Some(UnstagedDocument { job: LeasedJob { scope: scope.clone(), ..job.clone() }, document }));
            }
        }
        Ok(None)
    }

    /// Switches the searches of the tenant's teams to `model`, before the home space. In between, and in a team with a
    /// document that can no longer be read, they are searched by word alone.
    async fn switch_teams(&self, spaces: &[TenantScope], model: &str) -> Result<(), StoreError> {
        for scope in spaces.iter().filter(|scope| scope.team().is_some()) {
            let mut tx = self.ports.store.begin(scope).await?;
            if tx.chunks().switch_model(model, self.ports.clock.now()).await? == 0 {
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Reads, embeds and stages one document, with its own audit intent and outcome.
    async fn reindex_document(
        self: &Arc<Self>,
        job: &LeasedJob,
        id: DocumentId,
        next: &Arc<dyn Embedder>,
        cancellation: &CancellationToken,
    ) -> Result<ReindexResult, RetryLater> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().holds_lease(job.lease).await? {
            return Ok(ReindexResult::LeaseLost);
        }
        let Some(document) = tx.documents().get(id, Classification::Restricted).await? else {
            return Ok(ReindexResult::Deleted);
        };
        let record = AttemptRecord::record_intent(&mut *tx, job, id, self.audit_id(), now).await?;
        let settings = tx.users().tenant_settings().await?;
        tx.commit().await?;
        let (embedder, model_call_recorder) = (Arc::clone(next), record.model_call_recorder.clone());
        let context = EmbedContext { embedder, caller: model_caller(job, &settings), model_call_recorder };
        let processed = cancellation.run_until_cancelled(self.process_document(job, &document, &context)).await;
        let staged = match processed.unwrap_or(Err(ProcessError::Cancelled)) {
            Ok(processed) => self.stage(job, &record, processed).await.map_err(ProcessError::Retry),
            Err(error) => Err(error),
        };
        let (outcome, status, reason) = match staged {
            Ok(ReindexResult::Staged) => return Ok(ReindexResult::Staged),
            Ok(outcome) => (Ok(outcome), ResultStatus::Cancelled, "superseded"),
            Err(ProcessError::Document(_)) => (Ok(ReindexResult::Unreadable), ResultStatus::Error, "unreadable"),
            Err(ProcessError::Retry(retry)) => (Err(retry), ResultStatus::Error, "dependency_down"),
            Err(ProcessError::Cancelled) => (Err(worker_stopped()), ResultStatus::Cancelled, "worker_left"),
        };
        self.close_attempt(&record, status, reason).await;
        outcome
    }

    /// Writes the new chunks and the audit outcome in one transaction. Writes nothing if the lease is lost or the
    /// document was deleted.
    async fn stage(
        &self,
        job: &LeasedJob,
        record: &AttemptRecord,
        processed: ProcessedDocument,
    ) -> Result<ReindexResult, RetryLater> {
        let now = self.ports.clock.now();
        let metadata = json!({"model": processed.model, "chunks": processed.chunks.len()});
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().holds_lease(job.lease).await? {
            return Ok(ReindexResult::LeaseLost);
        }
        match tx.chunks().stage(record.document, &processed.model, &processed.chunks, now).await {
            Err(StoreError::Conflict { .. }) => return Ok(ReindexResult::Deleted),
            staged => staged?,
        }
        record.record_outcome(&mut *tx, self.audit_id(), now, ResultStatus::Success, metadata).await?;
        tx.commit().await?;
        Ok(ReindexResult::Staged)
    }

    /// Switches the tenant's searches to `model` and ends the job, in one transaction. If documents still lack chunks
    /// of `model`, the job continues, or is dead-lettered if all of them are unreadable. `model` is `None` if
    /// all tenants use the same model.
    async fn finish(&self, job: &LeasedJob, model: Option<&str>, unreadable: usize) -> Result<JobOutcome, RetryLater> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(&job.scope).await?;
        let missing = match model {
            Some(_) if !tx.jobs().holds_lease(job.lease).await? => return Ok(JobOutcome::Stale),
            Some(model) => tx.chunks().switch_model(model, now).await?,
            None => 0,
        };
        if missing > unreadable {
            // Documents were ingested with the current model in the meantime.
            return Ok(JobOutcome::Unfinished);
        }
        let reason =
            format!("{missing} documents can no longer be read; delete or reprocess them, then queue this job again");
        let outcome = match missing {
            0 => tx.jobs().complete(job.lease).await?.then_some(JobOutcome::Done),
            _ => tx.jobs().dead_letter(job.lease, Some(&reason), now).await?.then_some(JobOutcome::DeadLettered),
        };
        if outcome.is_some() {
            tx.commit().await?;
        }
        Ok(outcome.unwrap_or(JobOutcome::Stale))
    }
}
