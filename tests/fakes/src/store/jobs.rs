//! The in-memory job queue.

use super::{InMemoryStore, InMemoryTx, State};
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::channel::{DeliveryBacklog, DeliveryStatus};
use domain::document::DocumentStatus;
use domain::ids::{DocumentId, JobId, RequestId, TeamId, TenantId};
use domain::plant::PlantMode;
use domain::ports::{
    JobCounts, JobFilter, JobKind, JobPayload, JobQueue, JobRepo, Lease, LeasedJob, PlantModeCount, QueueDepth,
    RequeueOptions, StoreError,
};
use domain::scope::{Actor, TenantScope};
use domain::team::TeamSpace;
use domain::tenant::TeamSettings;
use domain::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// Number of attempts after which a job is dead-lettered.
const MAX_ATTEMPTS: u32 = 5;
/// A document waits one second longer for its turn per this number of bytes, so that small documents go first.
const BYTES_PER_SECOND_OF_DELAY: u64 = 64 << 10;
/// Maximum of this delay, in seconds.
const MAX_PRIORITY_DELAY_S: u64 = 600;

/// A queued job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) payload: JobPayload,
    tenant: TenantId,
    team: Option<TeamId>,
    lease: Lease,
    size: u64,
    attempts: u32,
    failures: u32,
    due_at: Timestamp,
    ranked_at: Timestamp,
    is_leased: bool,
    is_dead: bool,
}

impl Job {
    fn new(id: JobId, tenant: TenantId, payload: JobPayload, size: u64, now: Timestamp) -> Self {
        let priority_delay = Duration::from_secs((size / BYTES_PER_SECOND_OF_DELAY).min(MAX_PRIORITY_DELAY_S));
        let (lease, ranked_at) = (Lease { job: id, token: 0 }, add_duration(now, priority_delay));
        Self {
            payload,
            tenant,
            team: None,
            lease,
            size,
            attempts: 0,
            failures: 0,
            due_at: now,
            ranked_at,
            is_leased: false,
            is_dead: false,
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        !self.is_dead && self.due_at <= now
    }

    fn has_live_lease(&self, now: Timestamp) -> bool {
        self.is_leased && self.due_at > now
    }

    fn matches(&self, filter: &JobFilter) -> bool {
        filter.kinds.contains(&self.payload.kind())
            && filter.max_document_bytes.is_none_or(|max_bytes| self.size <= max_bytes)
    }
}

#[async_trait]
impl JobRepo for InMemoryTx {
    async fn enqueue_ingestion(&mut self, id: JobId, document: DocumentId, _now: Timestamp) -> Result<(), StoreError> {
        let (in_space, tenant, now) = (self.space_filter(), self.tenant(), self.store.clock.now());
        let team = self.scope.team();
        let state = self.write().await?;
        let Some(row) = state.documents.iter().find(|r| in_space(r) && r.value.id == document) else {
            return Err(StoreError::Conflict { reason: "A referenced object does not exist." });
        };
        let size = u64::try_from(row.value.file_size_bytes).unwrap_or(0);
        state.enqueue(Job { team, ..Job::new(id, tenant, JobPayload::Ingest(document), size, now) });
        Ok(())
    }

    async fn enqueue_vector_index(&mut self, id: JobId, _now: Timestamp) -> Result<(), StoreError> {
        let (tenant, now) = (self.tenant(), self.store.clock.now());
        self.write().await?.enqueue(Job::new(id, tenant, JobPayload::UpdateVectorIndexes, 0, now));
        Ok(())
    }

    async fn enqueue_approvals(&mut self, id: JobId, _now: Timestamp) -> Result<(), StoreError> {
        let (tenant, now) = (self.tenant(), self.store.clock.now());
        let state = self.write().await?;
        let is_waiting = |job: &&mut Job| {
            job.tenant == tenant
                && job.payload == JobPayload::ProcessApprovals
                && !(job.is_dead || job.is_leased || job.due_at <= now)
        };
        if let Some(waiting) = state.jobs.iter_mut().find(is_waiting) {
            waiting.due_at = now;
            waiting.lease.token += 1;
        }
        state.enqueue(Job::new(id, tenant, JobPayload::ProcessApprovals, 0, now));
        Ok(())
    }

