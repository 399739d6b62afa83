//! Records the start of a process in the platform's own audit log.

use super::{Authenticator, system_scope};
use domain::audit::{EventType, ResultStatus};
use domain::ids::{RequestId, TenantId};
use domain::ports::StoreError;
use serde_json::Value;

impl Authenticator {
    /// Records the start of a process. `metadata` contains the program's name and a keyed hash of its configuration, so
    /// that a change between two starts is visible without disclosing the contents.
    ///
    /// # Errors
    /// If the audit log cannot be written.
    pub async fn record_start(&self, metadata: Value) -> Result<(), StoreError> {
        let scope = system_scope(TenantId::PLATFORM, RequestId::from_uuid(self.ids.uuid()));
        let mut tx = self.store.begin(&scope).await?;
        self.record_event(&mut *tx, EventType::PLATFORM_STARTED, ResultStatus::Success, metadata).await?;
        tx.commit().await
    }
}
