//! The worker and its queue: which jobs are requeued, with which delay, and whether an attempt is counted.

use async_trait::async_trait;
use domain::authorized::Permit;
use domain::document::{Document, NewDocument, Revision};
use domain::ids::{DocumentId, TenantId};
use domain::ports::{
    ByteRange, ByteStream, Clock, JobPayload, JobQueue, Lease, LeasedJob, MockJobQueue, NewTenant, QueueDepth,
    RequeueOptions, Store, StoreError, TenantDirectory,
};
use domain::role::{Classification, Role};
use domain::scope::Actor;
use domain::upload::{Upload, UploadOutcome};
use fakes::store_contract::{identity, scope};
use fakes::{InMemoryStore, ManualClock};
use futures::future::BoxFuture;
use runtime::worker::{Worker, WorkerSettings};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tools::error::IngestError;
use tools::ingest::interface::{Ingest, JobOutcome, RetryLater};
use uuid::Uuid;

type ProcessFuture = BoxFuture<'static, Result<JobOutcome, RetryLater>>;

/// Ingestion that processes every job with a closure of the test.
struct ScriptedIngest(Box<dyn Fn() -> ProcessFuture + Send + Sync>);

#[async_trait]
impl Ingest for ScriptedIngest {
    async fn accept(&self, _: &Permit, _: Upload) -> Result<UploadOutcome, IngestError> {
        unreachable!("a worker accepts no uploads")
    }
    async fn open(&self, _: &Permit, _: &Document, _: Option<ByteRange>) -> Result<ByteStream, IngestError> {
        unreachable!("a worker opens no documents")
    }
    async fn requeue(&self, _: &Permit, _: DocumentId) -> Result<Option<Document>, IngestError> {
        unreachable!("a worker requeues no documents")
    }
    async fn discard(&self, _: &Permit, _: &Document) -> Result<(), IngestError> {
        unreachable!("a worker discards no documents")
    }
    async fn process(&self, _: &LeasedJob) -> Result<JobOutcome, RetryLater> {
        (self.0)().await
    }
}

const LEASE: Lease = Lease { job: domain::ids::JobId::from_uuid(Uuid::from_u128(1)), token: 3 };

/// Runs a worker on one job that has failed `failures` times before, and returns its requeues. `heartbeat` gives the
/// result of each heartbeat. The worker shuts down once the queue is empty.
async fn run_one_job(
    failures: u32,
    shutdown: CancellationToken,
    heartbeat: impl FnMut() -> Result<bool, StoreError> + Send + 'static,
    process: impl Fn() -> ProcessFuture + Send + Sync + 'static,
) -> Vec<(Lease, RequeueOptions)> {
    let job = LeasedJob {
        lease: LEASE,
        scope: scope(TenantId::PLATFORM, Actor::Worker),
        payload: JobPayload::Ingest(Uuid::from_u128(2).into()),
        attempt: 1,
        max_attempts: 5,
        failures,
        traceparent: None,
    };
    let requeued: Arc<Mutex<Vec<(Lease, RequeueOptions)>>> = Arc::default();
    let mut queue = MockJobQueue::new();
    let (mut jobs, stop) = (vec![job], shutdown.clone());
    queue.expect_claim().returning(move |_, _| {
        let next = jobs.pop();
        if next.is_none() {
            stop.cancel();
        }
        Ok(next)
    });
    queue.expect_wait_for_job().returning(|_| ());
    let mut heartbeat = heartbeat;
    queue.expect_heartbeat().returning(move |_, _| heartbeat());
    let recorded = Arc::clone(&requeued);
    queue.expect_requeue().returning(move |lease, requeue| {
        recorded.lock().expect("no panic under the lock").push((lease, requeue.clone()));
        Ok(())
    });
    let worker = Worker::new(Arc::new(queue), Arc::new(ScriptedIngest(Box::new(process))), WorkerSettings::default());
    worker.run(shutdown).await;
    requeued.lock().expect("no panic under the lock").clone()
}

