//! Stores the events of a run while it goes on, some at a time.

use super::SharedRuns;
use crate::run::definition::Run;
use crate::run::log::RunLog;
use domain::ids::ConversationId;
use domain::ports::{RunEventBatch, RunSignal, StoreError};
use domain::run::{NumberedEvent, RunEvent};
use std::time::Duration;
use tokio::time::Instant;

/// Time between two writes. What a process wrote within it is lost if the process is killed.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);
/// Time between two writes while somebody reads at another process.
const FOLLOWED_INTERVAL: Duration = Duration::from_millis(100);
/// Pause after a write that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long writes are tried after the run has ended. The answer itself is stored by other means.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Stores the events of a run until its last one. The first event is stored at once, so that other processes find the
/// run; then the events of half a second at a time.
pub async fn write_events(shared: &SharedRuns, run: &Run, conversation: ConversationId, log: &RunLog) {
    let mut written = 0;
    let mut ended_at = None;
    loop {
        log.wait_for_more_than(written).await;
        let events = log.events_after(written);
        let Some(last) = events.last() else { return };
        let (last_seq, has_ended) = (last.seq, last.event.is_last());
        match write(shared, run, conversation, log, events).await {
            Ok(()) => written = last_seq,
            // The conversation was deleted.
            Err(StoreError::Conflict { .. }) => return,
            Err(error) => {
                let ended_at = *ended_at.get_or_insert_with(Instant::now);
                if has_ended && ended_at.elapsed() > RETRY_TIMEOUT {
                    tracing::warn!(%error, "events of a run could not be stored");
                    return;
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
                continue;
            }
        }
        if has_ended {
            return;
        }
        let interval = if log.has_remote_reader() { FOLLOWED_INTERVAL } else { WRITE_INTERVAL };
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
        class: provenance.class,
        sources: provenance.sources,
    };
    shared.store.append(run.permit.scope(), &batch).await?;
    if log.has_remote_reader() {
        shared.store.send(RunSignal::Stored(run.id)).await?;
    }
    Ok(())
}

/// Reasoning is never kept.
fn without_reasoning(numbered: NumberedEvent) -> NumberedEvent {
    match numbered.event {
        RunEvent::Reasoning { .. } => NumberedEvent { event: RunEvent::Reasoning { text: String::new() }, ..numbered },
        _ => numbered,
    }
}
