//! Streams the stored events of a run that another process executes.

use domain::ids::RunId;
use domain::ports::{RunEventStore, RunSignal, StoreError};
use domain::run::{EventStream, NumberedEvent};
use domain::scope::TenantScope;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// Polling interval if no signal arrives.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which the reader is announced to the process that executes the run; see `RunLogs::renew_remote_reader`.
const READER_INTERVAL: Duration = Duration::from_secs(5);

/// A reader's position in the stored events of a run.
pub(super) struct StoredEventReader {
    store: Arc<dyn RunEventStore>,
    events_stored: broadcast::Receiver<RunId>,
    scope: TenantScope,
    run: RunId,
    /// Number of the last event that was read.
    position: u64,
    read_ahead: VecDeque<NumberedEvent>,
    announced_at: Option<Instant>,
    has_ended: bool,
}

impl StoredEventReader {
    pub(super) fn new(
        store: Arc<dyn RunEventStore>,
        events_stored: broadcast::Receiver<RunId>,
        scope: TenantScope,
        run: RunId,
        after: u64,
    ) -> Self {
        Self {
            store,
            events_stored,
            scope,
            run,
            position: after,
            read_ahead: VecDeque::new(),
            announced_at: None,
            has_ended: false,
        }
    }

    pub(super) fn into_stream(self) -> EventStream {
        Box::pin(futures::stream::unfold(self, |mut reader| async move {
            let event = reader.next().await?;
            Some((event, reader))
        }))
    }

    async fn next(&mut self) -> Option<NumberedEvent> {
        loop {
            if self.has_ended {
                return None;
            }
            if let Some(event) = self.read_ahead.pop_front() {
                self.position = event.seq;
                self.has_ended = event.event.is_last();
                return Some(event);
            }
            match self.read().await {
                Ok(false) => {}
                // No events will follow: the run has ended, or its conversation was deleted.
                Ok(true) => return None,
                Err(error) => tracing::debug!(%error, "failed to read stored events; trying again"),
            }
            if self.read_ahead.is_empty() {
                self.announce().await;
                self.wait_for_signal().await;
            }
        }
    }

    /// Reads the next stored events into `read_ahead`. Returns whether there are none and none will follow.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let events = self.store.read(&self.scope, self.run, self.position).await?;
        self.read_ahead.extend(events);
        if !self.read_ahead.is_empty() {
            return Ok(false);
        }
        let run = self.store.find(&self.scope, self.run).await?;
        Ok(run.is_none_or(|run| run.has_ended && run.last_seq <= self.position))
    }

    async fn announce(&mut self) {
        if self.announced_at.is_none_or(|at| at.elapsed() >= READER_INTERVAL) {
            self.announced_at = Some(Instant::now());
            if let Err(error) = self.store.send(RunSignal::ReaderActive(self.run)).await {
                tracing::debug!(%error, "failed to announce a reader; trying again");
            }
        }
    }

    async fn wait_for_signal(&mut self) {
        let run = self.run;
        let signal = async {
            // An error means that signals were missed, so stop waiting.
            while self.events_stored.recv().await.is_ok_and(|signaled_run| signaled_run != run) {}
        };
        let _signal_or_elapsed = tokio::time::timeout(POLL_INTERVAL, signal).await;
    }
}
