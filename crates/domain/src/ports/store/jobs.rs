//! Background work: queued with the state change that calls for it, claimed with a lease, done exactly once.

use crate::ids::{DocumentId, JobId};
use crate::role::string_enum;
use crate::scope::TenantScope;
use crate::store_error::StoreError;
use crate::time::Timestamp;
use async_trait::async_trait;
use std::time::Duration;

string_enum! {
    /// Kinds of background work.
    JobKind {
        /// A document is read, embedded and published.
        Ingestion = "ingestion",
        /// A tenant's vector index is built.
        VectorIndex = "vector_index",
        /// A tenant's documents are embedded anew with the next model.
        Reindex = "reindex",
    }
}

/// What a job is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Reads, embeds and publishes a document.
    Ingest(DocumentId),
    /// Builds the tenant's vector index.
    BuildVectorIndex,
    /// Embeds the tenant's documents anew with the next model.
    Reindex,
}

impl Work {
    /// Kind of the job that does this work.
    #[must_use]
    pub const fn kind(self) -> JobKind {
        match self {
            Self::Ingest(_) => JobKind::Ingestion,
            Self::BuildVectorIndex => JobKind::VectorIndex,
            Self::Reindex => JobKind::Reindex,
        }
    }

    /// The document that it is about; `None` for work on a whole tenant.
    #[must_use]
    pub const fn document(self) -> Option<DocumentId> {
        match self {
            Self::Ingest(document) => Some(document),
            Self::BuildVectorIndex | Self::Reindex => None,
        }
    }
}

/// The right to work on a job, until it expires. The token changes with each claim, so a worker that slept past its
/// lease can no longer finish the job (fencing).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Id of the claimed job.
    pub job: JobId,
    /// Counts the claims of this job.
    pub token: i64,
}

/// A claimed job with the scope that it runs in.
#[derive(Clone, PartialEq, Debug)]
pub struct LeasedJob {
    /// Lease of the job.
    pub lease: Lease,
    /// Scope of the job's tenant, with the worker as actor.
    pub scope: TenantScope,
    /// Work to do.
    pub work: Work,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts allowed. A job that is claimed once more must be dead-lettered, not tried.
    pub max_attempts: u32,
    /// How often it was put back with a reason since it was queued, attempts that did not count among them.
    pub failures: u32,
}

/// Which jobs a worker takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFilter {
    /// Only these kinds.
    pub kinds: Vec<JobKind>,
    /// Skips jobs about documents with more bytes.
    pub max_document_bytes: Option<u64>,
}

impl JobFilter {
    /// Any job that is due.
    #[must_use]
    pub fn any() -> Self {
        Self { kinds: JobKind::ALL.to_vec(), max_document_bytes: None }
    }
}

/// How a job is put back into the queue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Requeue {
    /// When it may be claimed again; without a delay a waiting worker is woken at once.
    pub delay: Duration,
    /// Whether the attempt is used up: an orderly shutdown or a model outage does not use one.
    pub counts: bool,
    /// Reason without content, stored as the job's last error; `None` if nothing failed.
    pub reason: Option<String>,
}

/// How much is queued, of all tenants together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueDepth {
    /// Jobs that a worker could take now.
    pub due: u64,
    /// Jobs that a worker holds a lease of.
    pub leased: u64,
    /// Dead-lettered jobs, waiting for a person.
    pub dead: u64,
    /// Seconds that the job longest due has waited; 0 where none is.
    pub oldest_due_s: u64,
}

/// Jobs of one kind, of all tenants together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JobCounts {
    /// Jobs that are queued, delayed or leased.
    pub pending: u64,
    /// Dead-lettered jobs, waiting for a person.
    pub dead: u64,
}

/// Jobs of one tenant, within its transaction.
#[async_trait]
pub trait JobRepo: Send {
    /// Queues the ingestion of a document and wakes a worker when the transaction commits. Changes nothing where the
    /// document is queued or in work already; brings a dead job back with all its attempts.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the tenant has no such document; where the database is not available.
    async fn enqueue_ingestion(&mut self, id: JobId, document: DocumentId, now: Timestamp) -> Result<(), StoreError>;

