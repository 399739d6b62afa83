//! A pool of threads that embed texts one at a time, or short ones a few at a time.
//!
//! The threads share one queue; an idle thread takes the next batch. Batches whose caller has been dropped are skipped.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::EmbedError;

/// The function that embeds a batch of texts, one vector per text; runs on a thread of the pool.
pub(super) type EmbedTexts = dyn Fn(&[String]) -> Result<Vec<Vec<f32>>, EmbedError> + Send + Sync;

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
    texts: Vec<String>,
    reply: oneshot::Sender<Result<Vec<Vec<f32>>, EmbedError>>,
}

/// The threads and their queue. Dropping the pool ends the threads.
pub(super) struct WorkerPool {
    /// `None` only while the pool is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    batch_bytes: usize,
}

/// What the threads of a pool do.
pub(super) struct Work {
    /// Embeds a batch.
    pub(super) embed_texts: Arc<EmbedTexts>,
    /// Size of a batch of several texts; 0 for batches of one text.
    pub(super) batch_bytes: usize,
}

impl WorkerPool {
    /// Starts `threads` threads named `name`.
    pub(super) fn start(name: &str, threads: usize, niceness: Niceness, work: &Work) -> Result<Self, EmbedError> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut pool = Self { jobs: Some(jobs), threads: Vec::with_capacity(threads), batch_bytes: work.batch_bytes };
        for _ in 0..threads {
            let (queue, embed_texts) = (Arc::clone(&queue), Arc::clone(&work.embed_texts));
            let thread = thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || run_worker(&queue, niceness, &*embed_texts))
                .map_err(EmbedError::Thread)?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Embeds all texts and returns the vectors in the order of the texts.
    pub(super) async fn embed_all(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let jobs = self.jobs.as_ref().ok_or(EmbedError::ThreadsEnded)?;
        let mut vectors = Vec::with_capacity(texts.len());
        let mut replies = Vec::new();
        for texts in batches(texts, self.batch_bytes) {
            let (reply, receiver) = oneshot::channel();
            jobs.send(Job { texts, reply }).map_err(|_| EmbedError::ThreadsEnded)?;
            replies.push(receiver);
        }
        for reply in replies {
            vectors.extend(reply.await.map_err(|_| EmbedError::ThreadsEnded)??);
        }
        Ok(vectors)
    }
}

/// Consecutive texts in batches of at most `batch_bytes`; a longer text is a batch of its own.
fn batches(texts: Vec<String>, batch_bytes: usize) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut free_bytes = 0;
    for text in texts {
        match batches.last_mut().filter(|_| text.len() <= free_bytes) {
            Some(batch) => {
                free_bytes -= text.len();
                batch.push(text);
            }
            None => {
                free_bytes = batch_bytes.saturating_sub(text.len());
                batches.push(vec![text]);
            }
        }
    }
    batches
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
fn run_worker(queue: &Mutex<mpsc::Receiver<Job>>, niceness: Niceness, embed_texts: &EmbedTexts) {
    if niceness == Niceness::Background {
        lower_priority();
    }
    // candle distributes a matrix product over the current rayon pool. A pool of only this thread keeps it from
    // competing with the other threads. If rayon cannot create the pool, embedding is slower but still correct.
    let _pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    while let Some(Job { texts, reply }) = next_job(queue) {
        if reply.is_closed() {
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| embed_texts(&texts))).unwrap_or(Err(EmbedError::Panicked));
        // Fails if the caller has been dropped and no longer needs the vectors.
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

    /// A function for batches of one text.
    fn single(embed_text: impl Fn(&str) -> Result<Vec<f32>, EmbedError> + Send + Sync + 'static) -> Arc<EmbedTexts> {
        Arc::new(move |texts: &[String]| texts.iter().map(|text| embed_text(text)).collect())
    }

    fn pool(threads: usize, embed_texts: Arc<EmbedTexts>) -> WorkerPool {
        WorkerPool::start("test", threads, Niceness::Background, &Work { embed_texts, batch_bytes: 0 }).unwrap()
    }

    #[test]
    fn short_texts_share_a_batch_and_long_ones_do_not() {
        let all = || texts(&["aa", "bb", "cc", "a long text", "", "dd"]);
        assert_eq!(batches(all(), 4), [vec!["aa", "bb"], vec!["cc"], vec!["a long text", ""], vec!["dd"]]);
        assert_eq!(batches(texts(&["aa", "bb"]), 0), [["aa"], ["bb"]]);
        assert!(batches(Vec::new(), 4).is_empty());
    }

    #[tokio::test]
    async fn a_batch_is_embedded_in_one_call() {
        let embed_texts: Arc<EmbedTexts> =
            Arc::new(|texts: &[String]| Ok(texts.iter().map(|_| vec![texts.len() as f32]).collect()));
        let work = Work { embed_texts, batch_bytes: 4 };
        let pool = WorkerPool::start("test", 1, Niceness::Normal, &work).unwrap();
        assert_eq!(pool.embed_all(texts(&["aa", "bb", "cccc"])).await.unwrap(), [[2.0], [2.0], [1.0]]);
    }

    #[tokio::test]
    async fn results_are_in_the_order_of_the_texts_whichever_thread_is_faster() {
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let worker_barrier = Arc::clone(&barrier);
        // The first text cannot finish before the second has started.
        let pool = pool(
            2,
            single(move |text: &str| {
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
            single(move |text: &str| {
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
        let pool = pool(1, single(|text: &str| if text == "bad" { panic!("as intended") } else { Ok(vec![1.0]) }));
        assert!(matches!(pool.embed_all(texts(&["bad"])).await, Err(EmbedError::Panicked)));
        assert_eq!(pool.embed_all(texts(&["good"])).await.unwrap(), [[1.0]]);
    }

    #[test]
    fn threads_have_ended_when_the_pool_is_dropped() {
        let embed_texts = single(|_: &str| Ok(vec![]));
        let pool = pool(3, Arc::clone(&embed_texts));
        drop(pool);
        assert_eq!(Arc::strong_count(&embed_texts), 1, "no thread still holds the function");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_background_threads_have_a_lower_priority() {
        let nice_value_pool = |niceness| {
            let embed_texts = single(|_: &str| Ok(vec![rustix::process::getpriority_process(None).unwrap() as f32]));
            WorkerPool::start("test", 1, niceness, &Work { embed_texts, batch_bytes: 0 }).unwrap()
        };
        let test_thread_nice = rustix::process::getpriority_process(None).unwrap() as f32;
        let normal = nice_value_pool(Niceness::Normal).embed_all(texts(&["x"])).await.unwrap();
        let background = nice_value_pool(Niceness::Background).embed_all(texts(&["x"])).await.unwrap();
        assert_eq!(normal, [[test_thread_nice]]);
        assert_eq!(background, [[(test_thread_nice + BACKGROUND_NICE as f32).min(19.0)]]);
    }
}
