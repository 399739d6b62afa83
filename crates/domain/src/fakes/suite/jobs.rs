//! The job queue. A lease of no length expires at once, so nothing here waits for one to end.

use super::{CaseError, CaseResult, World, some};
use crate::document::Document;
use crate::ports::Lease;
use crate::scope::{Actor, TenantScope};
use futures::future::{join, try_join_all};
use std::time::Duration;

const NO_TIME: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(3600);

async fn queue(world: &World, scope: &TenantScope, sha: char) -> Result<Document, CaseError> {
    let document = world.document(scope, sha).await?;
    let mut tx = world.begin(scope).await?;
    tx.jobs().enqueue_ingestion(world.id(), document.id, world.now()).await?;
    tx.commit().await?;
    Ok(document)
}

async fn complete(world: &World, scope: &TenantScope, lease: Lease) -> Result<bool, CaseError> {
    let mut tx = world.begin(scope).await?;
    let done = tx.jobs().complete(lease).await?;
    tx.commit().await?;
    Ok(done)
}

/// The tenant's, as the worker: enough to see the document, not a user's rows.
pub async fn a_claimed_job_brings_its_tenants_scope(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    assert_eq!(world.queue.claim(LONG).await?, None);
    let document = queue(world, &plant.ada, 'a').await?;
    let job = some(world.queue.claim(LONG).await?)?;
    assert_eq!((job.document, job.attempt), (document.id, 1));
    assert_eq!((job.scope.tenant(), job.scope.actor()), (plant.tenant, Actor::Worker));
    assert!(job.max_attempts > 1);
    let mut tx = world.begin(&job.scope).await?;
    assert_eq!(tx.documents().get(document.id, document.classification).await?, Some(document));
    drop(tx);
    assert!(complete(world, &job.scope, job.lease).await?);
    assert!(!complete(world, &job.scope, job.lease).await?);
    assert_eq!(world.queue.claim(LONG).await?, None);
    Ok(())
}

/// Four workers, twelve jobs, no job twice.
pub async fn a_claimed_job_is_not_claimed_again(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    for sha in "0123456789ab".chars() {
        queue(world, &plant.ada, sha).await?;
    }
    let workers = (0..4).map(|_| async {
        let mut claimed = Vec::new();
        while let Some(job) = world.queue.claim(LONG).await? {
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

/// The worker that slept too long can neither extend, nor finish, nor put back.
pub async fn a_lost_lease_finishes_nothing(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    queue(world, &plant.ada, 'a').await?;
    let slept = some(world.queue.claim(NO_TIME).await?)?;
    let holder = some(world.queue.claim(LONG).await?)?;
    assert_eq!((holder.lease.job, holder.attempt), (slept.lease.job, 2));
    assert!(!world.queue.heartbeat(slept.lease, LONG).await?);
    assert!(!complete(world, &slept.scope, slept.lease).await?);
    world.queue.put_back(slept.lease, NO_TIME, true).await?;
    assert_eq!(world.queue.claim(LONG).await?, None);
    assert!(world.queue.heartbeat(holder.lease, LONG).await?);
    assert!(complete(world, &holder.scope, holder.lease).await?);
    assert!(!world.queue.heartbeat(holder.lease, LONG).await?);
    Ok(())
}

/// An orderly shutdown uses no attempt up.
pub async fn a_job_put_back_waits_and_counts_as_said(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    queue(world, &plant.ada, 'a').await?;
    let first = some(world.queue.claim(LONG).await?)?;
    world.queue.put_back(first.lease, NO_TIME, false).await?;
    assert!(!complete(world, &first.scope, first.lease).await?, "a lease that was given back is no lease");
    let again = some(world.queue.claim(LONG).await?)?;
    assert_eq!(again.attempt, 1);
    world.queue.put_back(again.lease, NO_TIME, true).await?;
    let third = some(world.queue.claim(LONG).await?)?;
    assert_eq!(third.attempt, 2);
    world.queue.put_back(third.lease, LONG, true).await?;
    assert_eq!(world.queue.claim(LONG).await?, None);
    Ok(())
}

/// Queued twice, claimed once; deleted with the document; never another tenant's to finish.
pub async fn a_document_has_one_job_and_takes_it_along(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let document = queue(world, &here.ada, 'a').await?;
    let mut tx = world.begin(&here.ada).await?;
    tx.jobs().enqueue_ingestion(world.id(), document.id, world.now()).await?;
    tx.commit().await?;
    let job = some(world.queue.claim(LONG).await?)?;
    assert_eq!(world.queue.claim(LONG).await?, None);
    assert!(!complete(world, &there.ada, job.lease).await?);
    let mut tx = world.begin(&here.ada).await?;
    tx.documents().delete(document.id).await?;
    tx.commit().await?;
    assert!(!world.queue.heartbeat(job.lease, LONG).await?);
    assert!(!complete(world, &job.scope, job.lease).await?);
    Ok(())
}

/// Long before the wait would end by itself.
pub async fn a_queued_job_wakes_a_waiting_worker(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    // The first wait may end at once, to close the gap before it began to listen.
    world.queue.wait(Duration::from_millis(1)).await;
    world.queue.wait(Duration::from_millis(1)).await;
    let waiting = async {
        loop {
            if let Some(job) = world.queue.claim(LONG).await? {
                return Ok::<_, CaseError>(job);
            }
            world.queue.wait(LONG).await;
        }
    };
    let (claimed, queued) =
        join(tokio::time::timeout(Duration::from_secs(20), waiting), queue(world, &plant.ada, 'a')).await;
    assert_eq!(claimed??.document, queued?.id);
    Ok(())
}
