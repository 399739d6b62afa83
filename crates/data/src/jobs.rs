//! The job queue. Jobs are enqueued in a tenant's transaction, and claimed across all tenants with the worker's role.

pub(crate) mod counts;

use crate::error::store_error;
use crate::pool::{Database, RowScope};
use crate::rows::{TextEnum, non_negative};
use crate::statement::{DbRole, Scalar, Statement, row, statements};
use crate::teams::find_expired;
use crate::trace_context::current_traceparent;
use crate::tx::PgTenantTx;
use crate::work_orders::count_plant_modes;
use async_trait::async_trait;
use counts::{DELIVERY_BACKLOG, DEPTH, JOB_COUNTS};
use domain::channel::DeliveryBacklog;
use domain::ids::{DocumentId, JobId, RequestId, TenantId};
use domain::ports::{
    JobCounts, JobFilter, JobKind, JobPayload, JobQueue, JobRepo, Lease, LeasedJob, PlantModeCount, QueueDepth,
    RequeueOptions, StoreError,
};
use domain::scope::{Actor, TenantScope};
use domain::time::Timestamp;
use sqlx::postgres::PgListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

/// The NOTIFY channel on which statements and database functions announce due jobs. The name is repeated in the SQL
/// texts.
const CHANNEL: &str = "platform_jobs";

row! {
    struct LeasedJobRow, columns = leased_job_columns {
        job_id: Uuid,
        tenant_id: Uuid,
        kind: TextEnum<JobKind>,
        document_id: Option<Uuid>,
        lease_token: i64,
        attempt: i32,
        max_attempts: i32,
        failures: i32,
        traceparent: Option<String>,
        team_id: Option<Uuid>,
    }
}

statements! {
    /// The row lock makes `claim_job` skip the job until this transaction ends.
    LOCK_LEASE: Scalar<i32> = Statement::select(
        "jobs",
        "checking a lease",
        "SELECT 1 FROM jobs WHERE id = $1 AND lease_token = $2 FOR SHARE",
    );
    COMPLETE: () = Statement::delete(
        "jobs",
        "completing a job",
        "DELETE FROM jobs WHERE id = $1 AND lease_token = $2",
    );
    DEAD_LETTER: () = Statement::update(
        "jobs",
        "dead-lettering a job",
        "UPDATE jobs
         SET dead_at = $3, last_error = coalesce(left($4, 500), last_error, 'every worker ended before the job did'),
             leased = false, lease_token = lease_token + 1
         WHERE id = $1 AND lease_token = $2",
    );
    /// Does nothing if the job is already queued or leased; resets and queues it again if it is dead. A job for
    /// approvals that waits for another attempt is due at once: waiting for one system must not delay the others.
    /// `turn_at` orders the queue; `job_handicap` moves a large document back by up to ten minutes. PostgreSQL sends
    /// the notification on commit.
    ENQUEUE: () = Statement::insert(
        "jobs",
        "queueing a job",
        "WITH wanted AS (
             SELECT coalesce((SELECT file_size_bytes FROM documents WHERE id = $3), 0) AS size_bytes),
         queued AS (
             INSERT INTO jobs AS job (id, tenant_id, kind, document_id, size_bytes, turn_at, created_at, traceparent)
             SELECT coalesce($1, gen_random_uuid()), app_tenant(), $2, $3, size_bytes,
                    clock_timestamp() + job_handicap(size_bytes), $4, $5
             FROM wanted
             ON CONFLICT (tenant_id, document_id, kind) DO UPDATE
             SET dead_at = NULL, leased = false, lease_token = job.lease_token + 1, due_at = clock_timestamp(),
                 attempts = CASE WHEN job.dead_at IS NULL THEN job.attempts ELSE 0 END,
                 failures = CASE WHEN job.dead_at IS NULL THEN job.failures ELSE 0 END,
                 turn_at = CASE WHEN job.dead_at IS NULL THEN job.turn_at ELSE excluded.turn_at END,
                 traceparent = excluded.traceparent
             WHERE job.dead_at IS NOT NULL
                OR (job.kind = 'approvals' AND NOT job.leased AND job.due_at > clock_timestamp()))
         SELECT pg_notify('platform_jobs', '')",
    );
    CLAIM: LeasedJobRow = Statement::call(
        "claim_job",
        "claiming a job",
        concat!(
            "SELECT ",
            leased_job_columns!(),
            " FROM claim_job(make_interval(secs => $1), $2, $3) AS job, job_traceparent(job.job_id) AS traceparent,
                   job_team(job.job_id) AS team_id",
        ),
    )
    .run_by(DbRole::Worker);
    HEARTBEAT: Scalar<bool> = Statement::call(
        "heartbeat_job",
        "extending a lease",
        "SELECT heartbeat_job($1, $2, make_interval(secs => $3))",
    )
    .run_by(DbRole::Worker);
    REQUEUE: () = Statement::call(
        "put_back_job",
        "requeueing a job",
        "SELECT put_back_job($1, $2, make_interval(secs => $3), $4, $5)",
    )
    .run_by(DbRole::Worker);
    BUILD_VECTOR_INDEX: Scalar<bool> = Statement::call(
        "build_vector_index",
        "building a vector index",
        "SELECT build_vector_index($1, $2) AND finish_vector_index($1, $2)",
    )
    .run_by(DbRole::Worker);
    SWEEP_EXPIRED: Scalar<i64> = Statement::call(
        "sweep_idempotency_keys",
        "sweeping idempotency keys",
        "SELECT sweep_idempotency_keys()",
    )
    .run_by(DbRole::Worker);
    SWEEP_SESSIONS: Scalar<i64> = Statement::call("sweep_sessions", "sweeping sessions", "SELECT sweep_sessions()")
        .run_by(DbRole::Worker);
    ENQUEUE_DUE_APPROVALS: Scalar<i64> = Statement::call(
        "enqueue_due_approvals",
        "queueing the processing of approvals",
        "SELECT enqueue_due_approvals()",
    )
    .run_by(DbRole::Worker);
    ENQUEUE_DUE_DELIVERIES: Scalar<i64> = Statement::call(
        "enqueue_due_deliveries",
        "queueing the delivery of messages",
        "SELECT enqueue_due_deliveries()",
    )
    .run_by(DbRole::Worker);
    ENQUEUE_REINDEX: Scalar<i64> = Statement::call(
        "enqueue_reindex",
        "queueing the reindexing",
        "SELECT enqueue_reindex()",
    )
    .run_by(DbRole::Worker);
    REQUEUE_DOCUMENTS_OF_OTHER_MODELS: Scalar<i64> = Statement::call(
        "requeue_documents_of_other_models",
        "queueing documents of other models",
        "SELECT requeue_documents_of_other_models($1)",
    )
    .run_by(DbRole::Worker);
}

