//! This process's sign of life: what it leaves open when it dies is closed by another process, and by nobody before.

use data::Database;
use data::audit::Instance;
use domain::ports::StoreError;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Time between two looks whether the lock is still held: a database that restarts takes it.
const INTERVAL: Duration = Duration::from_secs(1);

/// Held until it is dropped.
#[derive(Debug)]
pub struct SignOfLife {
    _until_dropped: DropGuard,
}

impl SignOfLife {
    /// Takes the lock of the process whose connections carry `id`; before it writes anything.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn of(id: Uuid, database: Database) -> Result<Self, StoreError> {
        let mut instance = Instance::new(id);
        instance.hold(&database).await?;
        let dropped = CancellationToken::new();
        let until = dropped.clone();
        TaskTracker::new().spawn(async move {
            while until.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
                if let Err(error) = instance.hold(&database).await {
                    tracing::debug!(%error, "the sign of life is lost for a moment");
                }
            }
        });
        Ok(Self { _until_dropped: dropped.drop_guard() })
    }
}
