//! Follows a run for a reader who did not start it, or who reconnects. The run's own supervision watches over the user
//! who started it only; so what each further reader may still see is checked here, while the events are read.

use super::event_log::RunLog;
use super::ports::RunPorts;
use super::provenance::Provenance;
use super::shared::SharedRuns;
use super::supervise::{CHECK_INTERVAL, above_clearance, recheck};
use domain::authorized::Permit;
use domain::error::Problem;
use domain::ids::RunId;
use domain::ports::StoreError;
use domain::role::Classification;
use domain::run::{EventStream, NumberedEvent, RunEvent};
use futures::StreamExt as _;
use std::sync::Arc;
use tokio::time::Instant;

/// Where the provenance of a followed run is read.
pub(super) enum FollowedRun {
    /// This process executes the run.
    Here(Arc<RunLog>),
    /// Another process executes it.
    Elsewhere(StoredProvenance),
}

/// The provenance of a run that another process executes, as it was last read.
pub(super) struct StoredProvenance {
    pub(super) shared: SharedRuns,
    pub(super) run: RunId,
    pub(super) provenance: Provenance,
    /// Number of the last event that `provenance` covers.
    pub(super) covered: u64,
}

impl FollowedRun {
    /// The classification of the answer up to the event with this number. `None` if the run no longer exists.
    async fn classification(&mut self, permit: &Permit, seq: u64) -> Result<Option<Classification>, StoreError> {
        let stored = match self {
            Self::Here(log) => return Ok(Some(log.classification())),
            Self::Elsewhere(stored) => stored,
        };
        if stored.covered < seq {
            let Some(run) = stored.shared.find(permit.scope(), stored.run).await? else { return Ok(None) };
            stored.covered = run.last_seq;
            stored.provenance = run.into();
        }
        Ok(Some(stored.provenance.classification))
    }

    fn provenance(&self) -> Provenance {
        match self {
            Self::Here(log) => log.provenance(),
            Self::Elsewhere(stored) => stored.provenance.clone(),
        }
    }
}

/// A reader's stream of a run's events. It ends with an error as soon as the reader may no longer see the answer.
pub(super) struct Follower {
    ports: RunPorts,
    permit: Permit,
    run: FollowedRun,
    events: EventStream,
    /// Number of the last event that the reader has. The error has it too, so that the reader misses nothing when it
    /// reconnects with further rights.
    position: u64,
    clearance: Classification,
    next_check: Instant,
    has_ended: bool,
}

impl Follower {
    /// Follows `events`, which come after number `after`. The permit was checked against the run a moment ago.
    pub(super) fn new(ports: RunPorts, permit: Permit, run: FollowedRun, events: EventStream, after: u64) -> Self {
        let clearance = permit.clearance();
        let next_check = Instant::now() + CHECK_INTERVAL;
        Self { ports, permit, run, events, position: after, clearance, next_check, has_ended: false }
    }

    pub(super) fn into_stream(self) -> EventStream {
        Box::pin(futures::stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((event, follower))
        }))
    }

    async fn next(&mut self) -> Option<NumberedEvent> {
        while !self.has_ended {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.next_check) => {
                    if let Some(problem) = self.check().await {
                        return Some(self.end_with(problem));
                    }
                }
                event = self.events.next() => return self.admit(event?).await,
            }
        }
        None
    }

    /// Reads the reader's rights and the classification of the sources again. If the database is not available, the
    /// stream goes on until the next check.
    async fn check(&mut self) -> Option<Problem> {
        self.next_check = Instant::now() + CHECK_INTERVAL;
        match recheck(&self.ports, &self.permit, &self.run.provenance()).await {
            Ok(Ok(clearance)) => {
                self.clearance = clearance;
                None
            }
            Ok(Err(problem)) => Some(problem),
            Err(error) => {
                let request_id = self.permit.scope().request();
                tracing::warn!(%request_id, %error, "failed to check the reader of a run");
                None
            }
        }
    }

    /// Passes an event on, unless the answer so far is above the reader's clearance. Ends the stream without an error
    /// if that is not known; the reader may reconnect then.
    async fn admit(&mut self, event: NumberedEvent) -> Option<NumberedEvent> {
        match self.run.classification(&self.permit, event.seq).await {
            Ok(Some(classification)) if classification > self.clearance => Some(self.end_with(above_clearance())),
            Ok(Some(_)) => {
                self.position = event.seq;
                Some(event)
            }
            Ok(None) => None,
            Err(error) => {
                let request_id = self.permit.scope().request();
                tracing::warn!(%request_id, %error, "failed to read the classification of a run");
                None
            }
        }
        .inspect(|event| self.has_ended = event.event.is_last())
    }

    fn end_with(&mut self, problem: Problem) -> NumberedEvent {
        self.has_ended = true;
        NumberedEvent { seq: self.position, event: RunEvent::Failed(problem) }
    }
}
