//! A pool of threads that embed texts one at a time.
//!
//! The threads share one queue; an idle thread takes the next text. Texts whose caller has been dropped are skipped.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::EmbedError;

/// The function that embeds one text; runs on a thread of the pool.
pub(super) type EmbedText = dyn Fn(&str) -> Result<Vec<f32>, EmbedError> + Send + Sync;

/// Scheduling priority of a pool's threads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Niceness {
    /// The scheduler's default priority.
    Normal,
    /// On Linux, a lower priority than the other threads of the process; elsewhere the default priority.
    Background,
}

/// Nice value of `Background` threads. The scheduler gives it weight 110 instead of 1024, so on a busy core they get
/// about a tenth of the time.
#[cfg(target_os = "linux")]
const BACKGROUND_NICE: i32 = 10;

struct Job {
    text: String,
    reply: oneshot::Sender<Result<Vec<f32>, EmbedError>>,
}

/// The threads and their queue. Dropping the pool ends the threads.
pub(super) struct WorkerPool {
    /// `None` only while the pool is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl WorkerPool {
    /// Starts `threads` threads named `name`.
    pub(super) fn start(
        name: &str,
        threads: usize,
        niceness: Niceness,
        embed_text: Arc<EmbedText>,
    ) -> Result<Self, EmbedError> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut pool = Self { jobs: Some(jobs), threads: Vec::with_capacity(threads) };
        for _ in 0..threads {
            let (queue, work) = (Arc::clone(&queue), Arc::clone(&embed_text));
            let thread = thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || run_worker(&queue, niceness, &*work))
                .map_err(EmbedError::Thread)?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Embeds all texts and returns the vectors in the order of the texts.
    pub(super) async fn embed_all(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let jobs = self.jobs.as_ref().ok_or(EmbedError::ThreadsEnded)?;
        let mut replies = Vec::with_capacity(texts.len());
        for text in texts {
            let (reply, receiver) = oneshot::channel();
            jobs.send(Job { text, reply }).map_err(|_| EmbedError::ThreadsEnded)?;
            replies.push(receiver);
        }
        let mut vectors = Vec::with_capacity(replies.len());
        for reply in replies {
            vectors.push(reply.await.map_err(|_| EmbedError::ThreadsEnded)??);
        }
        Ok(vectors)
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // An error means that the thread panicked; it has ended in any case.
            let _ = thread.join();
        }
    }
}

/// The main loop of a thread; returns when the pool is dropped.
fn run_worker(queue: &Mutex<mpsc::Receiver<Job>>, niceness: Niceness, embed_text: &EmbedText) {
    if niceness == Niceness::Background {
        lower_priority();
    }
    // candle distributes a matrix product over the current rayon pool. A pool of only this thread keeps it from
    // competing with the other threads. If rayon cannot create the pool, embedding is slower but still correct.
    let _pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    while let Some(Job { text, reply }) = next_job(queue) {
        if reply.is_closed() {
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| embed_text(&text))).unwrap_or(Err(EmbedError::Panicked));
        // Fails if the caller has been dropped and no longer needs the vector.
        let _ = reply.send(result);
    }
}

/// Waits for the next job; `None` when the pool is being dropped.
fn next_job(queue: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(target_os = "linux")]
fn lower_priority() {
    // Linux keeps the nice value per thread, so only the calling thread is affected. Raising the value needs no
    // privilege; if it fails, the thread runs at default priority.
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

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn pool(threads: usize, embed_text: Arc<EmbedText>) -> WorkerPool {
        WorkerPool::start("test", threads, Niceness::Background, embed_text).unwrap()
    }

    #[tokio::test]
    async fn results_are_in_the_order_of_the_texts_whichever_thread_is_faster() {
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let worker_barrier = Arc::clone(&barrier);
        // The first text cannot finish before the second has started.
        let pool = pool(
            2,
            Arc::new(move |text: &str| {
                if text.len() < 3 {
                    worker_barrier.wait();
                }
                Ok(vec![text.len() as f32])
            }),
        );
        let vectors = pool.embed_all(texts(&["a", "bb", "ccc", "dddd"])).await.unwrap();
        assert_eq!(vectors, [[1.0], [2.0], [3.0], [4.0]]);
    }

    #[tokio::test]
    async fn unstarted_texts_are_skipped_after_the_caller_is_dropped() {
        let embedded_count = Arc::new(AtomicUsize::new(0));
        let (started_sender, started_receiver) = mpsc::channel();
        let (release_sender, release_receiver) = mpsc::channel::<()>();
        let (release_receiver, counter) = (Mutex::new(release_receiver), Arc::clone(&embedded_count));
        let pool = pool(
            1,
            Arc::new(move |text: &str| {
                if text == "first" {
                    started_sender.send(()).unwrap();
                    release_receiver.lock().unwrap().recv().unwrap();
                }
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(vec![])
            }),
        );
        {
            let mut future = pin!(pool.embed_all(texts(&["first", "second", "third"])));
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending));
            started_receiver.recv().unwrap();
        }
        release_sender.send(()).unwrap();
        pool.embed_all(texts(&["after"])).await.unwrap();
        assert_eq!(embedded_count.load(Ordering::SeqCst), 2, "only the first and the later text");
    }

    #[tokio::test]
    async fn a_panic_fails_only_its_own_text_and_the_thread_continues() {
        let pool = pool(1, Arc::new(|text: &str| if text == "bad" { panic!("as intended") } else { Ok(vec![1.0]) }));
        assert!(matches!(pool.embed_all(texts(&["bad"])).await, Err(EmbedError::Panicked)));
        assert_eq!(pool.embed_all(texts(&["good"])).await.unwrap(), [[1.0]]);
    }

    #[test]
    fn threads_have_ended_when_the_pool_is_dropped() {
        let embed_text: Arc<EmbedText> = Arc::new(|_: &str| Ok(vec![]));
        let pool = pool(3, Arc::clone(&embed_text));
        drop(pool);
        assert_eq!(Arc::strong_count(&embed_text), 1, "no thread still holds the function");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_background_threads_have_a_lower_priority() {
        let nice_value_pool = |niceness| {
            let embed_text: Arc<EmbedText> =
                Arc::new(|_: &str| Ok(vec![rustix::process::getpriority_process(None).unwrap() as f32]));
            WorkerPool::start("test", 1, niceness, embed_text).unwrap()
        };
        let test_thread_nice = rustix::process::getpriority_process(None).unwrap() as f32;
        let normal = nice_value_pool(Niceness::Normal).embed_all(texts(&["x"])).await.unwrap();
        let background = nice_value_pool(Niceness::Background).embed_all(texts(&["x"])).await.unwrap();
        assert_eq!(normal, [[test_thread_nice]]);
        assert_eq!(background, [[(test_thread_nice + BACKGROUND_NICE as f32).min(19.0)]]);
    }
}
