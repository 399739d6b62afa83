//! Records the tags of connectors for which recording is on, at the interval of each. Times of samples lie on the grid
//! of the interval, so that two processes that record the same tag store one sample.

use super::PlantProcessPorts;
use super::pool::SourcePool;
use super::states::{ConnectorKey, StateBoard};
use domain::ids::TagId;
use domain::plant::{ConnectorState, ReadSample, RecordedSample, Sample};
use domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Interval at which due recordings are polled.
const TICK: Duration = Duration::from_millis(500);
/// Number of tags that are read together.
const BATCH: usize = 50;
/// Maximum wait of a batch for the budget of its endpoint.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Records the tags of all connectors.
pub(super) struct Recorder {
    ports: PlantProcessPorts,
    board: Arc<StateBoard>,
    pool: Arc<SourcePool>,
    /// Per connector, the last recorded point of its time grid, and whether a recording is in progress.
    progress: Arc<Mutex<HashMap<ConnectorKey, Progress>>>,
    tasks: TaskTracker,
}

struct Progress {
    last: Timestamp,
    is_running: bool,
}

impl Recorder {
    pub(super) fn new(ports: PlantProcessPorts, board: Arc<StateBoard>, pool: Arc<SourcePool>) -> Self {
        Self { ports, board, pool, progress: Arc::default(), tasks: TaskTracker::new() }
    }

    /// Records until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(TICK)).await.is_some() {
            let states = self.board.current();
            lock(&self.progress).retain(|key, progress| progress.is_running || states.contains_key(key));
            for state in states.values() {
                if let Some(at) = self.due(state) {
                    self.spawn(state.clone(), at, &stop);
                }
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The point of the time grid that is due and not yet recorded. Missed points are not recorded later.
    fn due(&self, state: &ConnectorState) -> Option<Timestamp> {
        let recording = state.recording.filter(|_| state.is_usable)?;
        let interval_s = i64::from(recording.interval_s.max(1));
        let second = self.ports.clock.now().timestamp().div_euclid(interval_s) * interval_s;
        let at = Timestamp::from_timestamp(second, 0)?;
        let key = ConnectorKey { tenant: state.tenant, connector: state.connector };
        let mut progress = lock(&self.progress);
        let entry = progress.entry(key).or_insert(Progress { last: Timestamp::UNIX_EPOCH, is_running: false });
        if entry.is_running || entry.last >= at {
            return None;
        }
        *entry = Progress { last: at, is_running: true };
        Some(at)
    }

    fn spawn(&self, state: ConnectorState, at: Timestamp, stop: &CancellationToken) {
        let key = ConnectorKey { tenant: state.tenant, connector: state.connector };
        let (ports, board, pool) = (self.ports.clone(), Arc::clone(&self.board), Arc::clone(&self.pool));
        let (progress, stop) = (Arc::clone(&self.progress), stop.clone());
        self.tasks.spawn(async move {
            let recorded = async {
                tokio::select! {
                    _failure = board.until_unusable(key) => {}
                    () = record(&ports, &pool, &state, at) => {}
                }
            };
            let _stopped = stop.run_until_cancelled(recorded).await;
            if let Some(progress) = lock(&progress).get_mut(&key) {
                progress.is_running = false;
            }
        });
    }
}

fn lock(progress: &Mutex<HashMap<ConnectorKey, Progress>>) -> MutexGuard<'_, HashMap<ConnectorKey, Progress>> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads all tags of a connector and records their samples.
async fn record(ports: &PlantProcessPorts, pool: &SourcePool, state: &ConnectorState, at: Timestamp) {
    let source = match pool.source(state).await {
        Ok(source) => source,
        Err(failure) => {
            tracing::debug!(?failure, "a connector cannot be recorded");
            return;
        }
    };
    let stale_after_s = source.details().connector.stale_after_s;
    let tags: Vec<TagId> = source.details().tags.iter().map(|tag| tag.id).collect();
    for batch in tags.chunks(BATCH) {
        let read = source.read(batch, Instant::now() + BATCH_TIMEOUT).await;
        let now = ports.clock.now();
        let samples = read.unwrap_or_else(|_| {
            let unread = ReadSample { sample: Sample::without_value("unreachable", now), is_out_of_reach: true };
            vec![unread; batch.len()]
        });
        let recorded = |(tag, read): (&TagId, ReadSample)| RecordedSample {
            tag: *tag,
            at,
            is_stale: read.is_out_of_reach || read.sample.is_stale(now, stale_after_s),
            sample: read.sample,
        };
        let recorded: Vec<RecordedSample> = batch.iter().zip(samples).map(recorded).collect();
        match ports.queue.record(state.tenant, &recorded).await {
            Ok(()) => ports.observer.recorded(recorded.len()),
            Err(error) => tracing::warn!(%error, "samples cannot be recorded"),
        }
    }
}
