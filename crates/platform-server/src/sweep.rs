//! Deletes expired idempotency keys and ended sessions periodically.

use domain::ports::JobQueue;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Interval between two sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Deletes expired idempotency keys and ended sessions at each interval until `stop`.
pub async fn sweep_periodically(queue: Arc<dyn JobQueue>, stop: CancellationToken) {
    loop {
        match queue.sweep_expired_idempotency_keys().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "deleted expired idempotency keys"),
            Err(error) => tracing::debug!(%error, "expired idempotency keys could not be deleted"),
        }
        match queue.sweep_ended_sessions().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "deleted ended sessions"),
            Err(error) => tracing::debug!(%error, "ended sessions could not be deleted"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_none() {
            return;
        }
    }
}
