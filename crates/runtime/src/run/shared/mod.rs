//! Runs of other processes: each process stores the events of its runs, follows the stored events of the others, and
//! tells them whom somebody reads or cancels (ADR 60).
//!
//! Within a process nothing changes: its readers follow the log in memory, and never wait for the database.

mod reader;
mod writer;

pub use writer::write_events;

use super::log::RunLogs;
use super::provenance::Provenance;
use domain::ids::RunId;
use domain::ports::{RunEventStore, RunSignal, StoreError, StoredRun};
use domain::run::EventStream;
use domain::scope::TenantScope;
use reader::StoredEvents;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::task::TaskTracker;

/// How long a run is looked for. A run that has just started at another process is stored within milliseconds.
const FIND_TIMEOUT: Duration = Duration::from_millis(400);
/// Interval between two looks.
const FIND_INTERVAL: Duration = Duration::from_millis(100);
/// A cancellation is repeated in case a process was just connecting to the database again.
const CANCEL_ATTEMPTS: u32 = 4;
/// Interval between these attempts.
const CANCEL_INTERVAL: Duration = Duration::from_millis(400);
/// Pause after signals could not be received.
const LISTEN_RETRY: Duration = Duration::from_secs(1);
/// Number of signals that a slow reader may lag behind; one that lags more polls.
const SIGNAL_BUFFER: usize = 1_024;

/// The runs of all processes.
#[derive(Clone)]
pub struct SharedRuns {
    store: Arc<dyn RunEventStore>,
    stored: broadcast::Sender<RunId>,
    tasks: TaskTracker,
}

impl SharedRuns {
    /// Shares runs through this store. `tasks` tracks what goes on after a request.
    #[must_use]
    pub fn new(store: Arc<dyn RunEventStore>, tasks: TaskTracker) -> Self {
        Self { store, stored: broadcast::Sender::new(SIGNAL_BUFFER), tasks }
    }

    /// Finds a run of the scope's user.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(&self, scope: &TenantScope, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        let started = tokio::time::Instant::now();
        loop {
            let found = self.store.find(scope, run).await?;
            if found.is_some() || started.elapsed() >= FIND_TIMEOUT {
                return Ok(found);
            }
            tokio::time::sleep(FIND_INTERVAL).await;
        }
    }

    /// Streams the events after number `after`, including future ones, of a run that was found.
    pub fn follow(&self, scope: TenantScope, run: RunId, after: u64) -> EventStream {
        StoredEvents::new(Arc::clone(&self.store), self.stored.subscribe(), scope, run, after).into_stream()
    }

    /// Has the process that does the run cancel it. The caller must have found the run as its user's.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn cancel(&self, scope: TenantScope, run: RunId) -> Result<(), StoreError> {
        self.store.send(RunSignal::Cancel(run)).await?;
        let store = Arc::clone(&self.store);
        self.tasks.spawn(async move {
            for _attempt in 1..CANCEL_ATTEMPTS {
                tokio::time::sleep(CANCEL_INTERVAL).await;
                if store.find(&scope, run).await.is_ok_and(|found| found.is_none_or(|found| found.has_ended)) {
                    return;
                }
                let _lost = store.send(RunSignal::Cancel(run)).await;
            }
        });
        Ok(())
    }

    /// Receives the signals of other processes, for the runs in `logs` and for readers of stored events, until it is
    /// dropped.
    pub async fn receive_signals(&self, logs: &RunLogs) {
        // Closing the database waits for the connection that listens.
        let _stop_listening = StopOnDrop(&*self.store);
        loop {
            match self.store.next_signal().await {
                Ok(Some(RunSignal::Stored(run))) => drop(self.stored.send(run)),
                Ok(Some(RunSignal::Read(run))) => logs.note_remote_reader(run),
                Ok(Some(RunSignal::Cancel(run))) => logs.cancel(run),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "signals of other processes cannot be received; trying again");
                    tokio::time::sleep(LISTEN_RETRY).await;
                }
            }
        }
    }
}

/// Stops listening when signals are no longer received.
struct StopOnDrop<'a>(&'a dyn RunEventStore);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop_listening();
    }
}

impl From<StoredRun> for Provenance {
    fn from(run: StoredRun) -> Self {
        Self { class: run.class, sources: run.sources }
    }
}
