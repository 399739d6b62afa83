//! Follows the stored events of a run that another process does.

use domain::ids::RunId;
use domain::ports::{RunEventStore, RunSignal, StoreError};
use domain::run::{EventStream, NumberedEvent};
use domain::scope::TenantScope;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// Interval of looking without a signal.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which the process that does the run is told that it has a reader; see `RunLogs::note_remote_reader`.
const READER_INTERVAL: Duration = Duration::from_secs(5);

/// A reader's position in the stored events of a run.
pub(super) struct StoredEvents {
    store: Arc<dyn RunEventStore>,
    stored: broadcast::Receiver<RunId>,
    scope: TenantScope,
    run: RunId,
    /// Number of the last event that was read.
    position: u64,
    read_ahead: VecDeque<NumberedEvent>,
    announced_at: Option<Instant>,
    has_ended: bool,
}

impl StoredEvents {
    pub(super) fn new(
        store: Arc<dyn RunEventStore>,
        stored: broadcast::Receiver<RunId>,
        scope: TenantScope,
        run: RunId,
        after: u64,
    ) -> Self {
        Self {
            store,
            stored,
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
                // Nothing comes after what was read: the run has ended before, or its conversation is gone.
                Ok(true) => return None,
                Err(error) => tracing::debug!(%error, "stored events cannot be read; trying again"),
            }
            if self.read_ahead.is_empty() {
                self.announce().await;
                self.wait_for_signal().await;
            }
        }
    }

    /// Reads ahead; returns whether nothing will come any more.
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
            if let Err(error) = self.store.send(RunSignal::Read(self.run)).await {
                tracing::debug!(%error, "a reader cannot be announced; trying again");
            }
        }
    }

    async fn wait_for_signal(&mut self) {
        let run = self.run;
        let signal = async {
            // An error means that signals were missed, so look.
            while self.stored.recv().await.is_ok_and(|stored| stored != run) {}
        };
        let _signal_or_elapsed = tokio::time::timeout(POLL_INTERVAL, signal).await;
    }
}
