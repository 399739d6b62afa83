//! Routes of work orders of the platform's own list. They are created by approved calls of `plant_system_write` only.

use crate::body::PathId;
use crate::caller::AuthenticatedRequest;
use crate::csv;
use crate::error::ApiError;
use crate::fields;
use crate::file_name::attachment_disposition;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use domain::command::{CloseWorkOrder, ExportWorkOrders, GetWorkOrder, ListWorkOrders};
use domain::ids::{UserId, WorkOrderId};
use domain::text::{BoundedText, ShortText};
use domain::work_order::{WorkOrder, WorkOrderFilter, WorkOrderStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Columns of the export.
const COLUMNS: [&str; 12] = [
    "id",
    "external_reference",
    "target",
    "title",
    "description",
    "priority",
    "due",
    "status",
    "requested_by",
    "created_at",
    "closed_by",
    "closed_at",
];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(export)).routes(routes!(get)).routes(routes!(close))
}

/// A work order.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkOrder)]
struct WorkOrderBody {
    id: Uuid,
    /// The approval that led to it.
    external_reference: String,
    /// Equipment or place, in the plant's own notation.
    target: String,
    title: String,
    description: String,
    /// Urgency, from 1 (highest) to 4.
    priority: u8,
    /// A date, or a date and time (RFC 3339).
    due: Option<String>,
    #[schema(schema_with = fields::work_order_status)]
    status: &'static str,
    /// The user who asked for it.
    requested_by: Uuid,
    created_at: DateTime<Utc>,
    /// The user who closed it.
    closed_by: Option<Uuid>,
    closed_at: Option<DateTime<Utc>>,
}

/// Filter and page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WorkOrderQuery {
    /// Only the work order with this external reference.
    #[param(min_length = 1, max_length = 128)]
    external_reference: Option<String>,
    /// Only work orders with this status.
    #[param(schema_with = fields::work_order_status)]
    status: Option<WorkOrderStatus>,
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// Filter of the export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// Only work orders with this status.
    #[param(schema_with = fields::work_order_status)]
    status: Option<WorkOrderStatus>,
}

impl From<WorkOrder> for WorkOrderBody {
    fn from(order: WorkOrder) -> Self {
        let WorkOrder { id, external_reference, request, status, requested_by, created_at, closed_by, closed_at } =
            order;
        Self {
            id: id.as_uuid(),
            external_reference,
            target: request.target,
            title: request.title,
            description: request.description,
            priority: request.priority,
            due: request.due,
            status: status.as_str(),
            requested_by: requested_by.as_uuid(),
            created_at,
            closed_by: closed_by.map(|user| user.as_uuid()),
            closed_at,
        }
    }
}

/// Lists the tenant's work orders, newest first.
#[utoipa::path(
    get, path = "/v1/work-orders", tag = "plant", params(WorkOrderQuery),
    responses((status = 200, body = Listing<WorkOrderBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<WorkOrderQuery>,
) -> Result<Json<Listing<WorkOrderBody>>, ApiError> {
    let reference: Option<ShortText> =
        fields::parse_optional_text("/external_reference", query.external_reference.as_deref())?;
    let external_reference = reference.map(BoundedText::into_string);
    let filter = WorkOrderFilter { external_reference, status: query.status };
    let command = ListWorkOrders { filter, page: page::parse(query.limit, query.cursor.as_deref())? };
    let orders = call.execute(command).await?;
    Ok(Json(Listing::from_page(orders, Into::into)))
}

/// Returns a work order.
#[utoipa::path(
    get, path = "/v1/work-orders/{id}", tag = "plant", params(("id" = Uuid, Path)),
    responses((status = 200, body = WorkOrderBody))
)]
async fn get(call: AuthenticatedRequest, PathId(id): PathId<WorkOrderId>) -> Result<Json<WorkOrderBody>, ApiError> {
    Ok(Json(call.execute(GetWorkOrder { id }).await?.into()))
}

/// Closes a work order: the work was done. For a closed one, the answer is 409.
///
/// Users close the work orders that they asked for; admins and approvers close all of the tenant's.
#[utoipa::path(
    post, path = "/v1/work-orders/{id}/close", tag = "plant", params(("id" = Uuid, Path)),
    responses((status = 200, body = WorkOrderBody))
)]
async fn close(call: AuthenticatedRequest, PathId(id): PathId<WorkOrderId>) -> Result<Json<WorkOrderBody>, ApiError> {
    Ok(Json(call.execute(CloseWorkOrder { id }).await?.into()))
}

/// Exports the newest 10,000 work orders as comma-separated values, newest first.
#[utoipa::path(
    get, path = "/v1/work-orders/export", tag = "plant", params(ExportQuery),
    responses((status = 200, description = "The file", body = String, content_type = "text/csv"))
)]
async fn export(call: AuthenticatedRequest, ApiQuery(query): ApiQuery<ExportQuery>) -> Result<Response, ApiError> {
    let filter = WorkOrderFilter { external_reference: None, status: query.status };
    let orders = call.execute(ExportWorkOrders { filter }).await?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, attachment_disposition("work-orders.csv")),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    Ok((headers, to_csv(orders)).into_response())
}

fn to_csv(orders: Vec<WorkOrder>) -> String {
    let mut text = String::new();
    csv::push_row(&mut text, COLUMNS);
    for order in orders {
        let time = |time: Option<DateTime<Utc>>| {
            time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
        };
        let user = |user: Option<UserId>| user.map(|user| user.to_string()).unwrap_or_default();
        let cells: [String; COLUMNS.len()] = [
            order.id.to_string(),
            order.external_reference,
            order.request.target,
            order.request.title,
            order.request.description,
            order.request.priority.to_string(),
            order.request.due.unwrap_or_default(),
            order.status.to_string(),
            user(Some(order.requested_by)),
            time(Some(order.created_at)),
            user(order.closed_by),
            time(order.closed_at),
        ];
        csv::push_row(&mut text, cells.iter().map(String::as_str));
    }
    text
}
