//! Tests of the job queue that run SQL directly, so they cannot be part of the shared store contract.

use crate::sql_support::{TENANT_A, TENANT_B, connect_as_superuser};
use data::PgJobQueue;
use data::testing::{TestDb, TestError};
use domain::ports::{JobFilter, JobPayload, JobQueue};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;
use uuid::Uuid;

const LEASE_DURATION: Duration = Duration::from_secs(3600);

/// Creates a tenant with this many queued documents of 1 byte to 50 MB.
async fn create_tenant_with_jobs(superuser: &mut PgConnection, tenant: Uuid, documents: u32) -> Result<(), TestError> {
    let script = "
        INSERT INTO tenants (id, name, slug) VALUES ($1, $1::text, 'tenant-' || right($1::text, 1));
        INSERT INTO users (id, tenant_id, issuer, external_id) VALUES ($1, $1, 'issuer', 'subject');
        INSERT INTO documents
            (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256, storage_path)
        SELECT gen_random_uuid(), $1, $1, '', '', '', 1 + n * 7919::bigint % 50000000, encode(sha256(n::text::bytea),
            'hex'), ''
        FROM generate_series(1, $2) AS n;
        INSERT INTO jobs (tenant_id, document_id, size_bytes, turn_at)
        SELECT tenant_id, id, file_size_bytes, now() + job_handicap(file_size_bytes) FROM documents
            WHERE tenant_id = $1";
    let script = script.replace("$1", &format!("'{tenant}'::uuid")).replace("$2", &documents.to_string());
    sqlx::raw_sql(AssertSqlSafe(script)).execute(superuser).await?;
    Ok(())
}

/// Moves the queue position of the jobs that match `condition` back in time by `interval`.
async fn backdate(superuser: &mut PgConnection, condition: &str, interval: &str) -> Result<(), TestError> {
    let script = format!("UPDATE jobs SET turn_at = turn_at - interval '{interval}' WHERE {condition}");
    sqlx::raw_sql(AssertSqlSafe(script)).execute(superuser).await?;
    Ok(())
}

/// Creates and queues a document of `size` bytes; returns its id.
async fn queue_document(superuser: &mut PgConnection, tenant: Uuid, size: i64) -> Result<Uuid, TestError> {
    Ok(sqlx::query_scalar(
        "WITH document AS (
             INSERT INTO documents
                 (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256, storage_path)
             SELECT gen_random_uuid(), $1, $1, '', '', '', $2, encode(sha256(gen_random_uuid()::text::bytea), 'hex'), ''
             RETURNING id)
         INSERT INTO jobs (tenant_id, document_id, size_bytes, turn_at)
         SELECT $1, id, $2, now() + job_handicap($2) FROM document RETURNING document_id",
    )
    .bind(tenant)
    .bind(size)
    .fetch_one(superuser)
    .await?)
}

async fn claim_document(queue: &PgJobQueue) -> Result<Option<Uuid>, TestError> {
    let job = queue.claim(&JobFilter::any(), LEASE_DURATION).await?;
    Ok(job.and_then(|job| job.payload.document()).map(|document| document.as_uuid()))
}

#[tokio::test]
async fn a_large_document_yields_to_small_ones_for_ten_minutes_at_most() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    create_tenant_with_jobs(&mut superuser, TENANT_A, 0).await?;
    let job_queue = PgJobQueue::new(db.worker_pool()?);
    let large = queue_document(&mut superuser, TENANT_A, 90 << 20).await?;
    backdate(&mut superuser, "true", "9 minutes").await?;
    let small = queue_document(&mut superuser, TENANT_A, 1).await?;
    assert_eq!(
        claim_document(&job_queue).await?,
        Some(small),
        "the small document was queued nine minutes after the large one"
    );
    backdate(&mut superuser, "NOT leased", "2 minutes").await?;
    queue_document(&mut superuser, TENANT_A, 1).await?;
    assert_eq!(
        claim_document(&job_queue).await?,
        Some(large),
        "the second small document was queued eleven minutes later"
    );
    Ok(())
}

/// Measures how many rows of `jobs` a claim reads when three tenants have queued 10,000 jobs.
#[tokio::test]
async fn a_claim_among_ten_thousand_jobs_reads_a_few_of_them() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    for (tenant, documents) in [(TENANT_A, 5000), (TENANT_B, 4000), (Uuid::from_u128(0xc), 1000)] {
        create_tenant_with_jobs(&mut superuser, tenant, documents).await?;
    }
    let job_queue = PgJobQueue::new(db.worker_pool()?);
    for _ in 0..30 {
        assert!(claim_document(&job_queue).await?.is_some());
    }
    let mut transaction = superuser.begin().await?;
    let rows_read_sql = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint
                   FROM pg_stat_xact_user_tables WHERE relname = 'jobs'";
    let tenant: Uuid = sqlx::query_scalar("SELECT tenant_id FROM claim_job('1 hour', ARRAY ['ingestion'], 2097152)")
        .fetch_one(&mut *transaction)
        .await?;
    let rows_read: i64 = sqlx::query_scalar(rows_read_sql).fetch_one(&mut *transaction).await?;
    assert!(rows_read > 0 && rows_read < 500, "{rows_read} rows read to claim a job of {tenant}");
    Ok(())
}

