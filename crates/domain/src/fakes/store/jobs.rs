//! The job queue in memory.

use super::{MemoryStore, MemoryTx};
use crate::ids::{DocumentId, JobId, RequestId, TenantId};
use crate::ports::{JobQueue, JobRepo, Lease, LeasedJob, StoreError};
use crate::scope::{Actor, TenantScope};
use crate::time::Timestamp;
use async_trait::async_trait;
use chrono::TimeDelta;
use std::time::Duration;

/// Attempts before a claim is there to be failed.
const MAX_ATTEMPTS: u32 = 5;

/// A queued job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) document: DocumentId,
    tenant: TenantId,
    lease: Lease,
    attempts: u32,
    due_at: Timestamp,
}

#[async_trait]
impl JobRepo for MemoryTx {
    async fn enqueue_ingestion(&mut self, id: JobId, document: DocumentId, _now: Timestamp) -> Result<(), StoreError> {
        let (sees, tenant, due_at) = (self.sees(), self.tenant(), self.store.clock.now());
        let state = self.write().await?;
        if !state.documents.iter().any(|r| sees(r) && r.value.id == document) {
            return Err(StoreError::Conflict { what: "a reference to something that is not there" });
        }
        if !state.jobs.iter().any(|job| job.document == document) {
            state.jobs.push(Job { document, tenant, lease: Lease { job: id, token: 0 }, attempts: 0, due_at });
        }
        Ok(())
    }

    async fn complete(&mut self, lease: Lease) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let jobs = &mut self.write().await?.jobs;
        let before = jobs.len();
        jobs.retain(|job| !(job.tenant == tenant && job.lease == lease));
        Ok(jobs.len() < before)
    }
}

#[async_trait]
impl JobQueue for MemoryStore {
    async fn claim(&self, lease_for: Duration) -> Result<Option<LeasedJob>, StoreError> {
        let _writer = self.lock().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        let due = state.jobs.iter_mut().filter(|job| job.due_at <= now).min_by_key(|job| job.due_at);
        Ok(due.map(|job| {
            job.due_at = later(now, lease_for);
            job.attempts += 1;
            job.lease.token += 1;
            leased(job)
        }))
    }

    async fn heartbeat(&self, lease: Lease, lease_for: Duration) -> Result<bool, StoreError> {
        self.held(lease, |job, now| job.due_at = later(now, lease_for)).await
    }

    async fn put_back(&self, lease: Lease, delay: Duration, counts: bool) -> Result<(), StoreError> {
        let put_back = |job: &mut Job, now| {
            job.due_at = later(now, delay);
            job.lease.token += 1;
            job.attempts -= u32::from(!counts);
        };
        self.held(lease, put_back).await.map(drop)
    }

    async fn wait(&self, at_most: Duration) {
        let _woken = tokio::time::timeout(at_most, self.queued.notified()).await;
    }
}

impl MemoryStore {
    /// Changes a job whose lease is still good; `false` where it is not.
    async fn held(&self, lease: Lease, change: impl FnOnce(&mut Job, Timestamp) + Send) -> Result<bool, StoreError> {
        let _writer = self.lock().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        let Some(job) = state.jobs.iter_mut().find(|job| job.lease == lease) else { return Ok(false) };
        change(job, now);
        Ok(true)
    }
}

fn leased(job: &Job) -> LeasedJob {
    #[expect(
        clippy::disallowed_methods,
        reason = "a claimed job names its tenant: the fake's one place that may say so"
    )]
    let scope = TenantScope::mint(job.tenant, Actor::Worker, RequestId::from_uuid(job.lease.job.as_uuid()));
    LeasedJob { lease: job.lease, scope, document: job.document, attempt: job.attempts, max_attempts: MAX_ATTEMPTS }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now + TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX)
}
