//! The job queue: queued within a tenant's transaction, claimed across tenants by the worker's role.

use crate::error::failed;
use crate::pool::Database;
use crate::rows::{id, word};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::{DocumentId, JobId, RequestId, TenantId};
use domain::ports::{
    JobCounts, JobFilter, JobKind, JobQueue, JobRepo, Lease, LeasedJob, QueueDepth, Requeue, StoreError, Work,
};
use domain::scope::{Actor, TenantScope};
use domain::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgListener, PgRow};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

/// Where `enqueue` and `put_back_job` tell that a job is due. Must agree with the statements below.
const CHANNEL: &str = "platform_jobs";

#[async_trait]
impl JobRepo for PgTenantTx {
    async fn enqueue_ingestion(&mut self, id: JobId, document: DocumentId, now: Timestamp) -> Result<(), StoreError> {
        enqueue(self, Some(id), Work::Ingest(document), now).await
    }

    async fn enqueue_vector_index(&mut self, id: JobId, now: Timestamp) -> Result<(), StoreError> {
        enqueue(self, Some(id), Work::BuildVectorIndex, now).await
    }

    async fn holds(&mut self, lease: Lease) -> Result<bool, StoreError> {
        // The lock makes a claim of the job pass it over until this transaction ends.
        sqlx::query("SELECT 1 FROM jobs WHERE id = $1 AND lease_token = $2 FOR SHARE")
            .bind(lease.job.as_uuid())
            .bind(lease.token)
            .fetch_optional(self.connection())
            .await
            .map(|row| row.is_some())
            .map_err(failed("checking a lease"))
    }

    async fn complete(&mut self, lease: Lease) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM jobs WHERE id = $1 AND lease_token = $2")
            .bind(lease.job.as_uuid())
            .bind(lease.token)
            .execute(self.connection())
            .await
            .map(|done| done.rows_affected() > 0)
            .map_err(failed("completing a job"))
    }

    async fn dead_letter(&mut self, lease: Lease, reason: Option<&str>, now: Timestamp) -> Result<bool, StoreError> {
        sqlx::query(
            "UPDATE jobs
             SET dead_at = $3, last_error = coalesce(left($4, 500), last_error, 'its workers ended before it did'),
                 leased = false, lease_token = lease_token + 1
             WHERE id = $1 AND lease_token = $2",
        )
        .bind(lease.job.as_uuid())
        .bind(lease.token)
        .bind(now)
        .bind(reason)
        .execute(self.connection())
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("giving a job up"))
    }
}

/// Queues work, once: asking again while it is queued or in hand changes nothing, and what is dead comes back. The
/// notification is sent on commit. Without an id, the database gives one.
pub(crate) async fn enqueue(
    tx: &mut PgTenantTx,
    id: Option<JobId>,
    work: Work,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "WITH wanted AS (
             SELECT coalesce((SELECT file_size_bytes FROM documents WHERE id = $3), 0) AS size_bytes),
         queued AS (
             INSERT INTO jobs AS job (id, tenant_id, kind, document_id, size_bytes, turn_at, created_at)
             SELECT coalesce($1, gen_random_uuid()), app_tenant(), $2, $3, size_bytes, clock_timestamp() + job_handicap(size_bytes), $4 FROM wanted
             ON CONFLICT (tenant_id, document_id, kind) DO UPDATE
             SET dead_at = NULL, attempts = 0, failures = 0, leased = false, lease_token = job.lease_token + 1,
                 due_at = clock_timestamp(), turn_at = excluded.turn_at
             WHERE job.dead_at IS NOT NULL)
         SELECT pg_notify('platform_jobs', '')",
    )
    .bind(id.map(|id| id.as_uuid()))
    .bind(work.kind().as_str())
    .bind(work.document().map(|document| document.as_uuid()))
    .bind(now)
    .execute(tx.connection())
    .await
    .map(drop)
    .map_err(failed("queueing a job"))
}

/// The queue in PostgreSQL, as the worker's role: a few functions and no table.
#[derive(Clone)]
pub struct PgJobQueue {
    database: Database,
    listener: Arc<Mutex<Option<PgListener>>>,
    told: Arc<Notify>,
}