fn heartbeat_ok() -> Result<bool, StoreError> {
    Ok(true)
}

#[tokio::test(start_paused = true)]
async fn a_finished_job_is_not_requeued() {
    let requeue =
        run_one_job(0, CancellationToken::new(), heartbeat_ok, || Box::pin(async { Ok(JobOutcome::Ready) })).await;
    assert_eq!(requeue, []);
}

/// Returns the requeue of a job that should be retried and has failed `failures` times before.
async fn requeue_of_retry(failures: u32, counts_as_attempt: bool) -> RequeueOptions {
    let process = move || -> ProcessFuture {
        Box::pin(async move { Err(RetryLater { reason: "the model is down".into(), counts_as_attempt }) })
    };
    let mut requeues = run_one_job(failures, CancellationToken::new(), heartbeat_ok, process).await;
    assert_eq!(requeues.len(), 1);
    let (lease, requeue) = requeues.remove(0);
    assert_eq!(
        (lease, requeue.counts_as_attempt, requeue.reason.as_deref()),
        (LEASE, counts_as_attempt, Some("the model is down"))
    );
    requeue
}

#[tokio::test(start_paused = true)]
async fn the_retry_delay_doubles_with_each_failure_up_to_a_limit() {
    for (failures, seconds, outage_seconds) in [(0, 5, 5), (1, 10, 10), (2, 20, 20), (6, 320, 60), (40, 320, 60)] {
        for (counts, seconds) in [(true, seconds), (false, outage_seconds)] {
            let delay = requeue_of_retry(failures, counts).await.delay.as_secs_f64();
            let spread = f64::from(seconds) * 0.75..=f64::from(seconds) * 1.25;
            assert!(spread.contains(&delay), "{failures} failures, counts {counts}: {delay} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_uses_up_the_attempt_and_does_not_end_the_worker() {
    let requeue =
        run_one_job(0, CancellationToken::new(), heartbeat_ok, || Box::pin(async { panic!("a bug in a reader") }))
            .await;
    assert_eq!(requeue.len(), 1);
    assert!(requeue[0].1.counts_as_attempt && requeue[0].1.reason.as_deref() == Some("ingestion panicked"));
}

#[tokio::test(start_paused = true)]
async fn partly_done_work_is_requeued_without_using_up_an_attempt() {
    let requeue =
        run_one_job(0, CancellationToken::new(), heartbeat_ok, || Box::pin(async { Ok(JobOutcome::Unfinished) })).await;
    assert_eq!(
        requeue,
        [(LEASE, RequeueOptions { delay: Duration::from_secs(1), counts_as_attempt: false, reason: None })]
    );
}

/// Returns jobs that never end. Dropping one sets the flag.
fn endless_job(dropped: &Arc<AtomicBool>) -> impl Fn() -> ProcessFuture + Send + Sync + 'static {
    struct OnDrop(Arc<AtomicBool>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::clone(dropped);
    move || {
        let guard = OnDrop(Arc::clone(&dropped));
        Box::pin(async move {
            let _guard = guard;
            std::future::pending().await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn work_stops_and_is_not_requeued_when_the_lease_is_lost() {
    let dropped = Arc::new(AtomicBool::new(false));
    let started = tokio::time::Instant::now();
    let mut heartbeats = [Ok(true), Err(StoreError::Conflict { reason: "A brief outage." }), Ok(false)].into_iter();
    let requeue =
        run_one_job(0, CancellationToken::new(), move || heartbeats.next().unwrap_or(Ok(false)), endless_job(&dropped))
            .await;
    assert_eq!(requeue, []);
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(
        started.elapsed().as_secs(),
        60,
        "three heartbeats of a third of the lease: an outage alone does not lose the lease"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_requeues_the_job_at_once_without_using_up_an_attempt() {
    let (dropped, shutdown) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let stop = shutdown.clone();
    let stopping = async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    };
    let (requeue, ()) = tokio::join!(run_one_job(0, shutdown, heartbeat_ok, endless_job(&dropped)), stopping);
    assert_eq!(requeue, [(LEASE, RequeueOptions::default())]);
    assert!(dropped.load(Ordering::SeqCst));
}

const SMALL: i64 = 1 << 20;
const LARGE: i64 = 90 << 20;

/// An in-memory queue with ingestion jobs of documents of these sizes.
async fn queue_of(sizes: &[i64]) -> Arc<InMemoryStore> {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(InMemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>));
    let tenant = TenantId::from_uuid(Uuid::from_u128(7));
    store.create_tenant(NewTenant { id: tenant, name: "a".into(), slug: "a".into() }).await.expect("a tenant");
    let mut tx = store.begin(&scope(tenant, Actor::System)).await.expect("a transaction");
    let user = Uuid::from_u128(8).into();
    tx.users().sign_in(user, &identity("ada", Some(Role::User)), clock.now()).await.expect("a user");
    for (n, size) in (100..).zip(sizes) {
        let document = NewDocument {
            id: Uuid::from_u128(n).into(),
            filename: n.to_string(),
            title: n.to_string(),
            mime_type: "text/plain".into(),
            file_size_bytes: *size,
            sha256: n.to_string(),
            storage_path: n.to_string(),
            doc_type: None,
            tags: vec![],
            classification: Classification::Internal,
            revision: Revision::default(),
            metadata: json!({}),
            uploaded_by: user,
        };
        tx.documents().insert(&document, Classification::Restricted, clock.now()).await.expect("a document");
        tx.jobs().enqueue_ingestion(Uuid::from_u128(1000 + n).into(), document.id, clock.now()).await.expect("a job");
    }
    tx.commit().await.expect("a commit");
    store
}

/// Returns the numbers of due and of leased jobs.
async fn due_and_leased(queue: &InMemoryStore) -> (u64, u64) {
    let QueueDepth { due, leased, .. } = queue.depth().await.expect("a depth");
    (due, leased)
}

/// Starts a pool of workers whose jobs never end, and waits until each has a job or finds none.
async fn start_pool(size: usize, queue: &Arc<InMemoryStore>) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let ingest: Arc<dyn Ingest> = Arc::new(ScriptedIngest(Box::new(|| Box::pin(std::future::pending()))));
    let jobs: Arc<dyn JobQueue> = Arc::clone(queue) as _;
    let pool = Worker::pool(size, &jobs, &ingest, WorkerSettings::default());
    assert_eq!(pool.len(), size);
    let token = stop.clone();
    let running = async move {
        futures::future::join_all(pool.iter().map(|worker| worker.run(token.clone()))).await;
    };
    let pool_task = tokio_util::task::TaskTracker::new().spawn(running);
    // The paused clock only advances when all workers are waiting.
    tokio::time::sleep(Duration::from_millis(1)).await;
    (stop, pool_task)
}

#[tokio::test(start_paused = true)]
async fn large_documents_leave_a_worker_free_for_small_ones() {
    let queue = queue_of(&[LARGE, LARGE, LARGE]).await;
    let (stop, running) = start_pool(2, &queue).await;
    assert_eq!(due_and_leased(&queue).await, (2, 1), "the worker for small documents stays free");
    stop.cancel();
    running.await.expect("no panic");
    let queue = queue_of(&[LARGE, LARGE, SMALL, SMALL, SMALL]).await;
    let (stop, running) = start_pool(3, &queue).await;
    assert_eq!(due_and_leased(&queue).await, (2, 3));
    stop.cancel();
    running.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_single_worker_takes_large_documents_too() {
    let queue = queue_of(&[LARGE]).await;
    let (stop, running) = start_pool(1, &queue).await;
    assert_eq!(due_and_leased(&queue).await, (0, 1));
    stop.cancel();
    running.await.expect("no panic");
    assert_eq!(due_and_leased(&queue).await, (1, 0), "and requeues it at once when it is stopped");
}
