//! That a process of the platform started, in the platform's own stream of the audit log.

use super::{Authenticator, system_scope};
use domain::audit::{EventType, ResultStatus};
use domain::ids::{RequestId, TenantId};
use domain::ports::StoreError;
use serde_json::Value;

impl Authenticator {
    /// Records a start with `facts`: which program, and a keyed hash of its configuration, so that a change shows from one
    /// start to the next without showing what is configured.
    ///
    /// # Errors
    /// Where the audit log cannot be written.
    pub async fn record_start(&self, facts: Value) -> Result<(), StoreError> {
        let scope = system_scope(TenantId::PLATFORM, RequestId::from_uuid(self.ids.uuid()));
        let mut tx = self.store.begin(&scope).await?;
        self.event(&mut *tx, EventType::PLATFORM_STARTED, ResultStatus::Success, facts).await?;
        tx.commit().await
    }
}
