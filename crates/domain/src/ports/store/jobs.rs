//! Background jobs: queued in the transaction of the state change that requires them, claimed with a lease, completed
//! exactly once.

use crate::channel::DeliveryBacklog;
use crate::ids::{DocumentId, JobId};
use crate::plant::PlantMode;
use crate::role::string_enum;
use crate::scope::TenantScope;
use crate::store_error::StoreError;
use crate::time::Timestamp;
use async_trait::async_trait;
use std::time::Duration;

string_enum! {
    /// Kinds of background work.
    JobKind {
        /// Ingestion of a document: extract, embed and publish it.
        Ingestion = "ingestion",
        /// Building of a tenant's vector index.
        VectorIndex = "vector_index",
        /// Reindexing: embedding a tenant's documents again with the next model.
        Reindex = "reindex",
        /// Expiry, escalation and execution of a tenant's approvals.
        Approvals = "approvals",
        /// Delivery of a tenant's messages to its channels.
        Deliveries = "deliveries",
    }
}

/// The work of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobPayload {
    /// Extracts, embeds and publishes a document.
    Ingest(DocumentId),
    /// Builds the tenant's vector index if it is missing and the tenant has enough passages, and drops indexes of
    /// models that are no longer used.
    UpdateVectorIndexes,
    /// Embeds the tenant's documents again with the next model.
    Reindex,
    /// Expires and escalates the tenant's approvals, executes approved writes, and tells requesters the outcome.
    ProcessApprovals,
    /// Delivers the tenant's messages to its channels.
    DeliverMessages,
}

impl JobPayload {
    /// Kind of the job that does this work.
    #[must_use]
    pub const fn kind(self) -> JobKind {
        match self {
            Self::Ingest(_) => JobKind::Ingestion,
            Self::UpdateVectorIndexes => JobKind::VectorIndex,
            Self::Reindex => JobKind::Reindex,
            Self::ProcessApprovals => JobKind::Approvals,
            Self::DeliverMessages => JobKind::Deliveries,
        }
    }

    /// The document to process; `None` for work on a whole tenant.
    #[must_use]
    pub const fn document(self) -> Option<DocumentId> {
        match self {
            Self::Ingest(document) => Some(document),
            Self::UpdateVectorIndexes | Self::Reindex | Self::ProcessApprovals | Self::DeliverMessages => None,
        }
    }
}

/// The exclusive right to work on a job until it expires. The token changes with each claim, so a worker whose expired
/// lease was taken over can no longer complete the job (fencing).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Id of the claimed job.
    pub job: JobId,
    /// Fencing token: the number of claims of this job.
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
    pub payload: JobPayload,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Maximum number of attempts. If `attempt` exceeds it, the worker must dead-letter the job without trying again.
    pub max_attempts: u32,
    /// How often it was requeued with a reason since it was queued, including attempts that did not count.
    pub failures: u32,
    /// The span that queued it, as a W3C `traceparent`; `None` if that was not traced.
    pub traceparent: Option<String>,
}

/// Filter for the jobs that a worker claims.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFilter {
    /// Only these kinds.
    pub kinds: Vec<JobKind>,
    /// Skips jobs whose document is larger than this.
    pub max_document_bytes: Option<u64>,
}

impl JobFilter {
    /// Matches every job that is due.
    #[must_use]
    pub fn any() -> Self {
        Self { kinds: JobKind::ALL.to_vec(), max_document_bytes: None }
    }
}

/// How a job is returned to the queue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequeueOptions {
    /// Delay until it may be claimed again; zero wakes a waiting worker at once.
    pub delay: Duration,
    /// Whether the attempt counts towards the maximum; `false` if a graceful shutdown or a model outage ended it.
    pub counts_as_attempt: bool,
    /// Reason without content, stored as the job's last error; `None` if nothing failed.
    pub reason: Option<String>,
}

