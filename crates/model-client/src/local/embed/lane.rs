//! A group of threads that embeds texts one by one.
//!
//! A lane's threads share one queue; whichever is free takes the next text. A text whose caller has gone is skipped.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::EmbedError;

/// What a thread does with a text.
pub(super) type Work = dyn Fn(&str) -> Result<Vec<f32>, EmbedError> + Send + Sync;

/// How the system schedules a lane's threads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Niceness {
    /// As any other thread.
    Normal,
    /// Behind the process's other threads, on Linux; elsewhere as any other thread.
    Background,
}

/// What `Background` adds to the nice value: weight 110 against 1024, so a busy core gives these threads a tenth.
#[cfg(target_os = "linux")]
const BACKGROUND_NICE: i32 = 10;

struct Job {
    text: String,
    reply: oneshot::Sender<Result<Vec<f32>, EmbedError>>,
}

/// The threads and their queue. Dropping it ends them.
pub(super) struct Lane {
    /// `None` only while dropping.
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Lane {
    /// Starts `threads` threads called `name`.
    pub(super) fn start(name: &str, threads: usize, niceness: Niceness, work: Arc<Work>) -> Result<Self, EmbedError> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut lane = Self { jobs: Some(jobs), threads: Vec::with_capacity(threads) };
        for _ in 0..threads {
            let (queue, work) = (Arc::clone(&queue), Arc::clone(&work));
            let thread = thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || serve(&queue, niceness, &*work))
                .map_err(EmbedError::Thread)?;
            lane.threads.push(thread);
        }
        Ok(lane)
    }

    /// What the work makes of each text, in order.
    pub(super) async fn run(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let jobs = self.jobs.as_ref().ok_or(EmbedError::Ended)?;
        let mut replies = Vec::with_capacity(texts.len());
        for text in texts {
            let (reply, receiver) = oneshot::channel();
            jobs.send(Job { text, reply }).map_err(|_| EmbedError::Ended)?;
            replies.push(receiver);
        }
        let mut vectors = Vec::with_capacity(replies.len());
        for reply in replies {
            vectors.push(reply.await.map_err(|_| EmbedError::Ended)??);
        }
        Ok(vectors)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked outside its work has ended too.
            let _ = thread.join();
        }
    }
}

/// One thread's life: until the lane is dropped.
fn serve(queue: &Mutex<mpsc::Receiver<Job>>, niceness: Niceness, work: &Work) {
    if niceness == Niceness::Background {
        lower_priority();
    }
    // candle splits a matrix product over the rayon pool it is called from; in a pool of this one thread it cannot
    // compete with the other lanes. Where the pool is refused, the result is the same and only slower.
    let _pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    while let Some(Job { text, reply }) = next(queue) {
        if reply.is_closed() {
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| work(&text))).unwrap_or(Err(EmbedError::Panicked));
        // The caller may have gone meanwhile; then nobody wants the vector.
        let _ = reply.send(result);
    }
}

/// Waits for a job; `None` when the lane is being dropped.
fn next(queue: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(target_os = "linux")]
fn lower_priority() {
    // Linux keeps the nice value by thread, so this concerns the calling thread alone. Raising it needs no privilege;
    // where it is refused all the same, the thread competes as any other.
    let _ = rustix::process::nice(BACKGROUND_NICE);
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::Future,
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll, Waker},
    };

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|text| (*text).to_owned()).collect()
    }

    fn lane(threads: usize, work: Arc<Work>) -> Lane {
        Lane::start("test", threads, Niceness::Background, work).unwrap()
    }

    #[tokio::test]
    async fn results_come_in_the_order_of_the_texts_whichever_thread_is_faster() {
        let gate = Arc::new(std::sync::Barrier::new(2));
        let work_gate = Arc::clone(&gate);
        // The first text cannot finish before the second has begun.
        let lane = lane(
            2,
            Arc::new(move |text: &str| {
                if text.len() < 3 {
                    work_gate.wait();
                }
                Ok(vec![text.len() as f32])
            }),
        );
        let vectors = lane.run(texts(&["a", "bb", "ccc", "dddd"])).await.unwrap();
        assert_eq!(vectors, [[1.0], [2.0], [3.0], [4.0]]);
    }

    #[tokio::test]
    async fn texts_that_no_thread_has_begun_are_skipped_once_the_caller_has_gone() {
        let done = Arc::new(AtomicUsize::new(0));
        let (begun, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (released, work_done) = (Mutex::new(released), Arc::clone(&done));
        let lane = lane(
            1,
            Arc::new(move |text: &str| {
                if text == "first" {
                    begun.send(()).unwrap();
                    released.lock().unwrap().recv().unwrap();
                }
                work_done.fetch_add(1, Ordering::SeqCst);
                Ok(vec![])
            }),
        );
        {
            let mut future = pin!(lane.run(texts(&["first", "second", "third"])));
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending));
            has_begun.recv().unwrap();
        }
        release.send(()).unwrap();
        lane.run(texts(&["after"])).await.unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 2, "only the first and the one after");
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_text_and_the_thread_goes_on() {
        let lane = lane(1, Arc::new(|text: &str| if text == "bad" { panic!("as intended") } else { Ok(vec![1.0]) }));
        assert!(matches!(lane.run(texts(&["bad"])).await, Err(EmbedError::Panicked)));
        assert_eq!(lane.run(texts(&["good"])).await.unwrap(), [[1.0]]);
    }

    #[test]
    fn threads_have_ended_when_the_lane_is_dropped() {
        let work: Arc<Work> = Arc::new(|_: &str| Ok(vec![]));
        let lane = lane(3, Arc::clone(&work));
        drop(lane);
        assert_eq!(Arc::strong_count(&work), 1, "no thread holds the work any more");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_background_threads_are_nicer_than_the_rest() {
        let nice = |niceness| {
            let work: Arc<Work> =
                Arc::new(|_: &str| Ok(vec![rustix::process::getpriority_process(None).unwrap() as f32]));
            Lane::start("test", 1, niceness, work).unwrap()
        };
        let own = rustix::process::getpriority_process(None).unwrap() as f32;
        let normal = nice(Niceness::Normal).run(texts(&["x"])).await.unwrap();
        let background = nice(Niceness::Background).run(texts(&["x"])).await.unwrap();
        assert_eq!(normal, [[own]]);
        assert_eq!(background, [[(own + BACKGROUND_NICE as f32).min(19.0)]]);
    }
}
