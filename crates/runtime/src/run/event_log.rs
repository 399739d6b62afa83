//! Event logs of runs. A log is kept during the run and for some time after it, so that a client that reconnects misses
//! no events.
//!
//! The writer never waits for readers. A slow reader only costs the memory of one answer, which the output limit
//! bounds, and does not slow down the model.

use super::provenance::Provenance;
use domain::ids::{RunId, TeamId, TenantId, UserId};
use domain::role::Classification;
use domain::run::{EventStream, NumberedEvent, RunEvent};
use domain::scope::TenantScope;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time for which a log is kept after it was opened. Logs of runs in progress are always kept.
const RETENTION: Duration = Duration::from_secs(15 * 60);
/// Maximum number of logs. Above it, the oldest log of a finished run is removed.
const MAX_LOGS: usize = 4_096;
/// How long a reader in another process is counted after its last announcement. Such readers announce themselves every
/// 5 s.
const REMOTE_READER_TIMEOUT: Duration = Duration::from_secs(15);

/// Who started a run, and who may read it: its user, or every member of the team in whose space it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunOwner {
    pub tenant: TenantId,
    pub reader: RunReader,
    pub started_by: UserId,
}

/// The user or the team that owns a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunReader {
    User(UserId),
    Team(TeamId),
}

impl RunOwner {
    /// Returns the owner of runs in this scope; `None` if the scope has no user.
    pub fn from_scope(scope: &TenantScope) -> Option<Self> {
        let user = scope.user()?;
        let reader = scope.team().map_or(RunReader::User(user), RunReader::Team);
        Some(Self { tenant: scope.tenant(), reader, started_by: user })
    }

    /// Whether the user who would start runs as `other` may read the runs of this owner.
    fn may_be_read_by(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.reader == other.reader
    }
}

/// Whether the events of a run can be replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replay {
    /// The owner of the run can read them again while the log is kept.
    Allowed,
    /// They can be read only once, by the request that started the run.
    Never,
}

/// The events of one run.
pub struct RunLog {
    owner: RunOwner,
    replay: Replay,
    events: Mutex<Vec<RunEvent>>,
    /// Number of events; readers wait for it to change.
    event_count: watch::Sender<usize>,
    /// Number of readers; used to end a run that has none.
    reader_count: watch::Sender<usize>,
    /// Time until which a reader in another process is counted.
    remote_reader_until: Mutex<Option<Instant>>,
    /// Sources and classification of the answer so far.
    provenance: Mutex<Provenance>,
    /// Cancelling it ends the run and stores its partial answer.
    pub cancel: CancellationToken,
}

impl RunLog {
    fn new(owner: RunOwner, replay: Replay) -> Self {
        Self {
            owner,
            replay,
            events: Mutex::default(),
            event_count: watch::Sender::new(0),
            reader_count: watch::Sender::new(0),
            remote_reader_until: Mutex::default(),
            provenance: Mutex::default(),
            cancel: CancellationToken::new(),
        }
    }

    /// Returns an empty log of the same owner, which nobody reads or cancels.
    pub fn detached(&self) -> Self {
        Self::new(self.owner, Replay::Never)
    }

    /// Adds to the provenance of the answer. Never lowers its classification.
    pub fn merge_provenance(&self, provenance: &Provenance) {
        lock(&self.provenance).merge(provenance);
    }

    /// Returns the provenance of the answer so far.
    pub fn provenance(&self) -> Provenance {
        lock(&self.provenance).clone()
    }

    /// Returns the classification of the answer so far, as it was when its sources were read.
    pub fn classification(&self) -> Classification {
        lock(&self.provenance).classification
    }

    /// The user who started the run.
    pub fn started_by(&self) -> UserId {
        self.owner.started_by
    }

    pub fn can_be_replayed(&self) -> bool {
        self.replay == Replay::Allowed
    }

    /// Appends an event and wakes the readers.
    pub fn push(&self, event: RunEvent) {
        let mut events = lock(&self.events);
        events.push(event);
        let event_count = events.len();
        drop(events);
        self.event_count.send_replace(event_count);
    }

    /// Streams the events after number `after` (0: from the beginning) until the run ends, including future ones.
    pub fn read(self: &Arc<Self>, after: u64) -> EventStream {
        let reader = Reader::new(Arc::clone(self), usize::try_from(after).unwrap_or(usize::MAX));
        Box::pin(futures::stream::unfold(reader, |mut reader| async move {
            let event = reader.next().await?;
            Some((event, reader))
        }))
    }

    /// Waits until there has been no reader for `grace`.
    pub async fn wait_until_abandoned(&self, grace: Duration) {
        let mut reader_count = self.reader_count.subscribe();
        loop {
            if reader_count.wait_for(|count| *count == 0).await.is_err() {
                return;
            }
            let reader_returns = reader_count.wait_for(|count| *count > 0);
            if tokio::time::timeout(grace, reader_returns).await.is_err() {
                return;
            }
        }
    }

