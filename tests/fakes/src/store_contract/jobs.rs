//! Test cases for the job queue. A lease of zero duration expires immediately, so that no case has to wait.

use super::{CaseError, CaseResult, TestContext, require, user_id};
use domain::document::{Document, NewChunk, NewDocument, StatusChange};
use domain::ids::{DocumentId, TenantId};
use domain::ports::{
    InsertDocumentOutcome, JobCounts, JobFilter, JobKind, JobPayload, Lease, LeasedJob, QueueDepth, RequeueOptions,
    TenantPatch,
};
use domain::role::Classification;
use domain::scope::{Actor, TenantScope};
use futures::future::{join, join3, try_join_all};
use std::time::Duration;

const ZERO: Duration = Duration::ZERO;
const ONE_HOUR: Duration = Duration::from_secs(3600);

/// Size of a document above the limit of a worker for small documents.
const LARGE_DOCUMENT_BYTES: i64 = 90 << 20;
/// Size limit of a worker for small documents, in bytes.
const MAX_SMALL_DOCUMENT_BYTES: u64 = 2 << 20;

async fn claim(context: &TestContext) -> Result<Option<LeasedJob>, CaseError> {
    Ok(context.queue.claim(&JobFilter::any(), ONE_HOUR).await?)
}

/// Claims a job; an error if none is due.
async fn require_job(context: &TestContext) -> Result<LeasedJob, CaseError> {
    require(claim(context).await?)
}

/// Why a job is requeued, which decides whether its attempt counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RequeueReason {
    Failure,
    Shutdown,
}

async fn requeue(context: &TestContext, lease: Lease, delay: Duration, reason: RequeueReason) -> CaseResult {
    let counts_as_attempt = reason == RequeueReason::Failure;
    let options = RequeueOptions { delay, counts_as_attempt, reason: Some("a test".to_owned()) };
    Ok(context.queue.requeue(lease, &options).await?)
}

async fn enqueue_document(context: &TestContext, scope: &TenantScope, sha: char) -> Result<Document, CaseError> {
    let document = context.insert_document(scope, sha).await?;
    enqueue_again(context, scope, document.id).await?;
    Ok(document)
}

async fn enqueue_again(context: &TestContext, scope: &TenantScope, document: DocumentId) -> CaseResult {
    let mut tx = context.begin(scope).await?;
    tx.jobs().enqueue_ingestion(context.new_id(), document, context.now()).await?;
    Ok(tx.commit().await?)
}

async fn enqueue_large_document(context: &TestContext, scope: &TenantScope, sha: char) -> Result<Document, CaseError> {
    let new = NewDocument { file_size_bytes: LARGE_DOCUMENT_BYTES, ..context.new_document(user_id(scope)?, sha) };
    let mut tx = context.begin(scope).await?;
    let InsertDocumentOutcome::New(document) =
        tx.documents().insert(&new, Classification::Restricted, context.advance_clock()).await?
    else {
        return Err("the document already exists".into());
    };
    tx.jobs().enqueue_ingestion(context.new_id(), document.id, context.now()).await?;
    tx.commit().await?;
    Ok(document)
}

async fn enqueue_vector_index(context: &TestContext, scope: &TenantScope) -> CaseResult {
    let mut tx = context.begin(scope).await?;
    tx.jobs().enqueue_vector_index(context.new_id(), context.now()).await?;
    Ok(tx.commit().await?)
}

async fn set_tenant_active(context: &TestContext, tenant: TenantId, is_active: bool) -> CaseResult {
    let patch = TenantPatch { is_active: Some(is_active), ..TenantPatch::default() };
    require(context.directory.update_tenant(tenant, patch, &domain::tenant_change::ChangedBy::default()).await?)
        .map(drop)
}

async fn complete(context: &TestContext, scope: &TenantScope, lease: Lease) -> Result<bool, CaseError> {
    let mut tx = context.begin(scope).await?;
    let is_completed = tx.jobs().complete(lease).await?;
    tx.commit().await?;
    Ok(is_completed)
}

