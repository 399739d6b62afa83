//! Records the start of a process in the platform's own audit log.

use super::{Authenticator, system_scope};
use domain::audit::{EventType, ResultStatus};
use domain::ids::{RequestId, TenantId};
use domain::ports::StoreError;
use serde_json::Value;

impl Authenticator {
    /// Records the start of a process. `facts` names the program and a keyed hash of its configuration: a changed
    /// configuration shows from one start to the next, its contents do not.
    ///
    /// # Errors
    /// If the audit log cannot be written.
    pub async fn record_start(&self, facts: Value) -> Result<(), StoreError> {
        let scope = system_scope(TenantId::PLATFORM, RequestId::from_uuid(self.ids.uuid()));
        let mut tx = self.store.begin(&scope).await?;
        self.event(&mut *tx, EventType::PLATFORM_STARTED, ResultStatus::Success, facts).await?;
        tx.commit().await
    }
}