    /// Waits until there are more than `count` events.
    pub async fn wait_for_more_than(&self, count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut event_count = self.event_count.subscribe();
        let _closed = event_count.wait_for(|current| *current > count).await;
    }

    /// Waits for the last event.
    pub async fn wait_for_end(&self) {
        let mut event_count = self.event_count.subscribe();
        let _closed = event_count.wait_for(|_| self.is_finished()).await;
    }

    /// Returns the events after number `after` so far.
    pub fn events_after(&self, after: u64) -> Vec<NumberedEvent> {
        let events = lock(&self.events);
        let numbered = events.iter().zip(1..).map(|(event, seq)| NumberedEvent { seq, event: event.clone() });
        numbered.skip(usize::try_from(after).unwrap_or(usize::MAX)).collect()
    }

    /// Whether the run has a reader in another process.
    pub fn has_remote_reader(&self) -> bool {
        lock(&self.remote_reader_until).is_some_and(|until| until > Instant::now())
    }

    /// Counts a reader in another process for [`REMOTE_READER_TIMEOUT`].
    fn renew_remote_reader(self: &Arc<Self>, tasks: &TaskTracker) {
        let until = Instant::now() + REMOTE_READER_TIMEOUT;
        let previous = lock(&self.remote_reader_until).replace(until);
        if previous.is_some_and(|previous| previous > Instant::now()) {
            return;
        }
        let reader = Reader::new(Arc::clone(self), 0);
        tasks.spawn(async move {
            let log = Arc::clone(&reader.log);
            let until = || lock(&log.remote_reader_until).filter(|until| *until > Instant::now());
            while let (Some(until), false) = (until(), log.is_finished()) {
                let _ended = tokio::time::timeout_at(until, log.wait_for_end()).await;
            }
        });
    }