#[async_trait]
impl JobRepo for PgTenantTx {
    async fn enqueue_ingestion(&mut self, id: JobId, document: DocumentId, now: Timestamp) -> Result<(), StoreError> {
        enqueue(self, Some(id), JobPayload::Ingest(document), now).await
    }

    async fn enqueue_vector_index(&mut self, id: JobId, now: Timestamp) -> Result<(), StoreError> {
        enqueue(self, Some(id), JobPayload::UpdateVectorIndexes, now).await
    }

    async fn enqueue_approvals(&mut self, id: JobId, now: Timestamp) -> Result<(), StoreError> {
        enqueue(self, Some(id), JobPayload::ProcessApprovals, now).await
    }

    async fn enqueue_deliveries(&mut self, id: JobId, now: Timestamp) -> Result<(), StoreError> {
        enqueue(self, Some(id), JobPayload::DeliverMessages, now).await
    }

    async fn holds_lease(&mut self, lease: Lease) -> Result<bool, StoreError> {
        let query = LOCK_LEASE.query().bind(lease.job.as_uuid()).bind(lease.token);
        Ok(query.optional_scalar(self.connection()).await?.is_some())
    }

    async fn complete(&mut self, lease: Lease) -> Result<bool, StoreError> {
        let delete = COMPLETE.query().bind(lease.job.as_uuid()).bind(lease.token);
        Ok(delete.rows_affected(self.connection()).await? > 0)
    }

    async fn dead_letter(&mut self, lease: Lease, reason: Option<&str>, now: Timestamp) -> Result<bool, StoreError> {
        let update = DEAD_LETTER.query().bind(lease.job.as_uuid()).bind(lease.token).bind(now).bind(reason);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }
}