/// Size of the queue, over all tenants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueDepth {
    /// Number of jobs that could be claimed now.
    pub due: u64,
    /// Number of jobs with a current lease.
    pub leased: u64,
    /// Number of dead-lettered jobs, which need a person's attention.
    pub dead: u64,
    /// Seconds since the oldest due job became due; 0 if none is due.
    pub oldest_due_age_s: u64,
}

/// Number of active tenants in one plant mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlantModeCount {
    /// The mode in force.
    pub mode: PlantMode,
    /// Number of active tenants in this mode; those for which none was set are in the mode `normal`.
    pub tenants: u64,
}

/// Numbers of jobs of one kind, over all tenants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JobCounts {
    /// Number of jobs that are queued, delayed or leased.
    pub pending: u64,
    /// Number of dead-lettered jobs, which need a person's attention.
    pub dead: u64,
}

/// Jobs of one tenant, within its transaction.
#[async_trait]
pub trait JobRepo: Send {
    /// Queues the ingestion of a document; a worker is woken when the transaction commits. Does nothing if the document
    /// is already queued or being processed. A dead-lettered job is queued again with all its attempts.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the tenant has no such document; or if the database is not available.
    async fn enqueue_ingestion(&mut self, id: JobId, document: DocumentId, now: Timestamp) -> Result<(), StoreError>;

    /// Queues the building of the tenant's vector index, with the same rules as [`Self::enqueue_ingestion`]; a tenant
    /// has at most one such job.
    ///
    /// # Errors
    /// If the database is not available.
    async fn enqueue_vector_index(&mut self, id: JobId, now: Timestamp) -> Result<(), StoreError>;

    /// Queues the processing of the tenant's approvals, with the same rules as [`Self::enqueue_vector_index`]. If such
    /// a job is being completed at the moment, waits until that is committed, and queues a new one. One that waits for
    /// another attempt is due at once, with the attempts that it has left.
    ///
    /// # Errors
    /// If the database is not available.
    async fn enqueue_approvals(&mut self, id: JobId, now: Timestamp) -> Result<(), StoreError>;

    /// Queues the delivery of the tenant's messages, with the same rules as [`Self::enqueue_vector_index`]. If such a
    /// job is being completed at the moment, waits until that is committed, and queues a new one.
    ///
    /// # Errors
    /// If the database is not available.
    async fn enqueue_deliveries(&mut self, id: JobId, now: Timestamp) -> Result<(), StoreError>;

    /// Whether no other worker has claimed the job since this lease was granted; also `true` for an expired lease. If
    /// `true`, no other worker can claim the job until the transaction ends.
    ///
    /// # Errors
    /// If the database is not available.
    async fn holds_lease(&mut self, lease: Lease) -> Result<bool, StoreError>;

    /// Removes a finished job; `false` if the lease was lost, in which case the transaction must not be committed.
    ///
    /// # Errors
    /// If the database is not available.
    async fn complete(&mut self, lease: Lease) -> Result<bool, StoreError>;

    /// Moves a job to the dead-letter state: it is kept for inspection and not claimed until it is queued again.
    /// `reason` contains no content; `None` keeps the reason of the last requeue. Returns `false` if the lease was
    /// lost, in which case the transaction must not be committed.
    ///
    /// # Errors
    /// If the database is not available.
    async fn dead_letter(&mut self, lease: Lease, reason: Option<&str>, now: Timestamp) -> Result<bool, StoreError>;
}