    async fn enqueue_deliveries(&mut self, id: JobId, _now: Timestamp) -> Result<(), StoreError> {
        let (tenant, now) = (self.tenant(), self.store.clock.now());
        self.write().await?.enqueue(Job::new(id, tenant, JobPayload::DeliverMessages, 0, now));
        Ok(())
    }

    async fn holds_lease(&mut self, lease: Lease) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        Ok(self.write().await?.jobs.iter().any(|job| job.tenant == tenant && job.lease == lease))
    }

    async fn complete(&mut self, lease: Lease) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let jobs = &mut self.write().await?.jobs;
        let count_before = jobs.len();
        jobs.retain(|job| !(job.tenant == tenant && job.lease == lease));
        Ok(jobs.len() < count_before)
    }

    async fn dead_letter(&mut self, lease: Lease, _reason: Option<&str>, _now: Timestamp) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let jobs = &mut self.write().await?.jobs;
        let Some(job) = jobs.iter_mut().find(|job| job.tenant == tenant && job.lease == lease) else {
            return Ok(false);
        };
        (job.is_dead, job.is_leased) = (true, false);
        job.lease.token += 1;
        Ok(true)
    }
}

impl State {
    /// Adds a job unless the tenant has a live one for the same work; returns the number of added jobs, 0 or 1.
    fn enqueue(&mut self, mut new: Job) -> u64 {
        if let Some(index) = self.jobs.iter().position(|job| job.tenant == new.tenant && job.payload == new.payload) {
            if !self.jobs[index].is_dead {
                return 0;
            }
            let dead = self.jobs.swap_remove(index);
            new.lease = Lease { token: dead.lease.token + 1, ..dead.lease };
        }
        self.jobs.push(new);
        1
    }

    /// Number of jobs that are not dead-lettered.
    pub(super) fn live_job_count(&self) -> usize {
        self.jobs.iter().filter(|job| !job.is_dead).count()
    }

    fn is_active(&self, tenant: TenantId) -> bool {
        self.tenants.iter().any(|row| row.id == tenant && row.is_active)
    }

    /// Index of the next job to claim.
    fn next_job(&self, filter: &JobFilter, now: Timestamp) -> Option<usize> {
        let due = self
            .jobs
            .iter()
            .enumerate()
            .filter(|(_, job)| job.is_due(now) && job.matches(filter) && self.is_active(job.tenant));
        let leased_jobs =
            |tenant| self.jobs.iter().filter(|job| job.tenant == tenant && job.has_live_lease(now)).count();
        let last_served = |tenant: TenantId| self.last_served.get(&tenant).copied();
        let sort_key = |job: &Job| (leased_jobs(job.tenant), last_served(job.tenant), job.tenant, job.ranked_at);
        due.min_by_key(|(_, job)| sort_key(job)).map(|(index, _)| index)
    }
}

