//! The worker and its queue: what is put back, when, and whether an attempt is used up.

use async_trait::async_trait;
use domain::authorized::Permit;
use domain::document::Document;
use domain::fakes::suite::scope;
use domain::ids::{DocumentId, TenantId};
use domain::ports::{ByteRange, ByteStream, Lease, LeasedJob, MockJobQueue, StoreError};
use domain::scope::Actor;
use domain::upload::{Accepted, Upload};
use futures::future::BoxFuture;
use runtime::worker::{Worker, WorkerSettings};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tools::error::IngestError;
use tools::ingest::accept::{Ingest, JobEnd, RetryLater};
use uuid::Uuid;

type Processing = BoxFuture<'static, Result<JobEnd, RetryLater>>;

/// Ingestion that does with a job what a test tells it.
struct Scripted(Box<dyn Fn() -> Processing + Send + Sync>);

#[async_trait]
impl Ingest for Scripted {
    async fn accept(&self, _: &Permit, _: Upload) -> Result<Accepted, IngestError> {
        unreachable!("a worker takes nothing in")
    }
    async fn open(&self, _: &Permit, _: &Document, _: Option<ByteRange>) -> Result<ByteStream, IngestError> {
        unreachable!("a worker hands nothing out")
    }
    async fn requeue(&self, _: &Permit, _: DocumentId) -> Result<Option<Document>, IngestError> {
        unreachable!("a worker queues nothing")
    }
    async fn discard(&self, _: &Permit, _: &Document) -> Result<(), IngestError> {
        unreachable!("a worker removes nothing")
    }
    async fn process(&self, _: &LeasedJob) -> Result<JobEnd, RetryLater> {
        (self.0)().await
    }
}

const LEASE: Lease = Lease { job: domain::ids::JobId::from_uuid(Uuid::from_u128(1)), token: 3 };

type PutBack = (Lease, Duration, bool);

/// Works off one job in its `attempt`, and returns what was put back. `heartbeat` answers each heartbeat; once the
/// job is dealt with, the worker shuts down.
async fn work_off(
    attempt: u32,
    shutdown: CancellationToken,
    heartbeat: impl FnMut() -> Result<bool, StoreError> + Send + 'static,
    process: impl Fn() -> Processing + Send + Sync + 'static,
) -> Vec<PutBack> {
    let job = LeasedJob {
        lease: LEASE,
        scope: scope(TenantId::PLATFORM, Actor::Worker),
        document: Uuid::from_u128(2).into(),
        attempt,
        max_attempts: 5,
    };
    let put_back: Arc<Mutex<Vec<PutBack>>> = Arc::default();
    let mut queue = MockJobQueue::new();
    let (mut jobs, stop) = (vec![job], shutdown.clone());
    queue.expect_claim().returning(move |_| {
        let next = jobs.pop();
        if next.is_none() {
            stop.cancel();
        }
        Ok(next)
    });
    queue.expect_wait().returning(|_| ());
    let mut heartbeat = heartbeat;
    queue.expect_heartbeat().returning(move |_, _| heartbeat());
    let seen = Arc::clone(&put_back);
    queue.expect_put_back().returning(move |lease, delay, counts| {
        seen.lock().expect("no panic under the lock").push((lease, delay, counts));
        Ok(())
    });
    let worker = Worker::new(Arc::new(queue), Arc::new(Scripted(Box::new(process))), WorkerSettings::default());
    worker.run(shutdown).await;
    put_back.lock().expect("no panic under the lock").clone()
}

fn held() -> Result<bool, StoreError> {
    Ok(true)
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ended_is_not_put_back() {
    let put_back = work_off(1, CancellationToken::new(), held, || Box::pin(async { Ok(JobEnd::Ready) })).await;
    assert_eq!(put_back, []);
}

#[tokio::test(start_paused = true)]
async fn a_job_to_be_tried_again_waits_longer_each_time_up_to_a_limit() {
    for (attempt, seconds) in [(1, 5), (2, 10), (3, 20), (7, 320), (40, 320)] {
        let later = || -> Processing {
            Box::pin(async { Err(RetryLater { reason: "the model is down".to_owned(), counts: false }) })
        };
        let put_back = work_off(attempt, CancellationToken::new(), held, later).await;
        assert_eq!(put_back, [(LEASE, Duration::from_secs(seconds), false)], "attempt {attempt}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_uses_up_the_attempt_and_does_not_end_the_worker() {
    let put_back =
        work_off(1, CancellationToken::new(), held, || Box::pin(async { panic!("a reader's defect") })).await;
    assert_eq!(put_back, [(LEASE, Duration::from_secs(5), true)]);
}

/// Work that never ends, and says when it is cut off.
fn endless(cut_off: &Arc<AtomicBool>) -> impl Fn() -> Processing + Send + Sync + 'static {
    struct OnDrop(Arc<AtomicBool>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let cut_off = Arc::clone(cut_off);
    move || {
        let guard = OnDrop(Arc::clone(&cut_off));
        Box::pin(async move {
            let _guard = guard;
            std::future::pending().await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn work_stops_when_the_lease_is_lost_and_nothing_is_put_back() {
    let cut_off = Arc::new(AtomicBool::new(false));
    let began = tokio::time::Instant::now();
    let mut beats = [Ok(true), Err(StoreError::Conflict { what: "a moment without database" }), Ok(false)].into_iter();
    let put_back =
        work_off(1, CancellationToken::new(), move || beats.next().unwrap_or(Ok(false)), endless(&cut_off)).await;
    assert_eq!(put_back, []);
    assert!(cut_off.load(Ordering::SeqCst));
    assert_eq!(
        began.elapsed().as_secs(),
        60,
        "three heartbeats of a third of the lease: an outage alone loses nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_puts_the_job_back_at_once_without_using_an_attempt() {
    let (cut_off, shutdown) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let stop = shutdown.clone();
    let stopping = async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    };
    let (put_back, ()) = tokio::join!(work_off(1, shutdown, held, endless(&cut_off)), stopping);
    assert_eq!(put_back, [(LEASE, Duration::ZERO, false)]);
    assert!(cut_off.load(Ordering::SeqCst));
}
