//! Cases on the job queue. A lease of zero duration expires at once, so no case has to wait for a lease to expire.

use super::{CaseError, CaseResult, World, owner, some};
use domain::document::{Document, NewChunk, NewDocument, StatusChange};
use domain::ids::{DocumentId, TenantId};
use domain::ports::{
    InsertedDocument, JobCounts, JobFilter, JobKind, Lease, LeasedJob, QueueDepth, Requeue, TenantPatch, Work,
};
use domain::role::Classification;
use domain::scope::{Actor, TenantScope};
use futures::future::{join, join3, try_join_all};
use std::time::Duration;

const NO_TIME: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(3600);

/// A document size above the limit of a worker for small documents.
const LARGE: i64 = 90 << 20;
/// Size limit of a worker for small documents, in bytes.
const SMALL: u64 = 2 << 20;

async fn claim(world: &World) -> Result<Option<LeasedJob>, CaseError> {
    Ok(world.queue.claim(&JobFilter::any(), LONG).await?)
}

/// Claims a job; an error if none is due.
async fn claimed(world: &World) -> Result<LeasedJob, CaseError> {
    some(claim(world).await?)
}

async fn requeue(world: &World, lease: Lease, delay: Duration, counts: bool) -> CaseResult {
    let how = Requeue { delay, counts, reason: Some("a test".to_owned()) };
    Ok(world.queue.requeue(lease, &how).await?)
}

async fn queue(world: &World, scope: &TenantScope, sha: char) -> Result<Document, CaseError> {
    let document = world.document(scope, sha).await?;
    queue_again(world, scope, document.id).await?;
    Ok(document)
}

async fn queue_again(world: &World, scope: &TenantScope, document: DocumentId) -> CaseResult {
    let mut tx = world.begin(scope).await?;
    tx.jobs().enqueue_ingestion(world.id(), document, world.now()).await?;
    Ok(tx.commit().await?)
}

async fn queue_large(world: &World, scope: &TenantScope, sha: char) -> Result<Document, CaseError> {
    let new = NewDocument { file_size_bytes: LARGE, ..world.new_document(owner(scope)?, sha) };
    let mut tx = world.begin(scope).await?;
    let InsertedDocument::New(document) =
        tx.documents().insert(&new, Classification::Restricted, world.later()).await?
    else {
        return Err("the document is there already".into());
    };
    tx.jobs().enqueue_ingestion(world.id(), document.id, world.now()).await?;
    tx.commit().await?;
    Ok(document)
}

async fn queue_vector_index(world: &World, scope: &TenantScope) -> CaseResult {
    let mut tx = world.begin(scope).await?;
    tx.jobs().enqueue_vector_index(world.id(), world.now()).await?;
    Ok(tx.commit().await?)
}

async fn switch(world: &World, tenant: TenantId, is_active: bool) -> CaseResult {
    let patch = TenantPatch { is_active: Some(is_active), ..TenantPatch::default() };
    some(world.directory.update_tenant(tenant, patch, &domain::tenant_change::ChangedBy::default()).await?).map(drop)
}

async fn complete(world: &World, scope: &TenantScope, lease: Lease) -> Result<bool, CaseError> {
    let mut tx = world.begin(scope).await?;
    let done = tx.jobs().complete(lease).await?;
    tx.commit().await?;
    Ok(done)
}

/// The scope has the job's tenant and the worker as actor: it can read the document, but no user-owned rows.
pub async fn a_claimed_job_has_its_tenants_scope(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    assert_eq!(claim(world).await?, None);
    let document = queue(world, &plant.ada, 'a').await?;
    let job = claimed(world).await?;
    assert_eq!((job.work, job.attempt, job.failures), (Work::Ingest(document.id), 1, 0));
    assert_eq!((job.scope.tenant(), job.scope.actor()), (plant.tenant, Actor::Worker));
    assert!(job.max_attempts > 1);
    let mut tx = world.begin(&job.scope).await?;
    assert_eq!(tx.documents().get(document.id, document.classification).await?, Some(document));
    drop(tx);
    assert!(complete(world, &job.scope, job.lease).await?);
    assert!(!complete(world, &job.scope, job.lease).await?);
    assert_eq!(claim(world).await?, None);
    Ok(())
}

