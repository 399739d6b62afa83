//! A run's events, kept while it is written and for a while after, so that a client that comes back misses nothing.
//!
//! Writers never wait for readers: a slow reader costs the memory of one answer, which the model's output limit
//! bounds, and not the model's time.

use domain::conversation::Sources;
use domain::ids::{RunId, TenantId, UserId};
use domain::role::Classification;
use domain::run::{EventStream, NumberedEvent, RunEvent};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long a finished run can be read again.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);
/// Most runs kept; past it the oldest finished ones go first.
const CAPACITY: usize = 4_096;

/// The events of one run.
pub struct RunLog {
    owner: (TenantId, UserId),
    events: Mutex<Vec<RunEvent>>,
    written: watch::Sender<usize>,
    readers: watch::Sender<usize>,
    /// What the answer is made from so far.
    made_from: Mutex<(Classification, Sources)>,
    /// Stops the run.
    pub cancel: CancellationToken,
    /// It is read once, by who started it, and not kept.
    pub once: bool,
}

impl RunLog {
    fn new(owner: (TenantId, UserId)) -> Self {
        Self {
            owner,
            events: Mutex::default(),
            written: watch::Sender::new(0),
            readers: watch::Sender::new(0),
            made_from: Mutex::new((Classification::Public, Sources::default())),
            cancel: CancellationToken::new(),
            once: false,
        }
    }

    /// Notes what the answer is made from by now. Its class never gets lower.
    pub fn made_from(&self, class: Classification, sources: &Sources) {
        let mut made_from = lock(&self.made_from);
        made_from.0 = class.max(made_from.0);
        made_from.1.extend(sources);
    }

    /// The highest classification of what the answer is made from so far, and the documents among that.
    pub fn origin(&self) -> (Classification, Sources) {
        lock(&self.made_from).clone()
    }

    /// Appends an event and wakes the readers.
    pub fn push(&self, event: RunEvent) {
        let mut events = lock(&self.events);
        events.push(event);
        let written = events.len();
        drop(events);
        self.written.send_replace(written);
    }

    /// The events after `after` (0: all), then those to come, to the last one.
    pub fn read(self: &Arc<Self>, after: u64) -> EventStream {
        let reader = Reader::new(Arc::clone(self), usize::try_from(after).unwrap_or(usize::MAX));
        Box::pin(futures::stream::unfold(reader, |mut reader| async move {
            let event = reader.next().await?;
            Some((event, reader))
        }))
    }

    /// Returns once nobody has been reading for `grace`.
    pub async fn abandoned(&self, grace: Duration) {
        let mut readers = self.readers.subscribe();
        loop {
            if readers.wait_for(|count| *count == 0).await.is_err() {
                return;
            }
            let came_back = readers.wait_for(|count| *count > 0);
            if tokio::time::timeout(grace, came_back).await.is_err() {
                return;
            }
        }
    }