#[tokio::test]
async fn a_claimed_job_names_the_span_that_queued_it() -> Result<(), TestError> {
    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let db = TestDb::create().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    create_tenant_with_jobs(&mut superuser, TENANT_A, 1).await?;
    let set = "UPDATE jobs SET traceparent = $1";
    sqlx::query(set).bind(TRACEPARENT).execute(&mut superuser).await?;
    for invalid in ["", "00-1-2-01", &TRACEPARENT.to_uppercase(), &TRACEPARENT.replace("00f0", "Z-47")] {
        assert!(sqlx::query(set).bind(invalid).execute(&mut superuser).await.is_err(), "{invalid}");
    }
    let job_queue = PgJobQueue::new(db.worker_pool()?);
    let job = job_queue.claim(&JobFilter::any(), LEASE_DURATION).await?.ok_or("no job was claimed")?;
    assert_eq!(job.traceparent.as_deref(), Some(TRACEPARENT));
    Ok(())
}

/// Nothing announces the end of a lease, so whoever looks for due approvals does.
#[tokio::test]
async fn an_ended_lease_on_approvals_wakes_a_waiting_worker() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    create_tenant_with_jobs(&mut superuser, TENANT_A, 0).await?;
    let job_queue = PgJobQueue::new(db.worker_pool()?);
    // The first wait starts listening, and returns at once.
    job_queue.wait_for_job(LEASE_DURATION).await;
    for (end_of_lease, is_woken) in [("1 hour", false), ("-1 second", true)] {
        let script = format!(
            "DELETE FROM jobs;
             INSERT INTO jobs (tenant_id, kind, leased, due_at)
             VALUES ('{TENANT_A}', 'approvals', true, now() + interval '{end_of_lease}')"
        );
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut superuser).await?;
        assert_eq!(job_queue.enqueue_due_approvals().await?, 0, "a job is there");
        let woken = tokio::time::timeout(Duration::from_secs(2), job_queue.wait_for_job(LEASE_DURATION)).await;
        assert_eq!(woken.is_ok(), is_woken, "{end_of_lease}");
    }
    Ok(())
}

/// During an upgrade, the previous version of the program still claims jobs, extends leases and requeues jobs.
#[tokio::test]
async fn the_previous_version_still_processes_ingestion_jobs() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    create_tenant_with_jobs(&mut superuser, TENANT_A, 1).await?;
    let job_queue = PgJobQueue::new(db.worker_pool()?);
    assert_eq!(job_queue.enqueue_reindex().await?, 1);
    let mut worker = PgConnection::connect(&db.worker_url()).await?;
    let claim = "SELECT job_id, lease_token FROM claim_job('1 hour')";
    let (job, token): (Uuid, i64) = sqlx::query_as(claim).fetch_one(&mut worker).await?;
    let second_claim: Option<(Uuid, i64)> = sqlx::query_as(claim).fetch_optional(&mut worker).await?;
    assert_eq!(second_claim, None, "the previous version does not know reindexing jobs");
    for (sql, expected) in [
        ("SELECT heartbeat_job($1, $2, '1 hour')", true),
        ("SELECT put_back_job($1, $2, '0 s', true)", true),
        ("SELECT heartbeat_job($1, $2, '1 hour')", false),
    ] {
        let result: bool = sqlx::query_scalar(sql).bind(job).bind(token).fetch_one(&mut worker).await?;
        assert_eq!(result, expected, "{sql}");
    }
    let next_job = job_queue.claim(&JobFilter::any(), LEASE_DURATION).await?.ok_or("no job was claimed")?;
    assert!(matches!(next_job.payload, JobPayload::Ingest(_) | JobPayload::Reindex));
    Ok(())
}

/// The transaction that publishes a document locks the row of its job. A heartbeat must then neither block nor report
/// the lease as lost.
#[tokio::test]
async fn a_heartbeat_does_not_wait_for_the_transaction_that_finishes_the_job() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    create_tenant_with_jobs(&mut superuser, TENANT_A, 1).await?;
    let job_queue = PgJobQueue::new(db.worker_pool()?);
    let job = job_queue.claim(&JobFilter::any(), LEASE_DURATION).await?.ok_or("no job was claimed")?;
    let mut transaction = superuser.begin().await?;
    sqlx::query("DELETE FROM jobs WHERE id = $1").bind(job.lease.job.as_uuid()).execute(&mut *transaction).await?;
    let heartbeat = tokio::time::timeout(Duration::from_secs(20), job_queue.heartbeat(job.lease, LEASE_DURATION));
    assert!(heartbeat.await??);
    transaction.commit().await?;
    assert!(!job_queue.heartbeat(job.lease, LEASE_DURATION).await?);
    Ok(())
}

/// Operators find the reason for a failure in `last_error`, which is limited to 500 characters.
#[tokio::test]
async fn the_last_error_is_stored_with_the_job() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    create_tenant_with_jobs(&mut superuser, TENANT_A, 0).await?;
    let job_queue = PgJobQueue::new(db.worker_pool()?);
    job_queue.enqueue_reindex().await?;
    for attempt in 1..=5 {
        let job = job_queue.claim(&JobFilter::any(), LEASE_DURATION).await?.ok_or("no job was claimed")?;
        assert_eq!(job.attempt, attempt);
        let reason = Some(format!("{attempt}: the model is gone {}", "…".repeat(600)));
        job_queue
            .requeue(
                job.lease,
                &domain::ports::RequeueOptions { delay: Duration::ZERO, counts_as_attempt: true, reason },
            )
            .await?;
    }
    assert_eq!(job_queue.claim(&JobFilter::any(), LEASE_DURATION).await?, None, "the job is dead after five attempts");
    let (is_dead, error): (bool, String) =
        sqlx::query_as("SELECT dead_at IS NOT NULL, last_error FROM jobs").fetch_one(&mut superuser).await?;
    assert!(is_dead && error.starts_with("5: the model is gone") && error.chars().count() == 500, "{error}");
    assert_eq!(job_queue.enqueue_reindex().await?, 1, "a dead job is queued again");
    Ok(())
}
