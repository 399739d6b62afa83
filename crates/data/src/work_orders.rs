//! Work orders of the platform's own list, and the plant mode.

use crate::pool::Database;
use crate::rows::{KeysetParams, TextEnum, non_negative};
use crate::statement::{DbRole, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::{UserId, WorkOrderId};
use domain::page::{Page, PageKey, PageRequest};
use domain::plant::{PlantMode, PlantModeState};
use domain::ports::{PlantModeCount, PlantModeRepo, StoreError, WorkOrderRepo};
use domain::time::Timestamp;
use domain::work_order::{WorkOrder, WorkOrderFilter, WorkOrderRequest, WorkOrderStatus};
use uuid::Uuid;

row! {
    struct WorkOrderRow, columns = work_order_columns {
        id: Uuid,
        external_reference: String,
        target: String,
        title: String,
        description: String,
        priority: i16,
        due: Option<String>,
        status: TextEnum<WorkOrderStatus>,
        requested_by: Uuid,
        created_at: Timestamp,
        closed_by: Option<Uuid>,
        closed_at: Option<Timestamp>,
    }
}

row! {
    struct PlantModeRow, columns = plant_mode_columns {
        mode: TextEnum<PlantMode>,
        reason: String,
        changed_at: Timestamp,
    }
}

row! {
    struct PlantModeCountRow, columns = plant_mode_count_columns {
        mode: TextEnum<PlantMode>,
        tenants: i64,
    }
}

statements! {
    /// Inserts nothing, and returns nothing, if the reference is taken.
    INSERT: WorkOrderRow = Statement::insert(
        "work_orders",
        "storing a work order",
        concat!(
            "INSERT INTO work_orders (id, tenant_id, external_reference, target, title, description, priority, due,
                                      requested_by, created_at)
             VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (tenant_id, external_reference) DO NOTHING
             RETURNING ",
            work_order_columns!()
        ),
    );
    GET: WorkOrderRow = Statement::select(
        "work_orders",
        "reading a work order",
        concat!("SELECT ", work_order_columns!(), " FROM work_orders WHERE id = $1"),
    );
    BY_REFERENCE: WorkOrderRow = Statement::select(
        "work_orders",
        "looking for a work order",
        concat!("SELECT ", work_order_columns!(), " FROM work_orders WHERE external_reference = $1"),
    );
    LIST: WorkOrderRow = Statement::select(
        "work_orders",
        "listing work orders",
        concat!(
            "SELECT ",
            work_order_columns!(),
            " FROM work_orders
             WHERE ($4::text IS NULL OR external_reference = $4)
               AND ($5::text IS NULL OR status = $5)
               AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    CLOSE: WorkOrderRow = Statement::update(
        "work_orders",
        "closing a work order",
        concat!(
            "UPDATE work_orders SET status = 'closed', closed_by = $2, closed_at = $3
             WHERE id = $1 AND status = 'open' RETURNING ",
            work_order_columns!()
        ),
    );
    PLANT_MODE: PlantModeRow = Statement::select(
        "plant_mode",
        "reading the plant mode",
        concat!("SELECT ", plant_mode_columns!(), " FROM plant_mode"),
    );
    PLANT_MODES: PlantModeCountRow = Statement::call(
        "plant_mode_counts",
        "counting plant modes",
        concat!("SELECT ", plant_mode_count_columns!(), " FROM plant_mode_counts()"),
    )
    .run_by(DbRole::Worker);
    SET_PLANT_MODE: () = Statement::insert(
        "plant_mode",
        "setting the plant mode",
        "INSERT INTO plant_mode (tenant_id, mode, reason, changed_by, changed_at)
         VALUES (app_tenant(), $1, $2, $3, coalesce($4::timestamptz, now()))
         ON CONFLICT (tenant_id) DO UPDATE
         SET mode = excluded.mode, reason = excluded.reason, changed_by = excluded.changed_by,
             changed_at = excluded.changed_at",
    );
}

#[async_trait]
impl WorkOrderRepo for PgTenantTx {
    async fn insert(&mut self, order: &WorkOrder) -> Result<WorkOrder, StoreError> {
        let request = &order.request;
        let inserted = INSERT
            .query()
            .bind(order.id.as_uuid())
            .bind(&order.external_reference)
            .bind(&request.target)
            .bind(&request.title)
            .bind(&request.description)
            .bind(i16::from(request.priority))
            .bind(&request.due)
            .bind(order.requested_by.as_uuid())
            .bind(order.created_at)
            .fetch_optional(self.connection())
            .await?;
        match inserted {
            Some(order) => Ok(order),
            None => BY_REFERENCE.query().bind(&order.external_reference).fetch_one(self.connection()).await,
        }
    }

    async fn get(&mut self, id: WorkOrderId) -> Result<Option<WorkOrder>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn by_external_reference(&mut self, reference: &str) -> Result<Option<WorkOrder>, StoreError> {
        BY_REFERENCE.query().bind(reference).fetch_optional(self.connection()).await
    }

    async fn list(&mut self, filter: &WorkOrderFilter, page: &PageRequest) -> Result<Page<WorkOrder>, StoreError> {
        let keyset = KeysetParams::new(page);
        let query = LIST
            .query()
            .bind(keyset.created_at)
            .bind(keyset.id)
            .bind(keyset.limit)
            .bind(&filter.external_reference)
            .bind(filter.status.map(WorkOrderStatus::as_str));
        let rows = query.fetch_all(self.connection()).await?;
        Ok(Page::from_rows(rows, page, |row: &WorkOrder| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn close(&mut self, id: WorkOrderId, by: UserId, now: Timestamp) -> Result<Option<WorkOrder>, StoreError> {
        let close = CLOSE.query().bind(id.as_uuid()).bind(by.as_uuid()).bind(now);
        close.fetch_optional(self.connection()).await
    }
}

#[async_trait]
impl PlantModeRepo for PgTenantTx {
    async fn get(&mut self) -> Result<PlantModeState, StoreError> {
        let state = PLANT_MODE.query().fetch_optional(self.connection()).await?;
        Ok(state.unwrap_or_else(PlantModeState::initial))
    }

    async fn set(&mut self, state: &PlantModeState, by: Option<UserId>) -> Result<(), StoreError> {
        SET_PLANT_MODE
            .query()
            .bind(state.mode.as_str())
            .bind(&state.reason)
            .bind(by.map(|by| by.as_uuid()))
            .bind(state.changed_at)
            .execute(self.connection())
            .await
    }
}

/// Number of active tenants in each plant mode.
pub(crate) async fn count_plant_modes(database: &Database) -> Result<Vec<PlantModeCount>, StoreError> {
    let mut connection = database.acquire("counting plant modes").await?;
    PLANT_MODES.query().fetch_all(&mut connection).await
}

impl From<PlantModeCountRow> for PlantModeCount {
    fn from(row: PlantModeCountRow) -> Self {
        Self { mode: row.mode.0, tenants: non_negative(row.tenants) }
    }
}

impl From<WorkOrderRow> for WorkOrder {
    fn from(row: WorkOrderRow) -> Self {
        Self {
            id: row.id.into(),
            external_reference: row.external_reference,
            request: WorkOrderRequest {
                target: row.target,
                title: row.title,
                description: row.description,
                priority: u8::try_from(row.priority).unwrap_or_default(),
                due: row.due,
            },
            status: row.status.0,
            requested_by: row.requested_by.into(),
            created_at: row.created_at,
            closed_by: row.closed_by.map(Into::into),
            closed_at: row.closed_at,
        }
    }
}

impl From<PlantModeRow> for PlantModeState {
    fn from(row: PlantModeRow) -> Self {
        Self { mode: row.mode.0, reason: row.reason, changed_at: Some(row.changed_at) }
    }
}