/// The queue across tenants, accessed with a database role that sees ids but no content.
///
/// Fair scheduling: among the tenants with due jobs, the one with the fewest leased jobs is served, and among equals
/// the one served longest ago. Within a tenant small documents go first, but a document waits only for smaller ones
/// that were queued at most ten minutes after it. Inactive tenants are not served.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Claims the next due job that matches `filter`, if any. Skips jobs with a current lease and takes over those
    /// whose lease has expired.
    ///
    /// # Errors
    /// If the database is not available.
    async fn claim(&self, filter: &JobFilter, lease_duration: Duration) -> Result<Option<LeasedJob>, StoreError>;

    /// Extends a lease; `false` if it was lost or its tenant was deactivated.
    ///
    /// # Errors
    /// If the database is not available.
    async fn heartbeat(&self, lease: Lease, lease_duration: Duration) -> Result<bool, StoreError>;

    /// Returns a job to the queue for another attempt. Work on a whole tenant is dead-lettered instead once its
    /// attempts are used up; a document's job is dead-lettered by the code that marks the document as failed. Does
    /// nothing if the lease was lost.
    ///
    /// # Errors
    /// If the database is not available.
    async fn requeue(&self, lease: Lease, options: &RequeueOptions) -> Result<(), StoreError>;

    /// Does the work of a [`JobPayload::UpdateVectorIndexes`] job and removes the job; `false` if the lease was lost.
    /// For a large tenant this takes minutes and blocks writes to the tenant's passages.
    ///
    /// # Errors
    /// If the database is not available.
    async fn update_vector_indexes(&self, lease: Lease) -> Result<bool, StoreError>;

    /// Waits until a job may be available: for a notification, or at most `timeout`.
    async fn wait_for_job(&self, timeout: Duration);

    /// The current size of the queue, over all tenants.
    ///
    /// # Errors
    /// If the database is not available.
    async fn depth(&self) -> Result<QueueDepth, StoreError>;

    /// How many active tenants are in each plant mode; modes without a tenant are left out.
    ///
    /// # Errors
    /// If the database is not available.
    async fn plant_modes(&self) -> Result<Vec<PlantModeCount>, StoreError>;

    /// Numbers of pending and dead-lettered jobs of a kind.
    ///
    /// # Errors
    /// If the database is not available.
    async fn job_counts(&self, kind: JobKind) -> Result<JobCounts, StoreError>;

    /// Deletes the expired idempotency keys of all tenants, with their stored responses. Returns how many.
    ///
    /// # Errors
    /// If the database is not available.
    async fn sweep_expired_idempotency_keys(&self) -> Result<u64, StoreError>;

    /// Deletes the ended sessions of all tenants. Revoked ones are kept for another 90 days, so that a client that
    /// renews its tokens stays locked out. Returns how many were deleted.
    ///
    /// # Errors
    /// If the database is not available.
    async fn sweep_ended_sessions(&self) -> Result<u64, StoreError>;

    /// The spaces of up to 20 deleted teams whose content is to go, for work as the worker. They are found again until
    /// the teams are gone.
    ///
    /// # Errors
    /// If the database is not available.
    async fn expired_teams(&self) -> Result<Vec<TenantScope>, StoreError>;

    /// Queues the processing of approvals for each active tenant that has approvals to expire, to escalate, to execute
    /// or to report; returns the number of queued jobs.
    ///
    /// # Errors
    /// If the database is not available.
    async fn enqueue_due_approvals(&self) -> Result<u64, StoreError>;

    /// Queues the delivery of messages for each active tenant that has due ones; returns the number of queued jobs.
    ///
    /// # Errors
    /// If the database is not available.
    async fn enqueue_due_deliveries(&self) -> Result<u64, StoreError>;

    /// Size of the outbox of messages to channels, over all tenants.
    ///
    /// # Errors
    /// If the database is not available.
    async fn delivery_backlog(&self) -> Result<DeliveryBacklog, StoreError>;

    /// Queues a reindex job for each active tenant that has none; returns the number of queued jobs.
    ///
    /// # Errors
    /// If the database is not available.
    async fn enqueue_reindex(&self) -> Result<u64, StoreError>;

    /// Queues the ingestion of every `ready` document of an active tenant that has no vectors of any of these models;
    /// returns how many.
    ///
    /// # Errors
    /// If the database is not available.
    async fn requeue_documents_embedded_by_other_models(&self, models: &[String]) -> Result<u64, StoreError>;
}