#[async_trait]
impl JobQueue for InMemoryStore {
    async fn claim(&self, filter: &JobFilter, lease_duration: Duration) -> Result<Option<LeasedJob>, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        let Some(index) = state.next_job(filter, now) else { return Ok(None) };
        let claim_number = state.last_served.values().max().map_or(0, |last| last + 1);
        let job = &mut state.jobs[index];
        job.due_at = add_duration(now, lease_duration);
        job.is_leased = true;
        job.attempts += 1;
        job.lease.token += 1;
        let claimed = leased_job(job);
        state.last_served.insert(claimed.scope.tenant(), claim_number);
        Ok(Some(claimed))
    }

    async fn sweep_expired_idempotency_keys(&self) -> Result<u64, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        Ok(self.committed().remove_expired_idempotency_keys(now))
    }

    async fn sweep_ended_sessions(&self) -> Result<u64, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        Ok(self.committed().sweep_sessions(now))
    }

    async fn expired_teams(&self) -> Result<Vec<TenantScope>, StoreError> {
        let state = self.committed();
        let days = |tenant: TenantId| {
            let settings = state.tenants.iter().find(|row| row.id == tenant).map(|row| row.settings.teams);
            settings.unwrap_or_default().delete_after_days.unwrap_or(TeamSettings::DELETE_AFTER_DAYS)
        };
        Ok(state.teams.expired(self.clock.now(), days).into_iter().map(worker_scope).collect())
    }

    async fn heartbeat(&self, lease: Lease, lease_duration: Duration) -> Result<bool, StoreError> {
        let tenant_if_leased = self.with_lease(lease, |job, now| {
            job.due_at = add_duration(now, lease_duration);
            job.tenant
        });
        let tenant = tenant_if_leased.await?;
        Ok(tenant.is_some_and(|tenant| self.committed().is_active(tenant)))
    }

    async fn requeue(&self, lease: Lease, options: &RequeueOptions) -> Result<(), StoreError> {
        let requeue = |job: &mut Job, now| {
            job.due_at = add_duration(now, options.delay);
            job.ranked_at = add_duration(job.ranked_at, options.delay);
            job.is_leased = false;
            job.lease.token += 1;
            job.attempts -= u32::from(!options.counts_as_attempt);
            job.failures += u32::from(options.reason.is_some());
            job.is_dead = options.counts_as_attempt && job.payload.document().is_none() && job.attempts >= MAX_ATTEMPTS;
        };
        if self.with_lease(lease, requeue).await?.is_some() && options.delay.is_zero() {
            self.notify_workers();
        }
        Ok(())
    }

    async fn update_vector_indexes(&self, lease: Lease) -> Result<bool, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let jobs = &mut self.committed().jobs;
        let count_before = jobs.len();
        jobs.retain(|job| !(job.payload == JobPayload::UpdateVectorIndexes && job.lease == lease));
        Ok(jobs.len() < count_before)
    }

    async fn wait_for_job(&self, timeout: Duration) {
        let _woken = tokio::time::timeout(timeout, self.job_queued.notified()).await;
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        let (now, state) = (self.clock.now(), self.committed());
        let count = |predicate: &dyn Fn(&Job) -> bool| state.jobs.iter().filter(|job| predicate(job)).count() as u64;
        let oldest = state.jobs.iter().filter(|job| job.is_due(now)).map(|job| now - job.due_at).max();
        Ok(QueueDepth {
            due: count(&|job| job.is_due(now)),
            leased: count(&|job| !job.is_dead && job.has_live_lease(now)),
            dead: count(&|job| job.is_dead),
            oldest_due_age_s: oldest.map_or(0, |age| u64::try_from(age.num_seconds()).unwrap_or(0)),
        })
    }

    async fn plant_modes(&self) -> Result<Vec<PlantModeCount>, StoreError> {
        let state = self.committed();
        let mode_of = |tenant: TenantId| state.plant_modes.get(&tenant).map_or(PlantMode::Normal, |stored| stored.mode);
        let active: Vec<_> = state.tenants.iter().filter(|tenant| state.is_active(tenant.id)).collect();
        let count = |mode| active.iter().filter(|tenant| mode_of(tenant.id) == mode).count() as u64;
        let counts = PlantMode::ALL.iter().map(|mode| PlantModeCount { mode: *mode, tenants: count(*mode) });
        Ok(counts.filter(|count| count.tenants > 0).collect())
    }

    async fn job_counts(&self, kind: JobKind) -> Result<JobCounts, StoreError> {
        let state = self.committed();
        let count =
            |dead| state.jobs.iter().filter(|job| job.payload.kind() == kind && job.is_dead == dead).count() as u64;
        Ok(JobCounts { pending: count(false), dead: count(true) })
    }

    async fn enqueue_due_approvals(&self) -> Result<u64, StoreError> {
        self.enqueue_for_tenants(JobPayload::ProcessApprovals, State::has_due_approvals).await
    }

    async fn enqueue_due_deliveries(&self) -> Result<u64, StoreError> {
        self.enqueue_for_tenants(JobPayload::DeliverMessages, State::has_due_deliveries).await
    }

    async fn delivery_backlog(&self) -> Result<DeliveryBacklog, StoreError> {
        let (now, state) = (self.clock.now(), self.committed());
        let pending = || state.deliveries.iter().map(|row| &row.value).filter(|d| d.status == DeliveryStatus::Pending);
        let oldest = pending().filter_map(|delivery| delivery.next_attempt_at).min();
        Ok(DeliveryBacklog {
            pending: pending().count() as u64,
            oldest_due_age_s: oldest.map_or(0, |due| u64::try_from((now - due).num_seconds()).unwrap_or(0)),
        })
    }

    async fn enqueue_reindex(&self) -> Result<u64, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        let active: Vec<_> = state.tenants.iter().filter(|tenant| tenant.is_active).map(|tenant| tenant.id).collect();
        // The database generates the ids of these jobs, so the fake does, too.
        let jobs =
            active.into_iter().map(|tenant| Job::new(tenant.as_uuid().into(), tenant, JobPayload::Reindex, 0, now));
        let queued_count = jobs.map(|job| state.enqueue(job)).sum();
        drop(state);
        self.notify_workers();
        Ok(queued_count)
    }

    async fn requeue_documents_embedded_by_other_models(&self, models: &[String]) -> Result<u64, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        let stale: Vec<Job> = state
            .documents
            .iter()
            .filter(|row| row.value.status == DocumentStatus::Ready && state.is_active(row.tenant))
            .filter(|row| state.published_models.get(&row.value.id).is_some_and(|model| !models.contains(model)))
            .map(|row| {
                let size = u64::try_from(row.value.file_size_bytes).unwrap_or(0);
                let id = row.value.id;
                Job::new(id.as_uuid().into(), row.tenant, JobPayload::Ingest(id), size, now)
            })
            .collect();
        let queued_count = stale.into_iter().map(|job| state.enqueue(job)).sum();
        drop(state);
        self.notify_workers();
        Ok(queued_count)
    }
}