/// The scope has the job's tenant and the worker as actor: it can read the document, but no user-owned rows.
pub async fn a_claimed_job_has_its_tenants_scope(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    assert_eq!(claim(context).await?, None);
    let document = enqueue_document(context, &tenant_a.ada, 'a').await?;
    let job = require_job(context).await?;
    assert_eq!((job.payload, job.attempt, job.failures), (JobPayload::Ingest(document.id), 1, 0));
    assert_eq!((job.scope.tenant(), job.scope.actor()), (tenant_a.id, Actor::Worker));
    assert!(job.max_attempts > 1);
    let mut tx = context.begin(&job.scope).await?;
    assert_eq!(tx.documents().get(document.id, document.classification).await?, Some(document));
    drop(tx);
    assert!(complete(context, &job.scope, job.lease).await?);
    assert!(!complete(context, &job.scope, job.lease).await?);
    assert_eq!(claim(context).await?, None);
    Ok(())
}

/// Four concurrent workers claim twelve jobs, none of them twice.
pub async fn a_claimed_job_is_not_claimed_again(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    for sha in "0123456789ab".chars() {
        enqueue_document(context, &tenant_a.ada, sha).await?;
    }
    let workers = (0..4).map(|_| async {
        let mut claimed = Vec::new();
        while let Some(job) = claim(context).await? {
            claimed.push(job.lease.job);
        }
        Ok::<_, CaseError>(claimed)
    });
    let mut jobs: Vec<_> = try_join_all(workers).await?.into_iter().flatten().collect();
    assert_eq!(jobs.len(), 12);
    jobs.sort_unstable();
    jobs.dedup();
    assert_eq!(jobs.len(), 12);
    Ok(())
}

/// A worker whose lease was taken over can neither extend, complete nor requeue the job.
pub async fn a_lost_lease_cannot_complete_a_job(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    enqueue_document(context, &tenant_a.ada, 'a').await?;
    let expired = require(context.queue.claim(&JobFilter::any(), ZERO).await?)?;
    let current = require_job(context).await?;
    assert_eq!((current.lease.job, current.attempt), (expired.lease.job, 2));
    assert!(!context.queue.heartbeat(expired.lease, ONE_HOUR).await?);
    assert!(!complete(context, &expired.scope, expired.lease).await?);
    requeue(context, expired.lease, ZERO, RequeueReason::Failure).await?;
    assert_eq!(claim(context).await?, None);
    assert!(context.queue.heartbeat(current.lease, ONE_HOUR).await?);
    assert!(complete(context, &current.scope, current.lease).await?);
    assert!(!context.queue.heartbeat(current.lease, ONE_HOUR).await?);
    Ok(())
}

/// Requeueing counts as an attempt, except after an orderly shutdown.
pub async fn requeueing_sets_the_delay_and_the_attempt_count(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    enqueue_document(context, &tenant_a.ada, 'a').await?;
    let first = require_job(context).await?;
    requeue(context, first.lease, ZERO, RequeueReason::Shutdown).await?;
    assert!(!complete(context, &first.scope, first.lease).await?, "requeueing ends the lease");
    let second = require_job(context).await?;
    assert_eq!((second.attempt, second.failures), (1, 1));
    requeue(context, second.lease, ZERO, RequeueReason::Failure).await?;
    let third = require_job(context).await?;
    assert_eq!((third.attempt, third.failures), (2, 2));
    requeue(context, third.lease, ONE_HOUR, RequeueReason::Failure).await?;
    assert_eq!(claim(context).await?, None);
    Ok(())
}

/// A document queued twice is claimed once; deleting it deletes the job; another tenant cannot complete it.
pub async fn a_document_has_one_job_that_is_deleted_with_it(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let document = enqueue_document(context, &tenant_a.ada, 'a').await?;
    enqueue_again(context, &tenant_a.ada, document.id).await?;
    let job = require_job(context).await?;
    assert_eq!(claim(context).await?, None);
    assert!(!complete(context, &tenant_b.ada, job.lease).await?);
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.documents().delete(document.id).await?;
    tx.commit().await?;
    assert!(!context.queue.heartbeat(job.lease, ONE_HOUR).await?);
    assert!(!complete(context, &job.scope, job.lease).await?);
    Ok(())
}

