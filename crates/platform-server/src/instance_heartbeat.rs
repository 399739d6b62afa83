//! The heartbeat of this process: an advisory lock in the database. Once the lock is gone, other processes consider
//! this one dead and close the audited operations that it left open.

use data::Database;
use data::audit::LivenessLock;
use domain::ports::StoreError;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Interval at which the lock is checked and taken again if needed, because a restart of the database releases it.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Holds the lock of this process until it is dropped.
#[derive(Debug)]
pub struct InstanceHeartbeat {
    _stop_on_drop: DropGuard,
}

impl InstanceHeartbeat {
    /// Takes the lock of the process with this id. Must be called before the process writes anything.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn start(id: Uuid, database: Database) -> Result<Self, StoreError> {
        let mut lock = LivenessLock::new(id);
        lock.ensure_held(&database).await?;
        let stop_token = CancellationToken::new();
        let stop = stop_token.clone();
        TaskTracker::new().spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(CHECK_INTERVAL)).await.is_some() {
                if let Err(error) = lock.ensure_held(&database).await {
                    tracing::debug!(%error, "the lock of this instance cannot be renewed; trying again");
                }
            }
        });
        Ok(Self { _stop_on_drop: stop_token.drop_guard() })
    }
}
