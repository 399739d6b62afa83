//! Removes what has expired, every now and then.

use domain::ports::JobQueue;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time between two sweeps.
const INTERVAL: Duration = Duration::from_secs(600);

/// Sweeps again and again, until `stop`.
pub async fn keep_sweeping(queue: Arc<dyn JobQueue>, stop: CancellationToken) {
    loop {
        match queue.sweep_expired().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "expired idempotency keys swept"),
            Err(error) => tracing::debug!(%error, "nothing could be swept"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
            return;
        }
    }
}