/// This is independent of how many jobs are queued, and in which order.
pub async fn a_tenant_with_many_jobs_does_not_delay_another(context: &TestContext) -> CaseResult {
    let (busy_tenant, idle_tenant) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    for sha in "0123456789ab".chars() {
        enqueue_document(context, &busy_tenant.ada, sha).await?;
    }
    require_job(context).await?;
    require_job(context).await?;
    let late_document = enqueue_document(context, &idle_tenant.ada, 'a').await?;
    assert_eq!(
        require_job(context).await?.payload,
        JobPayload::Ingest(late_document.id),
        "the other tenant has no leased job"
    );
    assert_eq!(require_job(context).await?.scope.tenant(), busy_tenant.id, "no other tenant has due jobs");
    Ok(())
}

/// A single worker without leased jobs alternates between tenants.
pub async fn tenants_take_turns(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    for sha in "abc".chars() {
        enqueue_document(context, &tenant_a.ada, sha).await?;
    }
    for sha in "abc".chars() {
        enqueue_document(context, &tenant_b.ada, sha).await?;
    }
    let mut served_tenants = Vec::new();
    while let Some(job) = claim(context).await? {
        served_tenants.push(job.scope.tenant());
        assert!(complete(context, &job.scope, job.lease).await?);
    }
    assert_eq!(served_tenants.len(), 6);
    assert!(served_tenants.windows(2).all(|pair| pair[0] != pair[1]), "{served_tenants:?}");
    Ok(())
}

/// A worker limited to small documents claims no large one.
pub async fn small_documents_go_first(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let large = enqueue_large_document(context, &tenant_a.ada, 'a').await?;
    let small = enqueue_document(context, &tenant_a.ada, 'b').await?;
    let last = enqueue_document(context, &tenant_a.ada, 'c').await?;
    assert_eq!(require_job(context).await?.payload, JobPayload::Ingest(small.id));
    let only_small = JobFilter { kinds: vec![JobKind::Ingestion], max_document_bytes: Some(MAX_SMALL_DOCUMENT_BYTES) };
    let next = require(context.queue.claim(&only_small, ONE_HOUR).await?)?;
    assert_eq!(next.payload, JobPayload::Ingest(last.id));
    assert_eq!(context.queue.claim(&only_small, ONE_HOUR).await?, None);
    assert_eq!(require_job(context).await?.payload, JobPayload::Ingest(large.id));
    Ok(())
}

/// Index builds and reindexing are queued once per tenant, regardless of how often they are requested.
pub async fn tenant_wide_jobs_are_queued_once(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let inactive_tenant = context.create_tenant("c").await?;
    set_tenant_active(context, inactive_tenant.id, false).await?;
    enqueue_vector_index(context, &tenant_a.ada).await?;
    enqueue_vector_index(context, &tenant_a.ada).await?;
    assert_eq!(context.queue.enqueue_reindex().await?, 2);
    assert_eq!(context.queue.enqueue_reindex().await?, 0);
    let ingestion = JobFilter { kinds: vec![JobKind::Ingestion], max_document_bytes: None };
    assert_eq!(context.queue.claim(&ingestion, ONE_HOUR).await?, None);
    let mut claims = Vec::new();
    while let Some(job) = claim(context).await? {
        claims.push((job.scope.tenant(), job.payload.kind()));
    }
    claims.sort_unstable();
    let mut expected =
        vec![(tenant_a.id, JobKind::VectorIndex), (tenant_a.id, JobKind::Reindex), (tenant_b.id, JobKind::Reindex)];
    expected.sort_unstable();
    assert_eq!(claims, expected);
    Ok(())
}

async fn enqueue_approvals(context: &TestContext, scope: &TenantScope) -> CaseResult {
    let mut tx = context.begin(scope).await?;
    tx.jobs().enqueue_approvals(context.new_id(), context.now()).await?;
    Ok(tx.commit().await?)
}

