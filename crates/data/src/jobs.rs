//! The job queue: queued within a tenant's transaction, claimed across tenants by the worker's role.

use crate::error::failed;
use crate::pool::Database;
use crate::rows::id;
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::{DocumentId, JobId, RequestId, TenantId};
use domain::ports::{JobQueue, JobRepo, Lease, LeasedJob, StoreError};
use domain::scope::{Actor, TenantScope};
use domain::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgListener, PgRow};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Where `enqueue_ingestion` and `put_back_job` tell that a job is due. Must agree with the statements below.
const CHANNEL: &str = "platform_jobs";

#[async_trait]
impl JobRepo for PgTenantTx {
    async fn enqueue_ingestion(&mut self, id: JobId, document: DocumentId, now: Timestamp) -> Result<(), StoreError> {
        // A document has one job: asking again while it is queued changes nothing. The notification is sent on commit.
        sqlx::query(
            "WITH queued AS (
                 INSERT INTO jobs (id, tenant_id, kind, document_id, created_at)
                 VALUES ($1, app_tenant(), 'ingestion', $2, $3)
                 ON CONFLICT (tenant_id, document_id, kind) DO NOTHING)
             SELECT pg_notify('platform_jobs', '')",
        )
        .bind(id.as_uuid())
        .bind(document.as_uuid())
        .bind(now)
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(failed("queueing a job"))
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
}

/// The queue in PostgreSQL, as the worker's role: three functions and no table.
#[derive(Clone)]
pub struct PgJobQueue {
    database: Database,
    listener: Arc<Mutex<Option<PgListener>>>,
}

impl PgJobQueue {
    /// A queue over connections of the worker's role; one of them listens for new jobs.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, listener: Arc::default() }
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
}

#[async_trait]
impl JobQueue for PgJobQueue {
    async fn claim(&self, lease_for: Duration) -> Result<Option<LeasedJob>, StoreError> {
        let doing = "claiming a job";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM claim_job(make_interval(secs => $1))")
            .bind(lease_for.as_secs_f64())
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

    async fn put_back(&self, lease: Lease, delay: Duration, counts: bool) -> Result<(), StoreError> {
        let doing = "putting a job back";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT put_back_job($1, $2, make_interval(secs => $3), $4)")
            .bind(lease.job.as_uuid())
            .bind(lease.token)
            .bind(delay.as_secs_f64())
            .bind(counts)
            .execute(&mut *connection)
            .await
            .map(drop)
            .map_err(failed(doing))
    }

    async fn wait(&self, at_most: Duration) {
        let end = Instant::now() + at_most;
        if let Ok(Err(error)) = timeout_at(end, self.notified()).await {
            tracing::warn!(%error, "cannot listen for jobs, polling instead");
            self.listener.lock().await.take();
            sleep_until(end).await;
        }
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
        document: id(&row, "document_id")?,
        attempt: count("attempt")?,
        max_attempts: count("max_attempts")?,
    })
}