    /// Queues the building of the tenant's vector index, under the same rules: there is one such job at a time.
    ///
    /// # Errors
    /// If the database is not available.
    async fn enqueue_vector_index(&mut self, id: JobId, now: Timestamp) -> Result<(), StoreError>;

    /// Whether a lease is still its holder's. It stays so until the transaction ends: nobody claims the job meanwhile.
    ///
    /// # Errors
    /// If the database is not available.
    async fn holds(&mut self, lease: Lease) -> Result<bool, StoreError>;

    /// Removes a finished job; `false` where the lease is no longer the holder's: then nothing of this transaction
    /// may be committed.
    ///
    /// # Errors
    /// If the database is not available.
    async fn complete(&mut self, lease: Lease) -> Result<bool, StoreError>;

    /// Moves a job to the dead-letter state: it stays for a person to look at, and nobody claims it until it is queued
    /// again. `reason` has no content; `None` keeps the reason of the last requeue. `false` as for [`Self::complete`].
    ///
    /// # Errors
    /// If the database is not available.
    async fn dead_letter(&mut self, lease: Lease, reason: Option<&str>, now: Timestamp) -> Result<bool, StoreError>;
}

/// The queue across tenants, with a database role that sees ids and no content.
///
/// Fair: of the tenants with work that is due, the one with the fewest jobs in hand is served, and among equals the
/// one served longest ago. Within a tenant small documents go first, but a document waits for smaller ones that came
/// at most ten minutes after it. A tenant that is switched off is not served.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Claims the next due job of those wanted, if there is one: skips what others hold, takes over what expired.
    ///
    /// # Errors
    /// If the database is not available.
    async fn claim(&self, wanted: &JobFilter, lease_for: Duration) -> Result<Option<LeasedJob>, StoreError>;

    /// Extends a lease; `false` where it is lost, or its tenant was switched off.
    ///
    /// # Errors
    /// If the database is not available.
    async fn heartbeat(&self, lease: Lease, lease_for: Duration) -> Result<bool, StoreError>;

    /// Puts a job back, to be tried again; work on a whole tenant that has used its attempts up is given up instead (a
    /// document's job is dead-lettered by whoever marks the document as failed). Nothing happens where the lease is
    /// lost.
    ///
    /// # Errors
    /// If the database is not available.
    async fn requeue(&self, lease: Lease, how: &Requeue) -> Result<(), StoreError>;

    /// Builds the index over the passages of a [`Work::BuildVectorIndex`] job's tenant, if it is missing, and removes
    /// the job; `false` where the lease is lost. Takes minutes for a large tenant, and writing to that tenant's
    /// passages waits meanwhile.
    ///
    /// # Errors
    /// If the database is not available.
    async fn build_vector_index(&self, lease: Lease) -> Result<bool, StoreError>;

    /// Waits until a job may be available: for a notification, `at_most` that long.
    async fn wait(&self, at_most: Duration);

    /// How much is queued.
    ///
    /// # Errors
    /// If the database is not available.
    async fn depth(&self) -> Result<QueueDepth, StoreError>;

    /// How many jobs of a kind are still to be done, and how many were given up.
    ///
    /// # Errors
    /// If the database is not available.
    async fn job_counts(&self, kind: JobKind) -> Result<JobCounts, StoreError>;

    /// Removes what has expired, of all tenants: answers kept for repeated requests. Returns how many.
    ///
    /// # Errors
    /// If the database is not available.
    async fn sweep_expired(&self) -> Result<u64, StoreError>;

    /// Queues the embedding anew of each active tenant's documents; returns how many tenants were queued that were
    /// not already.
    ///
    /// # Errors
    /// If the database is not available.
    async fn enqueue_reindex(&self) -> Result<u64, StoreError>;

    /// Queues the ingestion of every `ready` document of an active tenant whose vectors are of none of these models;
    /// returns how many.
    ///
    /// # Errors
    /// If the database is not available.
    async fn requeue_documents_of_other_models(&self, models: &[String]) -> Result<u64, StoreError>;
}