/// What is approved does not wait until a job tries again what failed. A leased job stays leased, and jobs of other
/// kinds wait.
pub async fn a_waiting_job_for_approvals_is_due_when_it_is_queued_again(context: &TestContext) -> CaseResult {
    let ada = context.create_tenant("a").await?.ada;
    enqueue_approvals(context, &ada).await?;
    let first = require_job(context).await?;
    enqueue_approvals(context, &ada).await?;
    assert_eq!(claim(context).await?, None, "it is leased");
    requeue(context, first.lease, ONE_HOUR, RequeueReason::Failure).await?;
    assert_eq!(claim(context).await?, None, "it waits");
    enqueue_approvals(context, &ada).await?;
    let second = require_job(context).await?;
    assert_eq!((second.lease.job, second.attempt, second.failures), (first.lease.job, 2, 1));
    enqueue_vector_index(context, &ada).await?;
    let index = require_job(context).await?;
    requeue(context, index.lease, ONE_HOUR, RequeueReason::Failure).await?;
    enqueue_vector_index(context, &ada).await?;
    assert_eq!(claim(context).await?, None);
    Ok(())
}

/// A dead job is kept for inspection; queueing it again resets its attempts.
pub async fn a_dead_job_is_not_claimed_until_it_is_queued_again(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let document = enqueue_document(context, &tenant_a.ada, 'a').await?;
    let first = require_job(context).await?;
    requeue(context, first.lease, ZERO, RequeueReason::Failure).await?;
    let second = require_job(context).await?;
    for (scope, lease) in [(&tenant_b.ada, second.lease), (&tenant_a.ada, first.lease)] {
        let mut tx = context.begin(scope).await?;
        assert!(!tx.jobs().dead_letter(lease, None, context.now()).await?);
        tx.commit().await?;
    }
    let mut tx = context.begin(&second.scope).await?;
    assert!(tx.jobs().dead_letter(second.lease, Some("all attempts failed"), context.now()).await?);
    tx.commit().await?;
    assert_eq!(claim(context).await?, None);
    assert!(!context.queue.heartbeat(second.lease, ONE_HOUR).await?);
    assert!(!complete(context, &second.scope, second.lease).await?);
    assert_eq!(context.queue.depth().await?, QueueDepth { dead: 1, ..QueueDepth::default() });
    enqueue_again(context, &tenant_a.ada, document.id).await?;
    let requeued = require_job(context).await?;
    assert_eq!((requeued.payload, requeued.attempt, requeued.failures), (JobPayload::Ingest(document.id), 1, 0));
    assert!(!complete(context, &second.scope, second.lease).await?, "the lease from before the dead-lettering is lost");
    enqueue_again(context, &tenant_a.ada, document.id).await?;
    assert_eq!(claim(context).await?, None, "a leased job is not queued twice");
    assert!(complete(context, &requeued.scope, requeued.lease).await?);
    Ok(())
}

/// A lease is held past its expiry, until another worker claims the job.
pub async fn a_lease_lasts_until_another_claim(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    enqueue_document(context, &tenant_a.ada, 'a').await?;
    let expired = require(context.queue.claim(&JobFilter::any(), ZERO).await?)?;
    let holds_lease = async |scope: &TenantScope, lease: Lease| -> Result<bool, CaseError> {
        let mut tx = context.begin(scope).await?;
        let is_held = tx.jobs().holds_lease(lease).await?;
        // Releases the lock now. A dropped transaction would be rolled back a little later.
        tx.commit().await?;
        Ok(is_held)
    };
    assert!(holds_lease(&expired.scope, expired.lease).await?, "an expired lease is kept until another claim");
    let current = require_job(context).await?;
    assert!(!holds_lease(&expired.scope, expired.lease).await?);
    assert!(holds_lease(&current.scope, current.lease).await?);
    assert!(!holds_lease(&tenant_b.ada, current.lease).await?);
    Ok(())
}

/// The jobs of an inactive tenant are not claimed, and heartbeats of its leased jobs return `false`.
pub async fn an_inactive_tenant_is_not_served(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    enqueue_document(context, &tenant_a.ada, 'a').await?;
    enqueue_document(context, &tenant_a.ada, 'b').await?;
    let job = require_job(context).await?;
    set_tenant_active(context, tenant_a.id, false).await?;
    assert!(!context.queue.heartbeat(job.lease, ONE_HOUR).await?);
    assert_eq!(claim(context).await?, None);
    set_tenant_active(context, tenant_a.id, true).await?;
    assert!(context.queue.heartbeat(job.lease, ONE_HOUR).await?);
    require_job(context).await?;
    Ok(())
}

