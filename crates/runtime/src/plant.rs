//! Work orders of the platform's own list, and the plant mode.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::Change;
use domain::authorized::Authorized;
use domain::command::{CloseWorkOrder, ExportWorkOrders, GetPlantMode, GetWorkOrder, ListWorkOrders, SetPlantMode};
use domain::page::{Page, PageRequest};
use domain::plant::PlantModeState;
use domain::ports::{Clock, Store};
use domain::work_order::WorkOrder;
use std::sync::Arc;

/// Use cases for work orders and the plant mode.
pub struct PlantService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl PlantService {
    /// Creates the service.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

#[async_trait]
impl UseCase<ListWorkOrders> for PlantService {
    async fn execute(&self, command: Authorized<ListWorkOrders>) -> Result<Page<WorkOrder>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let ListWorkOrders { filter, page } = command.command();
        let orders = tx.work_orders().list(filter, page).await?;
        tx.defer_commit();
        Ok(orders)
    }
}

#[async_trait]
impl UseCase<GetWorkOrder> for PlantService {
    async fn execute(&self, command: Authorized<GetWorkOrder>) -> Result<WorkOrder, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let order = tx.work_orders().get(command.command().id).await?;
        let order = order.ok_or(RuntimeError::NotFound { target: "the work order" })?;
        tx.defer_commit();
        Ok(order)
    }
}

#[async_trait]
impl UseCase<CloseWorkOrder> for PlantService {
    async fn execute(&self, command: Authorized<CloseWorkOrder>) -> Result<WorkOrder, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let not_found = RuntimeError::NotFound { target: "the work order" };
        let Some(user) = command.scope().user() else { return Err(not_found) };
        let id = command.command().id;
        let Some(closed) = tx.work_orders().close(id, user, self.clock.now()).await? else {
            tx.work_orders().get(id).await?.ok_or(not_found)?;
            return Err(RuntimeError::Conflict { detail: "The work order is closed already." });
        };
        tx.defer_commit();
        Ok(closed)
    }
}

#[async_trait]
impl UseCase<ExportWorkOrders> for PlantService {
    async fn execute(&self, command: Authorized<ExportWorkOrders>) -> Result<Vec<WorkOrder>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let (mut orders, mut page) = (Vec::new(), PageRequest::new(PageRequest::MAX_LIMIT, None).unwrap_or_default());
        while orders.len() < ExportWorkOrders::MAX_ORDERS {
            let next = tx.work_orders().list(&command.command().filter, &page).await?;
            orders.extend(next.items);
            page.after = next.next;
            if page.after.is_none() {
                break;
            }
        }
        orders.truncate(ExportWorkOrders::MAX_ORDERS);
        tx.defer_commit();
        Ok(orders)
    }
}

#[async_trait]
impl UseCase<GetPlantMode> for PlantService {
    async fn execute(&self, command: Authorized<GetPlantMode>) -> Result<PlantModeState, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let state = tx.plant_mode().get().await?;
        tx.defer_commit();
        Ok(state)
    }
}

#[async_trait]
impl UseCase<SetPlantMode> for PlantService {
    async fn execute(&self, command: Authorized<SetPlantMode>) -> Result<Change<PlantModeState>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let by = command.scope().user();
        let (_, SetPlantMode { mode, reason }) = command.into_parts();
        let before = tx.plant_mode().get().await?;
        let after = PlantModeState { mode, reason: reason.into_string(), changed_at: Some(self.clock.now()) };
        tx.plant_mode().set(&after, by).await?;
        tx.defer_commit();
        Ok(Change { before, after })
    }
}
