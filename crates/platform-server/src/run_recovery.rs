//! Ends runs whose process died, so that their readers stop waiting and their partial answers are kept.

use data::RunRecovery;
use domain::ports::StoreError;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Time without its advisory lock after which a process counts as dead. After a restart of the database, processes take
/// their locks again within about a second.
const DEAD_AFTER: Duration = Duration::from_secs(4);
/// Interval at which events that nobody reads any more are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Ends runs of dead processes until `stop`.
pub async fn end_abandoned_runs(recovery: RunRecovery, stop: CancellationToken) {
    let mut unlocked_since = HashMap::new();
    let mut swept_at = Instant::now();
    while stop.run_until_cancelled(tokio::time::sleep(CHECK_INTERVAL)).await.is_some() {
        if let Err(error) = check(&recovery, &mut unlocked_since).await {
            // Without the database, locks cannot be checked, so no time without a lock is counted.
            unlocked_since.clear();
            tracing::debug!(%error, "abandoned runs cannot be ended; trying again");
        }
        if swept_at.elapsed() >= SWEEP_INTERVAL {
            swept_at = Instant::now();
            match recovery.sweep().await {
                Ok(rows) => tracing::debug!(rows, "removed events of runs that ended"),
                Err(error) => tracing::debug!(%error, "events of runs cannot be removed; trying again"),
            }
        }
    }
}

/// Ends the runs of processes that have been without their lock for [`DEAD_AFTER`].
async fn check(recovery: &RunRecovery, unlocked_since: &mut HashMap<Uuid, Instant>) -> Result<(), StoreError> {
    let abandoned = recovery.find_abandoned().await?;
    unlocked_since.retain(|instance, _| abandoned.iter().any(|run| run.instance() == *instance));
    for run in &abandoned {
        let since = *unlocked_since.entry(run.instance()).or_insert_with(Instant::now);
        if since.elapsed() >= DEAD_AFTER && recovery.close(run).await? {
            tracing::warn!(instance = %run.instance(), "ended a run whose process died; its partial answer is kept");
        }
    }
    Ok(())
}