/// Four concurrent workers claim twelve jobs, none of them twice.
pub async fn a_claimed_job_is_not_claimed_again(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    for sha in "0123456789ab".chars() {
        queue(world, &plant.ada, sha).await?;
    }
    let workers = (0..4).map(|_| async {
        let mut claimed = Vec::new();
        while let Some(job) = claim(world).await? {
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
pub async fn a_lost_lease_cannot_complete_a_job(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    queue(world, &plant.ada, 'a').await?;
    let slept = some(world.queue.claim(&JobFilter::any(), NO_TIME).await?)?;
    let holder = claimed(world).await?;
    assert_eq!((holder.lease.job, holder.attempt), (slept.lease.job, 2));
    assert!(!world.queue.heartbeat(slept.lease, LONG).await?);
    assert!(!complete(world, &slept.scope, slept.lease).await?);
    requeue(world, slept.lease, NO_TIME, true).await?;
    assert_eq!(claim(world).await?, None);
    assert!(world.queue.heartbeat(holder.lease, LONG).await?);
    assert!(complete(world, &holder.scope, holder.lease).await?);
    assert!(!world.queue.heartbeat(holder.lease, LONG).await?);
    Ok(())
}

/// An orderly shutdown does not use up an attempt.
pub async fn a_requeued_job_has_its_delay_and_attempts(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    queue(world, &plant.ada, 'a').await?;
    let first = claimed(world).await?;
    requeue(world, first.lease, NO_TIME, false).await?;
    assert!(!complete(world, &first.scope, first.lease).await?, "requeueing ends the lease");
    let again = claimed(world).await?;
    assert_eq!((again.attempt, again.failures), (1, 1));
    requeue(world, again.lease, NO_TIME, true).await?;
    let third = claimed(world).await?;
    assert_eq!((third.attempt, third.failures), (2, 2));
    requeue(world, third.lease, LONG, true).await?;
    assert_eq!(claim(world).await?, None);
    Ok(())
}

/// A document queued twice is claimed once; deleting it deletes the job; another tenant cannot complete it.
pub async fn a_document_has_one_job_that_is_deleted_with_it(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let document = queue(world, &here.ada, 'a').await?;
    queue_again(world, &here.ada, document.id).await?;
    let job = claimed(world).await?;
    assert_eq!(claim(world).await?, None);
    assert!(!complete(world, &there.ada, job.lease).await?);
    let mut tx = world.begin(&here.ada).await?;
    tx.documents().delete(document.id).await?;
    tx.commit().await?;
    assert!(!world.queue.heartbeat(job.lease, LONG).await?);
    assert!(!complete(world, &job.scope, job.lease).await?);
    Ok(())
}

/// The number of queued jobs and their order do not matter.
pub async fn a_tenant_with_many_jobs_does_not_delay_another(world: &World) -> CaseResult {
    let (many, one) = (world.plant("a").await?, world.plant("b").await?);
    for sha in "0123456789ab".chars() {
        queue(world, &many.ada, sha).await?;
    }
    claimed(world).await?;
    claimed(world).await?;
    let late = queue(world, &one.ada, 'a').await?;
    assert_eq!(claimed(world).await?.work, Work::Ingest(late.id), "the other tenant has no leased job");
    assert_eq!(claimed(world).await?.scope.tenant(), many.tenant, "no other tenant has due jobs");
    Ok(())
}

/// A single worker without leased jobs alternates between tenants.
pub async fn tenants_take_turns(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    for sha in "abc".chars() {
        queue(world, &here.ada, sha).await?;
    }
    for sha in "abc".chars() {
        queue(world, &there.ada, sha).await?;
    }
    let mut served = Vec::new();
    while let Some(job) = claim(world).await? {
        served.push(job.scope.tenant());
        assert!(complete(world, &job.scope, job.lease).await?);
    }
    assert_eq!(served.len(), 6);
    assert!(served.windows(2).all(|pair| pair[0] != pair[1]), "{served:?}");
    Ok(())
}

/// A worker limited to small documents claims no large one.
pub async fn small_documents_go_first(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let large = queue_large(world, &plant.ada, 'a').await?;
    let small = queue(world, &plant.ada, 'b').await?;
    let last = queue(world, &plant.ada, 'c').await?;
    assert_eq!(claimed(world).await?.work, Work::Ingest(small.id));
    let only_small = JobFilter { kinds: vec![JobKind::Ingestion], max_document_bytes: Some(SMALL) };
    let next = some(world.queue.claim(&only_small, LONG).await?)?;
    assert_eq!(next.work, Work::Ingest(last.id));
    assert_eq!(world.queue.claim(&only_small, LONG).await?, None);
    assert_eq!(claimed(world).await?.work, Work::Ingest(large.id));
    Ok(())
}

/// Index builds and reindexing are queued once per tenant, regardless of how often they are requested.
pub async fn tenant_wide_jobs_are_queued_once(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let off = world.plant("c").await?;
    switch(world, off.tenant, false).await?;
    queue_vector_index(world, &here.ada).await?;
    queue_vector_index(world, &here.ada).await?;
    assert_eq!(world.queue.enqueue_reindex().await?, 2);
    assert_eq!(world.queue.enqueue_reindex().await?, 0);
    let ingestion = JobFilter { kinds: vec![JobKind::Ingestion], max_document_bytes: None };
    assert_eq!(world.queue.claim(&ingestion, LONG).await?, None);
    let mut claims = Vec::new();
    while let Some(job) = claim(world).await? {
        claims.push((job.scope.tenant(), job.work.kind()));
    }
    claims.sort_unstable();
    let mut expected =
        vec![(here.tenant, JobKind::VectorIndex), (here.tenant, JobKind::Reindex), (there.tenant, JobKind::Reindex)];
    expected.sort_unstable();
    assert_eq!(claims, expected);
    Ok(())
}

/// A dead job is kept for inspection; queueing it again resets its attempts.
pub async fn a_dead_job_is_not_claimed_until_it_is_queued_again(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let document = queue(world, &here.ada, 'a').await?;
    let first = claimed(world).await?;
    requeue(world, first.lease, NO_TIME, true).await?;
    let second = claimed(world).await?;
    for (scope, lease) in [(&there.ada, second.lease), (&here.ada, first.lease)] {
        let mut tx = world.begin(scope).await?;
        assert!(!tx.jobs().dead_letter(lease, None, world.now()).await?);
        tx.commit().await?;
    }
    let mut tx = world.begin(&second.scope).await?;
    assert!(tx.jobs().dead_letter(second.lease, Some("in vain"), world.now()).await?);
    tx.commit().await?;
    assert_eq!(claim(world).await?, None);
    assert!(!world.queue.heartbeat(second.lease, LONG).await?);
    assert!(!complete(world, &second.scope, second.lease).await?);
    assert_eq!(world.queue.depth().await?, QueueDepth { dead: 1, ..QueueDepth::default() });
    queue_again(world, &here.ada, document.id).await?;
    let revived = claimed(world).await?;
    assert_eq!((revived.work, revived.attempt, revived.failures), (Work::Ingest(document.id), 1, 0));
    assert!(!complete(world, &second.scope, second.lease).await?, "the lease from before the dead-lettering is lost");
    queue_again(world, &here.ada, document.id).await?;
    assert_eq!(claim(world).await?, None, "a leased job is not queued twice");
    assert!(complete(world, &revived.scope, revived.lease).await?);
    Ok(())
}

/// Until a transaction that has checked its lease ends, no other worker can claim the job.
pub async fn a_lease_lasts_until_another_claim(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    queue(world, &here.ada, 'a').await?;
    let slept = some(world.queue.claim(&JobFilter::any(), NO_TIME).await?)?;
    let holds = async |scope: &TenantScope, lease: Lease| -> Result<bool, CaseError> {
        let mut tx = world.begin(scope).await?;
        let held = tx.jobs().holds(lease).await?;
        // Releases the lock now; a dropped transaction is rolled back a little later.
        tx.commit().await?;
        Ok(held)
    };
    assert!(holds(&slept.scope, slept.lease).await?, "an expired lease is kept until another claim");
    let holder = claimed(world).await?;
    assert!(!holds(&slept.scope, slept.lease).await?);
    assert!(holds(&holder.scope, holder.lease).await?);
    assert!(!holds(&there.ada, holder.lease).await?);
    Ok(())
}

/// The jobs of an inactive tenant are not claimed, and heartbeats of its leased jobs return `false`.
pub async fn an_inactive_tenant_is_not_served(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    queue(world, &plant.ada, 'a').await?;
    queue(world, &plant.ada, 'b').await?;
    let job = claimed(world).await?;
    switch(world, plant.tenant, false).await?;
    assert!(!world.queue.heartbeat(job.lease, LONG).await?);
    assert_eq!(claim(world).await?, None);
    switch(world, plant.tenant, true).await?;
    assert!(world.queue.heartbeat(job.lease, LONG).await?);
    claimed(world).await?;
    Ok(())
}

/// The counts cover all tenants.
pub async fn the_depth_counts_due_leased_and_dead_jobs(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    assert_eq!(world.queue.depth().await?, QueueDepth::default());
    for sha in "abc".chars() {
        queue(world, &here.ada, sha).await?;
    }
    queue(world, &there.ada, 'a').await?;
    let depth = world.queue.depth().await?;
    assert_eq!((depth.due, depth.leased, depth.dead), (4, 0, 0));
    claimed(world).await?;
    let second = claimed(world).await?;
    requeue(world, second.lease, LONG, true).await?;
    let left = |pending| JobCounts { pending, dead: 0 };
    assert_eq!(world.queue.job_counts(JobKind::Ingestion).await?, left(4), "leased and delayed jobs are pending");
    assert_eq!(world.queue.job_counts(JobKind::Reindex).await?, left(0));
    let expired = some(world.queue.claim(&JobFilter::any(), NO_TIME).await?)?;
    let depth = world.queue.depth().await?;
    assert_eq!((depth.due, depth.leased, depth.dead), (2, 1, 0), "one job is delayed, one lease has expired");
    assert!(complete(world, &expired.scope, expired.lease).await?);
    Ok(())
}

/// Documents published with a model that is no longer configured are queued again; those never published are not.
pub async fn documents_of_other_models_are_queued_again(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let old = world.document(&plant.ada, 'a').await?;
    let kept = world.document(&plant.ada, 'b').await?;
    world.document(&plant.ada, 'c').await?;
    for (document, model) in [(&old, "old"), (&kept, "kept")] {
        let mut tx = world.begin(&plant.ada).await?;
        let chunk = NewChunk {
            id: world.id(),
            chunk_index: 0,
            content: "Open the valve.".to_owned(),
            context: String::new(),
            token_count: 4,
            page: None,
            section: None,
            embedding: vec![1.0, 0.0],
            terms: None,
        };
        tx.chunks().replace(document.id, model, &[chunk], world.now()).await?;
        let ready = StatusChange::Ready { title: None, page_count: None, chunk_count: 1, warnings: Vec::new() };
        tx.documents().advance(document.id, &ready, world.now()).await?;
        tx.commit().await?;
    }
    let configured = ["kept".to_owned(), "next".to_owned()];
    assert_eq!(world.queue.requeue_documents_of_other_models(&configured).await?, 1);
    assert_eq!(world.queue.requeue_documents_of_other_models(&configured).await?, 0, "it is queued already");
    assert_eq!(claimed(world).await?.work, Work::Ingest(old.id));
    assert_eq!(claim(world).await?, None);
    Ok(())
}

/// All workers must wake, because the first one may be limited to another kind of job.
pub async fn a_job_requeued_without_delay_wakes_all_waiting_workers(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    queue(world, &plant.ada, 'a').await?;
    let job = claimed(world).await?;
    // The first wait returns at once: it has started to listen, or was notified of an earlier job.
    world.queue.wait(LONG).await;
    let told = join3(world.queue.wait(LONG), world.queue.wait(LONG), requeue(world, job.lease, NO_TIME, false));
    let ((), (), requeue) = tokio::time::timeout(Duration::from_secs(20), told).await?;
    requeue
}

/// The wait returns long before its timeout.
pub async fn a_queued_job_wakes_a_waiting_worker(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    // The first wait may return at once, to cover jobs that were queued before it started to listen.
    world.queue.wait(Duration::from_millis(1)).await;
    world.queue.wait(Duration::from_millis(1)).await;
    let waiting = async {
        loop {
            if let Some(job) = claim(world).await? {
                return Ok::<_, CaseError>(job);
            }
            world.queue.wait(LONG).await;
        }
    };
    let (claimed, queued) =
        join(tokio::time::timeout(Duration::from_secs(20), waiting), queue(world, &plant.ada, 'a')).await;
    assert_eq!(claimed??.work, Work::Ingest(queued?.id));
    Ok(())
}
