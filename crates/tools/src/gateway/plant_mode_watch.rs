//! Watches the plant mode while a write is under way, so that a change of it ends the write.

use domain::ports::{Store, StoreError};
use domain::scope::TenantScope;
use std::time::Duration;

/// Time between two looks at the plant mode. A change must be in force within a second.
const INTERVAL: Duration = Duration::from_millis(250);

/// The plant mode of one tenant.
#[derive(Clone, Copy)]
pub(super) struct PlantModeWatch<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) scope: &'a TenantScope,
}

impl PlantModeWatch<'_> {
    /// Whether the mode allows writes.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn allows_writes(self) -> Result<bool, StoreError> {
        let mut tx = self.store.begin(self.scope).await?;
        Ok(tx.plant_mode().get().await?.mode.allows_writes())
    }

    /// Returns when the mode no longer allows writes. While the database does not say, the mode counts as it was.
    pub(super) async fn until_writes_are_forbidden(self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if let Ok(false) = self.allows_writes().await {
                return;
            }
        }
    }
}