impl PgJobQueue {
    /// A queue over connections of the worker's role; one of them listens for new jobs.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, listener: Arc::default(), told: Arc::default() }
    }

    /// Waits for one notification. Returns at once after it has begun to listen: a job may have come just before.
    async fn notified(&self) -> Result<(), sqlx::Error> {
        let mut listener = self.listener.lock().await;
        match listener.as_mut() {
            None => *listener = Some(self.database.listen(CHANNEL).await?),
            // `None`: the connection was lost and notifications with it.
            Some(connected) => drop(connected.try_recv().await?),
        }
        Ok(())
    }

    /// Waits as one of many: whoever listens tells the others, who may want another kind of job than it does.
    async fn heard(&self, end: Instant) {
        match timeout_at(end, self.notified()).await {
            Ok(Ok(())) => self.told.notify_waiters(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot listen for jobs, polling instead");
                self.listener.lock().await.take();
                sleep_until(end).await;
            }
            Err(_elapsed) => {}
        }
    }

    /// A function of the queue that returns one number.
    async fn count(
        &self,
        doing: &'static str,
        sql: &'static str,
        models: Option<&[String]>,
    ) -> Result<u64, StoreError> {
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        let query = sqlx::query_scalar::<_, i64>(sql);
        let query = match models {
            Some(models) => query.bind(models),
            None => query,
        };
        let count = query.fetch_one(&mut *connection).await.map_err(failed(doing))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

#[async_trait]
impl JobQueue for PgJobQueue {
    async fn claim(&self, wanted: &JobFilter, lease_for: Duration) -> Result<Option<LeasedJob>, StoreError> {
        let doing = "claiming a job";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM claim_job(make_interval(secs => $1), $2, $3)")
            .bind(lease_for.as_secs_f64())
            .bind(wanted.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>())
            .bind(wanted.max_document_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)))
            .try_map(leased)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    async fn heartbeat(&self, lease: Lease, lease_for: Duration) -> Result<bool, StoreError> {
        let doing = "extending a lease";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query_scalar("SELECT heartbeat_job($1, $2, make_interval(secs => $3))")
            .bind(lease.job.as_uuid())
            .bind(lease.token)
            .bind(lease_for.as_secs_f64())
            .fetch_one(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    async fn requeue(&self, lease: Lease, how: &Requeue) -> Result<(), StoreError> {
        let doing = "putting a job back";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT put_back_job($1, $2, make_interval(secs => $3), $4, $5)")
            .bind(lease.job.as_uuid())
            .bind(lease.token)
            .bind(how.delay.as_secs_f64())
            .bind(how.counts)
            .bind(&how.reason)
            .execute(&mut *connection)
            .await
            .map(drop)
            .map_err(failed(doing))
    }

    async fn build_vector_index(&self, lease: Lease) -> Result<bool, StoreError> {
        let failed = failed("building a vector index");
        // For no tenant: the function takes it from the job.
        let mut transaction = self.database.begin(String::new(), String::new()).await?;
        // As long as it takes, but not for a process that is gone.
        sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL client_connection_check_interval = '5s'")
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        let done: bool = sqlx::query_scalar("SELECT build_vector_index($1, $2) AND finish_vector_index($1, $2)")
            .bind(lease.job.as_uuid())
            .bind(lease.token)
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        if done {
            transaction.commit().await.map_err(&failed)?;
        }
        Ok(done)
    }

    async fn wait(&self, at_most: Duration) {
        let told = self.told.notified();
        tokio::select! {
            () = told => {}
            () = self.heard(Instant::now() + at_most) => {}
        }
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        let doing = "counting jobs";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM job_queue_depth()")
            .try_map(depth)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    async fn job_counts(&self, kind: JobKind) -> Result<JobCounts, StoreError> {
        let doing = "counting jobs of a kind";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM jobs_left($1)")
            .bind(kind.as_str())
            .try_map(|row: PgRow| Ok(JobCounts { pending: count(&row, "pending")?, dead: count(&row, "dead")? }))
            .fetch_one(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    async fn sweep_expired(&self) -> Result<u64, StoreError> {
        self.count("sweeping idempotency keys", "SELECT sweep_idempotency_keys()", None).await
    }

    async fn enqueue_reindex(&self) -> Result<u64, StoreError> {
        self.count("queueing the reindexing", "SELECT enqueue_reindex()", None).await
    }

    async fn requeue_documents_of_other_models(&self, models: &[String]) -> Result<u64, StoreError> {
        let sql = "SELECT requeue_documents_of_other_models($1)";
        self.count("queueing documents of other models", sql, Some(models)).await
    }
}

fn leased(row: PgRow) -> Result<LeasedJob, sqlx::Error> {
    let job: JobId = id(&row, "job_id")?;
    let tenant: TenantId = id(&row, "tenant_id")?;
    let count = |column| row.try_get::<i32, _>(column).map(|count| u32::try_from(count).unwrap_or(0));
    #[expect(
        clippy::disallowed_methods,
        reason = "a claimed job names its tenant: this is the one place that may say so"
    )]
    let scope = TenantScope::mint(tenant, Actor::Worker, RequestId::from_uuid(job.as_uuid()));
    Ok(LeasedJob {
        lease: Lease { job, token: row.try_get("lease_token")? },
        scope,
        work: work(&row)?,
        attempt: count("attempt")?,
        max_attempts: count("max_attempts")?,
        failures: count("failures")?,
    })
}

fn work(row: &PgRow) -> Result<Work, sqlx::Error> {
    Ok(match word(row, "kind")? {
        JobKind::Ingestion => Work::Ingest(row.try_get::<Uuid, _>("document_id")?.into()),
        JobKind::VectorIndex => Work::BuildVectorIndex,
        JobKind::Reindex => Work::Reindex,
    })
}

fn depth(row: PgRow) -> Result<QueueDepth, sqlx::Error> {
    Ok(QueueDepth {
        due: count(&row, "due")?,
        leased: count(&row, "leased")?,
        dead: count(&row, "dead")?,
        oldest_due_s: count(&row, "oldest_due_s")?,
    })
}

fn count(row: &PgRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(|count| u64::try_from(count).unwrap_or(0))
}