impl InMemoryStore {
    /// Queues a job for each active tenant that has such work.
    async fn enqueue_for_tenants(
        &self,
        payload: JobPayload,
        has_work: impl Fn(&State, TenantId, Timestamp) -> bool + Send,
    ) -> Result<u64, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        let tenants: BTreeSet<_> = state.tenants.iter().map(|tenant| tenant.id).collect();
        let is_due = |tenant: &TenantId| state.is_active(*tenant) && has_work(&state, *tenant, now);
        let due = tenants.into_iter().filter(is_due);
        // The database generates the ids of these jobs, so the fake does, too; differently from those of other jobs.
        let kind = u128::from(payload == JobPayload::DeliverMessages);
        let id = |tenant: TenantId| JobId::from_uuid(Uuid::from_u128(!tenant.as_uuid().as_u128() ^ (kind << 64)));
        let jobs: Vec<_> = due.map(|tenant| Job::new(id(tenant), tenant, payload, 0, now)).collect();
        let queued_count = jobs.into_iter().map(|job| state.enqueue(job)).sum();
        drop(state);
        self.notify_workers();
        Ok(queued_count)
    }

    /// Changes the job that is held under `lease`; `None` if the lease was lost.
    async fn with_lease<R>(
        &self,
        lease: Lease,
        change: impl FnOnce(&mut Job, Timestamp) -> R + Send,
    ) -> Result<Option<R>, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        let job = state.jobs.iter_mut().find(|job| job.lease == lease && job.is_leased);
        Ok(job.map(|job| change(job, now)))
    }

    /// Wakes every waiting worker, or the next one that starts to wait.
    pub(super) fn notify_workers(&self) {
        self.job_queued.notify_waiters();
        self.job_queued.notify_one();
    }
}

#[expect(clippy::disallowed_methods, reason = "the fake's queue creates the scope of work on a deleted team")]
fn worker_scope(space: TeamSpace) -> TenantScope {
    let home = TenantScope::mint(space.host, Actor::Worker, RequestId::from_uuid(space.team.as_uuid()));
    home.in_team(space.host, space.team)
}

fn leased_job(job: &Job) -> LeasedJob {
    #[expect(clippy::disallowed_methods, reason = "the fake's queue creates the scope of a claimed job")]
    let scope = {
        let home = TenantScope::mint(job.tenant, Actor::Worker, RequestId::from_uuid(job.lease.job.as_uuid()));
        job.team.map_or_else(|| home.clone(), |team| home.in_team(job.tenant, team))
    };
    LeasedJob {
        lease: job.lease,
        scope,
        payload: job.payload,
        attempt: job.attempts,
        max_attempts: MAX_ATTEMPTS,
        failures: job.failures,
        traceparent: None,
    }
}

fn add_duration(time: Timestamp, duration: Duration) -> Timestamp {
    time + TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
