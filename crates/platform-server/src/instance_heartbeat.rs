//! The heartbeat of this process: a lock in the database. Other processes close the operations that a process left
//! open, and only once its lock is gone.

use data::Database;
use data::audit::Instance;
use domain::ports::StoreError;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Interval between two checks that the lock is still held: a restart of the database releases it.
const INTERVAL: Duration = Duration::from_secs(1);

/// Holds the lock of this process until it is dropped.
#[derive(Debug)]
pub struct InstanceHeartbeat {
    _stop_on_drop: DropGuard,
}

impl InstanceHeartbeat {
    /// Takes the lock of the process whose connections carry `id`. Must come before anything is written.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn start(id: Uuid, database: Database) -> Result<Self, StoreError> {
        let mut instance = Instance::new(id);
        instance.hold(&database).await?;
        let dropped = CancellationToken::new();
        let stop = dropped.clone();
        TaskTracker::new().spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
                if let Err(error) = instance.hold(&database).await {
                    tracing::debug!(%error, "the lock of this instance cannot be renewed; trying again");
                }
            }
        });
        Ok(Self { _stop_on_drop: dropped.drop_guard() })
    }
}