/// The counts cover all tenants.
pub async fn the_depth_counts_due_leased_and_dead_jobs(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    assert_eq!(context.queue.depth().await?, QueueDepth::default());
    for sha in "abc".chars() {
        enqueue_document(context, &tenant_a.ada, sha).await?;
    }
    enqueue_document(context, &tenant_b.ada, 'a').await?;
    let depth = context.queue.depth().await?;
    assert_eq!((depth.due, depth.leased, depth.dead), (4, 0, 0));
    require_job(context).await?;
    let second = require_job(context).await?;
    requeue(context, second.lease, ONE_HOUR, RequeueReason::Failure).await?;
    let counts = |pending| JobCounts { pending, dead: 0 };
    assert_eq!(context.queue.job_counts(JobKind::Ingestion).await?, counts(4), "leased and delayed jobs are pending");
    assert_eq!(context.queue.job_counts(JobKind::Reindex).await?, counts(0));
    let expired = require(context.queue.claim(&JobFilter::any(), ZERO).await?)?;
    let depth = context.queue.depth().await?;
    assert_eq!((depth.due, depth.leased, depth.dead), (2, 1, 0), "one job is delayed, one lease has expired");
    assert!(complete(context, &expired.scope, expired.lease).await?);
    Ok(())
}

/// Documents published with a model that is no longer configured are queued again; those never published are not.
pub async fn documents_embedded_by_other_models_are_requeued(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let old = context.insert_document(&tenant_a.ada, 'a').await?;
    let current = context.insert_document(&tenant_a.ada, 'b').await?;
    context.insert_document(&tenant_a.ada, 'c').await?;
    for (document, model) in [(&old, "old"), (&current, "kept")] {
        let mut tx = context.begin(&tenant_a.ada).await?;
        let chunk = NewChunk {
            id: context.new_id(),
            chunk_index: 0,
            content: "Open the valve.".to_owned(),
            context: String::new(),
            token_count: 4,
            page: None,
            section: None,
            embedding: vec![1.0, 0.0],
            term_hashes: None,
        };
        tx.chunks().replace(document.id, model, &[chunk], context.now()).await?;
        let ready = StatusChange::Ready { title: None, page_count: None, chunk_count: 1, warnings: Vec::new() };
        tx.documents().set_status(document.id, &ready, context.now()).await?;
        tx.commit().await?;
    }
    let configured = ["kept".to_owned(), "next".to_owned()];
    assert_eq!(context.queue.requeue_documents_embedded_by_other_models(&configured).await?, 1);
    assert_eq!(context.queue.requeue_documents_embedded_by_other_models(&configured).await?, 0, "it is already queued");
    assert_eq!(require_job(context).await?.payload, JobPayload::Ingest(old.id));
    assert_eq!(claim(context).await?, None);
    Ok(())
}

/// All workers must wake, because the first one may be limited to another kind of job.
pub async fn a_job_requeued_without_delay_wakes_all_waiting_workers(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    enqueue_document(context, &tenant_a.ada, 'a').await?;
    let job = require_job(context).await?;
    // The first wait may return immediately, because of an earlier notification.
    context.queue.wait_for_job(ONE_HOUR).await;
    let wakeups = join3(
        context.queue.wait_for_job(ONE_HOUR),
        context.queue.wait_for_job(ONE_HOUR),
        requeue(context, job.lease, ZERO, RequeueReason::Shutdown),
    );
    let ((), (), requeue_result) = tokio::time::timeout(Duration::from_secs(20), wakeups).await?;
    requeue_result
}

/// The wait returns long before its timeout.
pub async fn a_queued_job_wakes_a_waiting_worker(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    // The first wait may return immediately, to cover jobs that were queued before it started to listen.
    context.queue.wait_for_job(Duration::from_millis(1)).await;
    context.queue.wait_for_job(Duration::from_millis(1)).await;
    let waiting = async {
        loop {
            if let Some(job) = claim(context).await? {
                return Ok::<_, CaseError>(job);
            }
            context.queue.wait_for_job(ONE_HOUR).await;
        }
    };
    let (claimed, queued) =
        join(tokio::time::timeout(Duration::from_secs(20), waiting), enqueue_document(context, &tenant_a.ada, 'a'))
            .await;
    assert_eq!(claimed??.payload, JobPayload::Ingest(queued?.id));
    Ok(())
}