/// Enqueues a job, which names the current span as its origin; see [`JobRepo::enqueue_ingestion`] for repeated calls.
/// Without an id, the database generates one.
pub(crate) async fn enqueue(
    tx: &mut PgTenantTx,
    id: Option<JobId>,
    payload: JobPayload,
    now: Timestamp,
) -> Result<(), StoreError> {
    ENQUEUE
        .query()
        .bind(id.map(|id| id.as_uuid()))
        .bind(payload.kind().as_str())
        .bind(payload.document().map(|document| document.as_uuid()))
        .bind(now)
        .bind(current_traceparent())
        .execute(tx.connection())
        .await
}

/// The [`JobQueue`] implementation for PostgreSQL. Connects as the worker's role, which may call the queue's functions
/// but access no table.
#[derive(Clone)]
pub struct PgJobQueue {
    database: Database,
    listener: Arc<Mutex<Option<PgListener>>>,
    notify: Arc<Notify>,
}

impl PgJobQueue {
    /// Creates a queue from a connection pool of the worker's role. One more connection listens for new jobs.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, listener: Arc::default(), notify: Arc::default() }
    }

    /// Waits for a notification. The first call starts listening and returns at once, because a job may have been
    /// enqueued before that.
    async fn next_notification(&self) -> Result<(), sqlx::Error> {
        let mut listener = self.listener.lock().await;
        match listener.as_mut() {
            None => *listener = Some(self.database.listen(CHANNEL).await?),
            // `try_recv` returns `None` after a lost connection. Notifications may have been lost, too, so return.
            Some(open_listener) => drop(open_listener.try_recv().await?),
        }
        Ok(())
    }

    /// Waits for a notification until `deadline`, and then wakes all other waiters, which may want another kind of job.
    /// If listening fails, sleeps until `deadline`, so that the caller polls.
    async fn listen_until(&self, deadline: Instant) {
        match timeout_at(deadline, self.next_notification()).await {
            Ok(Ok(())) => self.notify.notify_waiters(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot listen for jobs, polling instead");
                self.listener.lock().await.take();
                sleep_until(deadline).await;
            }
            Err(_elapsed) => {}
        }
    }
}

