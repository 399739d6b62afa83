//! Shares runs between processes: each process stores the events of its runs, streams the stored events of the runs of
//! others, and signals to the others which of their runs are read or cancelled (ADR 60).
//!
//! Readers in the process that executes the run read its log in memory and never wait for the database.

mod reader;
mod writer;

pub use writer::write_events;

use super::event_log::RunLogs;
use super::provenance::Provenance;
use domain::ids::RunId;
use domain::ports::{RunEventStore, RunSignal, StoreError, StoredRun};
use domain::run::EventStream;
use domain::scope::TenantScope;
use reader::StoredEventReader;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::task::TaskTracker;

/// Maximum time to wait until a run is found. A run that has just started in another process is stored within
/// milliseconds.
const FIND_TIMEOUT: Duration = Duration::from_millis(400);
/// Interval between two attempts to find a run.
const FIND_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of times that a cancellation is sent. A process that is reconnecting to the database misses signals.
const CANCEL_ATTEMPTS: u32 = 4;
/// Interval between these attempts.
const CANCEL_INTERVAL: Duration = Duration::from_millis(400);
/// Delay before signals are received again after a failure.
const LISTEN_RETRY: Duration = Duration::from_secs(1);
/// Number of signals that are buffered for a slow reader. A reader that misses signals reads the store anyway.
const SIGNAL_BUFFER: usize = 1_024;

/// The runs of all processes.
#[derive(Clone)]
pub struct SharedRuns {
    store: Arc<dyn RunEventStore>,
    /// Notifies readers in this process that events of a run were stored.
    events_stored: broadcast::Sender<RunId>,
    tasks: TaskTracker,
}

impl SharedRuns {
    /// Shares runs through `store`. `tasks` tracks repeated cancellations, which continue after the request.
    #[must_use]
    pub fn new(store: Arc<dyn RunEventStore>, tasks: TaskTracker) -> Self {
        Self { store, events_stored: broadcast::Sender::new(SIGNAL_BUFFER), tasks }
    }

    /// Finds a run of the scope's user. Waits a moment for a run that has just started.
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
        StoredEventReader::new(Arc::clone(&self.store), self.events_stored.subscribe(), scope, run, after).into_stream()
    }

    /// Signals the process that executes the run to cancel it. The caller must have checked that the run belongs to the
    /// user.
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

    /// Handles run signals from all processes, this one included, until the future is dropped.
    pub async fn receive_signals(&self, logs: &RunLogs) {
        // Closing the database waits until the listening connection is released.
        let _stop_listening = StopOnDrop(&*self.store);
        loop {
            match self.store.next_signal().await {
                Ok(Some(RunSignal::EventsStored(run))) => drop(self.events_stored.send(run)),
                Ok(Some(RunSignal::ReaderActive(run))) => logs.renew_remote_reader(run),
                Ok(Some(RunSignal::Cancel(run))) => logs.cancel(run),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "failed to receive signals of other processes; trying again");
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
        Self { classification: run.classification, sources: run.sources }
    }
}