    fn is_finished(&self) -> bool {
        lock(&self.events).last().is_some_and(RunEvent::is_last)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader's position in a log. It counts as a reader until it is dropped.
struct Reader {
    log: Arc<RunLog>,
    /// Index of the next event.
    next: usize,
    event_count: watch::Receiver<usize>,
    has_ended: bool,
}

impl Reader {
    fn new(log: Arc<RunLog>, next: usize) -> Self {
        log.reader_count.send_modify(|count| *count += 1);
        let event_count = log.event_count.subscribe();
        Self { log, next, event_count, has_ended: false }
    }

    async fn next(&mut self) -> Option<NumberedEvent> {
        if self.has_ended {
            return None;
        }
        loop {
            // Marks the event count as seen before the check, so that an event pushed in between wakes the reader.
            self.event_count.borrow_and_update();
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
                self.has_ended = event.is_last();
                return Some(NumberedEvent { seq: self.next as u64, event });
            }
            self.event_count.changed().await.ok()?;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.log.reader_count.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// The run logs of this process.
#[derive(Default)]
pub struct RunLogs {
    logs: Mutex<HashMap<RunId, RegisteredLog>>,
    /// Tracks readers in other processes.
    tasks: TaskTracker,
}

struct RegisteredLog {
    opened_at: Instant,
    log: Arc<RunLog>,
}

impl RunLogs {
    /// Creates the log of a new run.
    pub fn open(&self, id: RunId, owner: RunOwner, replay: Replay) -> Arc<RunLog> {
        let log = Arc::new(RunLog::new(owner, replay));
        let mut logs = lock(&self.logs);
        logs.retain(|_, opened| opened.opened_at.elapsed() < RETENTION || !opened.log.is_finished());
        if logs.len() >= MAX_LOGS {
            let finished = logs.iter().filter(|(_, opened)| opened.log.is_finished());
            if let Some(oldest) = finished.min_by_key(|(_, opened)| opened.opened_at).map(|(id, _)| *id) {
                logs.remove(&oldest);
            }
        }
        logs.insert(id, RegisteredLog { opened_at: Instant::now(), log: Arc::clone(&log) });
        log
    }

    /// Removes the log of a finished run if it cannot be replayed.
    pub fn close(&self, id: RunId) {
        let mut logs = lock(&self.logs);
        if logs.get(&id).is_some_and(|opened| !opened.log.can_be_replayed()) {
            logs.remove(&id);
        }
    }

    /// Returns the log of a run if it exists and may be read by `reader`.
    pub fn get(&self, id: RunId, reader: &RunOwner) -> Option<Arc<RunLog>> {
        let log = lock(&self.logs).get(&id).map(|opened| Arc::clone(&opened.log));
        log.filter(|log| log.owner.may_be_read_by(reader))
    }

    /// Cancels a run if this process executes it. Does not check the owner: the process that sent the signal has done
    /// so.
    pub fn cancel(&self, id: RunId) {
        if let Some(opened) = lock(&self.logs).get(&id) {
            opened.log.cancel.cancel();
        }
    }

    /// Counts a reader in another process, if this process executes the run.
    pub fn renew_remote_reader(&self, id: RunId) {
        let log = lock(&self.logs).get(&id).map(|opened| Arc::clone(&opened.log));
        if let Some(log) = log.filter(|log| !log.is_finished()) {
            log.renew_remote_reader(&self.tasks);
        }
    }

    /// Cancels all runs. Called at the end of the grace period of a shutdown.
    pub fn cancel_all(&self) {
        lock(&self.logs).values().for_each(|opened| opened.log.cancel.cancel());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::error::{ErrorKind, Problem};
    use futures::StreamExt as _;
    use uuid::Uuid;

    const ADA: UserId = UserId::from_uuid(Uuid::from_u128(7));
    const OWNER: RunOwner = RunOwner { tenant: TenantId::PLATFORM, reader: RunReader::User(ADA), started_by: ADA };

    fn delta(text: &str) -> RunEvent {
        RunEvent::Delta { text: text.to_owned() }
    }

    fn last_event() -> RunEvent {
        RunEvent::Failed(Problem { kind: ErrorKind::Internal, code: "internal", detail: None, decision_id: None })
    }

    #[tokio::test]
    async fn a_reader_that_reconnects_gets_missed_events_and_then_new_ones() {
        let log = Arc::new(RunLog::new(OWNER, Replay::Allowed));
        log.push(delta("a"));
        log.push(delta("b"));
        let mut reader = log.read(1);
        assert_eq!(reader.next().await, Some(NumberedEvent { seq: 2, event: delta("b") }));
        log.push(last_event());
        assert_eq!(reader.next().await.map(|event| event.seq), Some(3));
        assert_eq!(reader.next().await, None);
        assert_eq!(log.read(3).next().await, None, "nothing after the last event");
        assert_eq!(log.read(99).next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_past_the_last_event_ends_with_the_run() {
        let log = Arc::new(RunLog::new(OWNER, Replay::Allowed));
        log.push(delta("a"));
        let mut reader = log.read(99);
        assert!(tokio::time::timeout(Duration::from_secs(1), reader.next()).await.is_err(), "the run goes on");
        log.push(last_event());
        assert_eq!(tokio::time::timeout(Duration::from_secs(1), reader.next()).await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_abandoned_only_after_the_grace_period_without_a_reader() {
        let log = Arc::new(RunLog::new(OWNER, Replay::Allowed));
        let grace = Duration::from_secs(30);
        let reader = log.read(0);
        let mut abandoned = std::pin::pin!(log.wait_until_abandoned(grace));
        assert!(tokio::time::timeout(grace * 2, &mut abandoned).await.is_err(), "somebody reads");
        drop(reader);
        assert!(tokio::time::timeout(grace / 2, &mut abandoned).await.is_err(), "the grace period runs");
        let returned_reader = log.read(0);
        assert!(tokio::time::timeout(grace * 2, &mut abandoned).await.is_err(), "the reader came back");
        drop(returned_reader);
        assert!(tokio::time::timeout(grace * 2, &mut abandoned).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_in_another_process_counts_as_long_as_it_announces_itself() {
        let logs = RunLogs::default();
        let id = RunId::from_uuid(Uuid::from_u128(1));
        let log = logs.open(id, OWNER, Replay::Allowed);
        let grace = Duration::from_secs(30);
        let mut abandoned = std::pin::pin!(log.wait_until_abandoned(grace));
        for _announcement in 0..10 {
            logs.renew_remote_reader(id);
            let wait = tokio::time::timeout(Duration::from_secs(5), &mut abandoned);
            assert!(wait.await.is_err(), "another process reads it");
            assert!(log.has_remote_reader());
        }
        let wait = tokio::time::timeout(REMOTE_READER_TIMEOUT + grace + Duration::from_secs(1), &mut abandoned);
        assert!(wait.await.is_ok());
        assert!(!log.has_remote_reader());
    }

    #[test]
    fn only_the_owner_finds_a_run() {
        let logs = RunLogs::default();
        let id = RunId::from_uuid(Uuid::from_u128(1));
        logs.open(id, OWNER, Replay::Allowed);
        assert!(logs.get(id, &OWNER).is_some());
        let colleague = RunOwner { reader: RunReader::User(UserId::from_uuid(Uuid::from_u128(8))), ..OWNER };
        assert!(logs.get(id, &colleague).is_none());
        let stranger = RunOwner { tenant: TenantId::from_uuid(Uuid::from_u128(9)), ..OWNER };
        assert!(logs.get(id, &stranger).is_none());
    }
}
