//! Stores the events of a run in batches while it is in progress.

use super::SharedRuns;
use crate::run::definition::Run;
use crate::run::event_log::RunLog;
use domain::ids::ConversationId;
use domain::ports::{RunEventBatch, RunSignal, StoreError};
use domain::run::{NumberedEvent, RunEvent};
use std::time::Duration;
use tokio::time::Instant;

/// Interval between two writes. The events of this interval are lost if the process is killed.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);
/// Interval between two writes while the run has a reader in another process.
const REMOTE_READER_WRITE_INTERVAL: Duration = Duration::from_millis(100);
/// Delay before a failed write is retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Time after the first failure during which a write of an ended run is retried. The answer itself is stored
/// separately.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Stores the events of a run until its last one. The first and the last event are stored at once, so that other
/// processes find the run and see its end; the others once per [`WRITE_INTERVAL`].
pub async fn write_events(shared: &SharedRuns, run: &Run, conversation: ConversationId, log: &RunLog) {
    let mut written = 0;
    let mut first_failure_at = None;
    loop {
        log.wait_for_more_than(written).await;
        let events = log.events_after(written);
        let Some(last) = events.last() else { return };
        let (last_seq, has_ended) = (last.seq, last.event.is_last());
        match write(shared, run, conversation, log, events).await {
            Ok(()) => (written, first_failure_at) = (last_seq, None),
            // The conversation was deleted.
            Err(StoreError::Conflict { .. }) => return,
            Err(error) => {
                let first_failure_at = *first_failure_at.get_or_insert_with(Instant::now);
                if has_ended && first_failure_at.elapsed() > RETRY_TIMEOUT {
                    tracing::warn!(%error, "failed to store the events of a run");
                    return;
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
                continue;
            }
        }
        if has_ended {
            return;
        }
        let interval = if log.has_remote_reader() { REMOTE_READER_WRITE_INTERVAL } else { WRITE_INTERVAL };
        // The last event is stored at once.
        let _ended_or_elapsed = tokio::time::timeout(interval, log.wait_for_end()).await;
    }
}

async fn write(
    shared: &SharedRuns,
    run: &Run,
    conversation: ConversationId,
    log: &RunLog,
    events: Vec<NumberedEvent>,
) -> Result<(), StoreError> {
    // Read after the events, so that it covers them.
    let provenance = log.provenance();
    let batch = RunEventBatch {
        run: run.id,
        conversation,
        message: run.answer_id,
        events: events.into_iter().map(without_reasoning).collect(),
        classification: provenance.classification,
        sources: provenance.sources,
    };
    shared.store.append(run.permit.scope(), &batch).await?;
    if log.has_remote_reader() {
        shared.store.send(RunSignal::EventsStored(run.id)).await?;
    }
    Ok(())
}

/// Removes the text of reasoning, which is never stored.
fn without_reasoning(numbered: NumberedEvent) -> NumberedEvent {
    match numbered.event {
        RunEvent::Reasoning { .. } => NumberedEvent { event: RunEvent::Reasoning { text: String::new() }, ..numbered },
        _ => numbered,
    }
}