#[async_trait]
impl JobQueue for PgJobQueue {
    async fn claim(&self, filter: &JobFilter, lease_duration: Duration) -> Result<Option<LeasedJob>, StoreError> {
        let mut connection = self.database.acquire("claiming a job").await?;
        let row: Option<LeasedJobRow> = CLAIM
            .query()
            .bind(lease_duration.as_secs_f64())
            .bind(filter.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>())
            .bind(filter.max_document_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)))
            .fetch_optional(&mut connection)
            .await?;
        row.map(LeasedJobRow::into_job).transpose()
    }

    async fn heartbeat(&self, lease: Lease, lease_duration: Duration) -> Result<bool, StoreError> {
        let mut connection = self.database.acquire("extending a lease").await?;
        let query = HEARTBEAT.query().bind(lease.job.as_uuid()).bind(lease.token).bind(lease_duration.as_secs_f64());
        query.scalar(&mut connection).await
    }

    async fn requeue(&self, lease: Lease, requeue: &RequeueOptions) -> Result<(), StoreError> {
        let mut connection = self.database.acquire("requeueing a job").await?;
        REQUEUE
            .query()
            .bind(lease.job.as_uuid())
            .bind(lease.token)
            .bind(requeue.delay.as_secs_f64())
            .bind(requeue.counts_as_attempt)
            .bind(&requeue.reason)
            .execute(&mut connection)
            .await
    }

    async fn update_vector_indexes(&self, lease: Lease) -> Result<bool, StoreError> {
        let to_store_error = store_error("building a vector index");
        // No tenant is set, because the function reads it from the job.
        let mut transaction = self.database.begin(RowScope::default()).await?;
        // No statement timeout, but the server cancels the statement if this process disconnects.
        sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL client_connection_check_interval = '5s'")
            .execute(&mut *transaction)
            .await
            .map_err(&to_store_error)?;
        let build_query = BUILD_VECTOR_INDEX.query().bind(lease.job.as_uuid()).bind(lease.token);
        let is_done = build_query.scalar(&mut transaction).await?;
        if is_done {
            transaction.commit().await.map_err(&to_store_error)?;
        }
        Ok(is_done)
    }

    async fn wait_for_job(&self, max_wait: Duration) {
        let notified = self.notify.notified();
        tokio::select! {
            () = notified => {}
            () = self.listen_until(Instant::now() + max_wait) => {}
        }
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        let mut connection = self.database.acquire("counting jobs").await?;
        DEPTH.query().fetch_one(&mut connection).await
    }

    async fn job_counts(&self, kind: JobKind) -> Result<JobCounts, StoreError> {
        let mut connection = self.database.acquire("counting jobs of a kind").await?;
        JOB_COUNTS.query().bind(kind.as_str()).fetch_one(&mut connection).await
    }

    async fn plant_modes(&self) -> Result<Vec<PlantModeCount>, StoreError> {
        count_plant_modes(&self.database).await
    }

    async fn sweep_expired_idempotency_keys(&self) -> Result<u64, StoreError> {
        let mut connection = self.database.acquire("sweeping idempotency keys").await?;
        SWEEP_EXPIRED.query().scalar(&mut connection).await.map(non_negative)
    }

    async fn sweep_ended_sessions(&self) -> Result<u64, StoreError> {
        let mut connection = self.database.acquire("sweeping sessions").await?;
        SWEEP_SESSIONS.query().scalar(&mut connection).await.map(non_negative)
    }

    async fn expired_teams(&self) -> Result<Vec<TenantScope>, StoreError> {
        find_expired(&self.database).await
    }

    async fn enqueue_due_approvals(&self) -> Result<u64, StoreError> {
        let mut connection = self.database.acquire("queueing the processing of approvals").await?;
        ENQUEUE_DUE_APPROVALS.query().scalar(&mut connection).await.map(non_negative)
    }

    async fn enqueue_due_deliveries(&self) -> Result<u64, StoreError> {
        let mut connection = self.database.acquire("queueing the delivery of messages").await?;
        ENQUEUE_DUE_DELIVERIES.query().scalar(&mut connection).await.map(non_negative)
    }

    async fn delivery_backlog(&self) -> Result<DeliveryBacklog, StoreError> {
        let mut connection = self.database.acquire("counting messages to channels").await?;
        DELIVERY_BACKLOG.query().fetch_one(&mut connection).await
    }

    async fn enqueue_reindex(&self) -> Result<u64, StoreError> {
        let mut connection = self.database.acquire("queueing the reindexing").await?;
        ENQUEUE_REINDEX.query().scalar(&mut connection).await.map(non_negative)
    }

    async fn requeue_documents_embedded_by_other_models(&self, models: &[String]) -> Result<u64, StoreError> {
        let mut connection = self.database.acquire("queueing documents of other models").await?;
        REQUEUE_DOCUMENTS_OF_OTHER_MODELS.query().bind(models).scalar(&mut connection).await.map(non_negative)
    }
}

impl LeasedJobRow {
    fn into_job(self) -> Result<LeasedJob, StoreError> {
        let (job, tenant) = (JobId::from_uuid(self.job_id), TenantId::from_uuid(self.tenant_id));
        let to_u32 = |number: i32| u32::try_from(number).unwrap_or(0);
        #[expect(
            clippy::disallowed_methods,
            reason = "a claimed job names its tenant and space; only this place may mint from it"
        )]
        let scope = {
            let home = TenantScope::mint(tenant, Actor::Worker, RequestId::from_uuid(job.as_uuid()));
            self.team_id.map_or_else(|| home.clone(), |team| home.in_team(tenant, team.into()))
        };
        let payload = match (self.kind.0, self.document_id) {
            (JobKind::Ingestion, Some(document)) => JobPayload::Ingest(document.into()),
            (JobKind::Ingestion, None) => {
                let source = "the ingestion job names no document".into();
                return Err(StoreError::Failed { activity: "claiming a job", source });
            }
            (JobKind::VectorIndex, _) => JobPayload::UpdateVectorIndexes,
            (JobKind::Reindex, _) => JobPayload::Reindex,
            (JobKind::Approvals, _) => JobPayload::ProcessApprovals,
            (JobKind::Deliveries, _) => JobPayload::DeliverMessages,
        };
        Ok(LeasedJob {
            lease: Lease { job, token: self.lease_token },
            scope,
            payload,
            attempt: to_u32(self.attempt),
            max_attempts: to_u32(self.max_attempts),
            failures: to_u32(self.failures),
            traceparent: self.traceparent,
        })
    }
}
