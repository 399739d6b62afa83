//! The platform's own list of work orders. A unique constraint makes a second work order with the same external
//! reference, which is the id of an approval, impossible.

use super::{MaintenanceSystem, OrderDraft, StoredOrder};
use crate::write::error::WriteError;
use async_trait::async_trait;
use domain::approval::ApprovalStatus;
use domain::maintenance::MaintenanceKind;
use domain::ports::Store;
use domain::scope::TenantScope;
use domain::work_order::{WorkOrder, WorkOrderStatus};
use serde_json::Value;
use std::sync::Arc;

/// Writes to the platform's own list.
pub struct BuiltinMaintenance {
    store: Arc<dyn Store>,
}

impl BuiltinMaintenance {
    /// The list in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl MaintenanceSystem for BuiltinMaintenance {
    fn kind(&self) -> MaintenanceKind {
        MaintenanceKind::Builtin
    }

    fn endpoint(&self) -> Value {
        Value::Null
    }

    fn body(&self, _: &OrderDraft) -> Value {
        Value::Null
    }

    async fn find(&self, scope: &TenantScope, external_reference: &str) -> Result<Option<StoredOrder>, WriteError> {
        let mut tx = self.store.begin(scope).await?;
        Ok(tx.work_orders().by_external_reference(external_reference).await?.map(stored))
    }

    async fn create(&self, scope: &TenantScope, order: &OrderDraft) -> Result<StoredOrder, WriteError> {
        let mut tx = self.store.begin(scope).await?;
        // Whoever records an outcome locks the approval too, so that none is recorded while the order is being stored.
        let approval = tx.approvals().lock(order.approval).await?;
        if approval.is_none_or(|approval| approval.status != ApprovalStatus::Executing) {
            return Err(WriteError::NotApproved);
        }
        if !tx.plant_mode().get().await?.mode.allows_writes() {
            return Err(WriteError::PlantMode);
        }
        let row = WorkOrder {
            id: order.id,
            external_reference: order.external_reference(),
            request: order.request.clone(),
            status: WorkOrderStatus::Open,
            requested_by: order.requested_by,
            created_at: order.created_at,
            closed_by: None,
            closed_at: None,
        };
        let inserted = tx.work_orders().insert(&row).await?;
        tx.commit().await?;
        Ok(stored(inserted))
    }
}

fn stored(order: WorkOrder) -> StoredOrder {
    StoredOrder { id: order.id.to_string(), status: Some(order.status.to_string()) }
}
