//! From one embedding model to the next: a tenant's documents are read and embedded anew beside what is searched, and
//! when none is missing, searches change over at once.
//!
//! A document that cannot be read any more holds the change back: what its old passages answer today must not vanish
//! because a file did. The job is then given up, with how many there are; the audit log names each. Once they are deleted
//! or ingested again (a document that fails at that leaves the search by itself), the job is queued again and goes on
//! where it ended.

use super::accept::{JobEnd, RetryLater};
use super::pipeline::{EmbedWith, Made, Trouble, caller, stopped};
use super::record::Record;
use super::service::IngestWork;
use domain::audit::ResultStatus;
use domain::ids::DocumentId;
use domain::ports::{Embedder, LeasedJob, StoreError};
use domain::role::Classification;
use serde_json::json;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// After so many seconds the rest is left to a later claim, so that other work of the tenant has its turn.
const TURN_S: i64 = 60;

/// What became of one document.
enum Anew {
    /// It has passages by the next model.
    Staged,
    /// It was deleted.
    Gone,
    /// It cannot be read any more.
    Unreadable,
    /// The lease is lost.
    Superseded,
}

impl IngestWork {
    /// Embeds a tenant's documents with the next model, one after the other. See [`super::accept::Ingest::process`].
    pub(super) async fn reindex(
        self: &Arc<Self>,
        job: &LeasedJob,
        worker_left: &CancellationToken,
    ) -> Result<JobEnd, RetryLater> {
        let Some(next) = self.ports.embedders.next.clone() else {
            return self.finish(job, None, 0).await;
        };
        let model = next.model().name;
        let began = self.ports.clock.now();
        let mut unreadable: Vec<DocumentId> = Vec::new();
        while let Some(id) = self.next_unstaged(job, &model, &unreadable).await? {
            match self.anew(job, id, &next, worker_left).await? {
                Anew::Superseded => return Ok(JobEnd::Superseded),
                Anew::Unreadable => unreadable.push(id),
                // Only after a success: those that cannot be read come first at each claim.
                Anew::Staged if (self.ports.clock.now() - began).num_seconds() >= TURN_S => {
                    return Ok(JobEnd::Unfinished);
                }
                Anew::Staged | Anew::Gone => {}
            }
        }
        self.finish(job, Some(&model), unreadable.len()).await
    }

    /// The oldest document without passages of `model`, those in `except` left aside.
    async fn next_unstaged(
        &self,
        job: &LeasedJob,
        model: &str,
        except: &[DocumentId],
    ) -> Result<Option<DocumentId>, StoreError> {
        let limit = u32::try_from(except.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut tx = self.ports.store.begin(&job.scope).await?;
        let unstaged = tx.chunks().unstaged(model, limit).await?;
        Ok(unstaged.into_iter().find(|id| !except.contains(id)))
    }

    /// Reads and embeds one document anew, between an intent and an outcome of its own.
    async fn anew(
        self: &Arc<Self>,
        job: &LeasedJob,
        id: DocumentId,
        next: &Arc<dyn Embedder>,
        worker_left: &CancellationToken,
    ) -> Result<Anew, RetryLater> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().holds(job.lease).await? {
            return Ok(Anew::Superseded);
        }
        let Some(document) = tx.documents().get(id, Classification::Restricted).await? else {
            return Ok(Anew::Gone);
        };
        let record = Record::open(&mut *tx, job, id, (self.audit_id(), now)).await?;
        let settings = tx.users().settings().await?;
        tx.commit().await?;
        let (embedder, models) = (Arc::clone(next), record.models.clone());
        let with = EmbedWith { embedder, caller: caller(job, &settings), models };
        let made = worker_left.run_until_cancelled(self.make(job, &document, &with)).await;
        let staged = match made.unwrap_or(Err(Trouble::Stopped)) {
            Ok(made) => self.stage(job, &record, made).await.map_err(Trouble::Later),
            Err(trouble) => Err(trouble),
        };
        let (ended, status, reason) = match staged {
            Ok(Anew::Staged) => return Ok(Anew::Staged),
            Ok(ended) => (Ok(ended), ResultStatus::Cancelled, "superseded"),
            Err(Trouble::Document(_)) => (Ok(Anew::Unreadable), ResultStatus::Error, "unreadable"),
            Err(Trouble::Later(later)) => (Err(later), ResultStatus::Error, "dependency_down"),
            Err(Trouble::Stopped) => (Err(stopped()), ResultStatus::Cancelled, "worker_left"),
        };
        self.close(&record, status, reason).await;
        ended
    }

    /// Passages and outcome in one transaction; nothing where the lease is lost or the document gone.
    async fn stage(&self, job: &LeasedJob, record: &Record, made: Made) -> Result<Anew, RetryLater> {
        let now = self.ports.clock.now();
        let facts = json!({"model": made.model, "chunks": made.chunks.len()});
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().holds(job.lease).await? {
            return Ok(Anew::Superseded);
        }
        match tx.chunks().stage(record.document, &made.model, &made.chunks, now).await {
            Err(StoreError::Conflict { .. }) => return Ok(Anew::Gone),
            staged => staged?,
        }
        record.outcome(&mut *tx, self.audit_id(), now, (ResultStatus::Success, facts)).await?;
        tx.commit().await?;
        Ok(Anew::Staged)
    }

    /// Changes the tenant's searches over to `model` and ends the job, in one transaction.
    async fn finish(&self, job: &LeasedJob, model: Option<&str>, unreadable: usize) -> Result<JobEnd, RetryLater> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(&job.scope).await?;
        let missing = match model {
            Some(_) if !tx.jobs().holds(job.lease).await? => return Ok(JobEnd::Superseded),
            Some(model) => tx.chunks().switch_to(model, now).await?,
            None => 0,
        };
        if missing > unreadable {
            // Published in the meantime.
            return Ok(JobEnd::Unfinished);
        }
        let reason =
            format!("{missing} documents cannot be read any more; delete or reprocess them, then queue this again");
        let ended = match missing {
            0 => tx.jobs().complete(job.lease).await?.then_some(JobEnd::Done),
            _ => tx.jobs().dead_letter(job.lease, Some(&reason), now).await?.then_some(JobEnd::Dead),
        };
        if ended.is_some() {
            tx.commit().await?;
        }
        Ok(ended.unwrap_or(JobEnd::Superseded))
    }
}
