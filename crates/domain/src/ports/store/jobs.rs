//! Background work: queued with the state change that calls for it, claimed with a lease, done exactly once.

use super::StoreError;
use crate::ids::{DocumentId, JobId};
use crate::scope::TenantScope;
use crate::time::Timestamp;
use async_trait::async_trait;
use std::time::Duration;

/// The right to work on a job, until it expires. The token changes with each claim, so a worker that slept past its
/// lease can no longer finish the job (fencing).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Counts the claims of this job.
    pub token: i64,
}

/// A claimed job with the scope that it runs in.
#[derive(Clone, PartialEq, Debug)]
pub struct LeasedJob {
    /// The right to work on it.
    pub lease: Lease,
    /// For whom: the job's tenant, as the worker.
    pub scope: TenantScope,
    /// The document to ingest.
    pub document: DocumentId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts allowed; a claim past them is there to be failed, not tried.
    pub max_attempts: u32,
}

/// Jobs of one tenant, within its transaction.
#[async_trait]
pub trait JobRepo: Send {
    /// Queues the ingestion of a document and wakes a worker when the transaction commits.
    ///
    /// # Errors
    /// Where the database is not available.
    async fn enqueue_ingestion(&mut self, id: JobId, document: DocumentId, now: Timestamp) -> Result<(), StoreError>;

    /// Removes a finished job; `false` where the lease is no longer the holder's: then nothing of this transaction
    /// may be committed.
    ///
    /// # Errors
    /// Where the database is not available.
    async fn complete(&mut self, lease: Lease) -> Result<bool, StoreError>;
}

/// The queue across tenants, with a database role that sees ids and no content.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Claims the next due job, if there is one: skips what others hold, takes over what expired.
    ///
    /// # Errors
    /// Where the database is not available.
    async fn claim(&self, lease_for: Duration) -> Result<Option<LeasedJob>, StoreError>;

    /// Extends a lease; `false` where it is lost.
    ///
    /// # Errors
    /// Where the database is not available.
    async fn heartbeat(&self, lease: Lease, lease_for: Duration) -> Result<bool, StoreError>;

    /// Puts a job back, to be tried again after `delay`. `counts` says whether the attempt is used up: an orderly
    /// shutdown or a model outage does not use one.
    ///
    /// # Errors
    /// Where the database is not available.
    async fn put_back(&self, lease: Lease, delay: Duration, counts: bool) -> Result<(), StoreError>;

    /// Waits until a job may be there: a notification, or `at_most`, whichever is first.
    async fn wait(&self, at_most: Duration);
}