    fn is_finished(&self) -> bool {
        lock(&self.events).last().is_some_and(RunEvent::is_last)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One reader's place in a run. Counted while it lives.
struct Reader {
    log: Arc<RunLog>,
    next: usize,
    written: watch::Receiver<usize>,
    ended: bool,
}

impl Reader {
    fn new(log: Arc<RunLog>, next: usize) -> Self {
        log.readers.send_modify(|count| *count += 1);
        let written = log.written.subscribe();
        Self { log, next, written, ended: false }
    }

    async fn next(&mut self) -> Option<NumberedEvent> {
        if self.ended {
            return None;
        }
        loop {
            // Marked as seen before looking, so that what is pushed in between wakes the reader.
            self.written.borrow_and_update();
            let event = {
                let events = lock(&self.log.events);
                let past_the_end = self.next >= events.len();
                if past_the_end && events.last().is_some_and(RunEvent::is_last) {
                    return None;
                }
                events.get(self.next).cloned()
            };
            if let Some(event) = event {
                self.next += 1;
                self.ended = event.is_last();
                return Some(NumberedEvent { seq: self.next as u64, event });
            }
            self.written.changed().await.ok()?;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.log.readers.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// The runs of this process.
#[derive(Default)]
pub struct Runs(Mutex<HashMap<RunId, (Instant, Arc<RunLog>)>>);

impl Runs {
    /// Opens a run's log for its owner.
    pub fn open(&self, id: RunId, owner: (TenantId, UserId)) -> Arc<RunLog> {
        self.insert(id, RunLog::new(owner))
    }

    /// Opens the log of a run that is read once. [`Runs::close`] forgets it.
    pub fn open_once(&self, id: RunId, owner: (TenantId, UserId)) -> Arc<RunLog> {
        self.insert(id, RunLog { once: true, ..RunLog::new(owner) })
    }

    /// Forgets a run.
    pub fn close(&self, id: RunId) {
        lock(&self.0).remove(&id);
    }

    fn insert(&self, id: RunId, log: RunLog) -> Arc<RunLog> {
        let log = Arc::new(log);
        let mut runs = lock(&self.0);
        runs.retain(|_, (since, log)| since.elapsed() < KEPT_FOR || !log.is_finished());
        if runs.len() >= CAPACITY {
            let oldest = runs.iter().filter(|(_, (_, log))| log.is_finished()).min_by_key(|(_, (since, _))| *since);
            if let Some(id) = oldest.map(|(id, _)| *id) {
                runs.remove(&id);
            }
        }
        runs.insert(id, (Instant::now(), Arc::clone(&log)));
        log
    }

    /// A run's log, for its owner only.
    pub fn get(&self, id: RunId, owner: (TenantId, UserId)) -> Option<Arc<RunLog>> {
        lock(&self.0).get(&id).map(|(_, log)| Arc::clone(log)).filter(|log| log.owner == owner)
    }

    /// Stops all runs: the end of a shutdown's grace period.
    pub fn cancel_all(&self) {
        lock(&self.0).values().for_each(|(_, log)| log.cancel.cancel());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::error::{ErrorKind, Problem};
    use futures::StreamExt as _;
    use uuid::Uuid;

    const OWNER: (TenantId, UserId) = (TenantId::PLATFORM, UserId::from_uuid(Uuid::from_u128(7)));

    fn delta(text: &str) -> RunEvent {
        RunEvent::Delta { text: text.to_owned() }
    }

    fn last() -> RunEvent {
        RunEvent::Failed(Problem { kind: ErrorKind::Internal, code: "internal", detail: None, decision: None })
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_gets_what_it_missed_and_then_what_comes() {
        let log = Arc::new(RunLog::new(OWNER));
        log.push(delta("a"));
        log.push(delta("b"));
        let mut reader = log.read(1);
        assert_eq!(reader.next().await, Some(NumberedEvent { seq: 2, event: delta("b") }));
        log.push(last());
        assert_eq!(reader.next().await.map(|event| event.seq), Some(3));
        assert_eq!(reader.next().await, None);
        assert_eq!(log.read(3).next().await, None, "nothing after the last event");
        assert_eq!(log.read(99).next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_asks_for_more_than_will_ever_come_ends_with_the_run() {
        let log = Arc::new(RunLog::new(OWNER));
        log.push(delta("a"));
        let mut reader = log.read(99);
        assert!(tokio::time::timeout(Duration::from_secs(1), reader.next()).await.is_err(), "the run goes on");
        log.push(last());
        assert_eq!(tokio::time::timeout(Duration::from_secs(1), reader.next()).await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_abandoned_only_after_the_grace_period_without_a_reader() {
        let log = Arc::new(RunLog::new(OWNER));
        let grace = Duration::from_secs(30);
        let reader = log.read(0);
        let mut gone = std::pin::pin!(log.abandoned(grace));
        assert!(tokio::time::timeout(grace * 2, &mut gone).await.is_err(), "somebody reads");
        drop(reader);
        assert!(tokio::time::timeout(grace / 2, &mut gone).await.is_err(), "the grace period runs");
        let came_back = log.read(0);
        assert!(tokio::time::timeout(grace * 2, &mut gone).await.is_err(), "the reader came back");
        drop(came_back);
        assert!(tokio::time::timeout(grace * 2, &mut gone).await.is_ok());
    }

    #[test]
    fn a_run_is_its_owners_alone() {
        let runs = Runs::default();
        let id = RunId::from_uuid(Uuid::from_u128(1));
        runs.open(id, OWNER);
        assert!(runs.get(id, OWNER).is_some());
        let colleague = (OWNER.0, UserId::from_uuid(Uuid::from_u128(8)));
        assert!(runs.get(id, colleague).is_none());
        let stranger = (TenantId::from_uuid(Uuid::from_u128(9)), OWNER.1);
        assert!(runs.get(id, stranger).is_none());
    }
}
