//! The audit log, to read.

use crate::app::App;
use crate::caller::Call;
use crate::error::ApiError;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::wire;
use axum::Json;
use chrono::{DateTime, Utc};
use domain::audit::{AuditFilter, AuditRecord};
use domain::command::ListAudit;
use domain::ids::UserId;
use domain::text::Label;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A row of the audit log. An operation has two: its intent, and under the same `correlation_id` its outcome.
#[derive(Serialize, ToSchema)]
struct AuditEvent {
    id: Uuid,
    tenant_id: Uuid,
    /// Null for the worker, the system and refused tokens.
    user_id: Option<Uuid>,
    /// The conversation.
    session_id: Option<Uuid>,
    #[schema(example = "chat.request")]
    event_type: String,
    resource_type: Option<String>,
    resource_id: Option<Uuid>,
    /// What served.
    model: Option<String>,
    tools_used: Vec<String>,
    /// Keyed hash of the request's content.
    request_hash: Option<String>,
    /// `pending` for an intent, otherwise how the operation ended.
    result_status: Option<String>,
    /// Milliseconds from intent to outcome.
    latency_ms: Option<i32>,
    correlation_id: Uuid,
    request_id: Option<String>,
    #[schema(value_type = Object)]
    metadata: Value,
    created_at: DateTime<Utc>,
}

/// Which rows, which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only this event, `chat.request` for instance.
    #[param(min_length = 1, max_length = 128)]
    event_type: Option<String>,
    /// Only this user's.
    user_id: Option<Uuid>,
    /// Only about this resource.
    resource_id: Option<Uuid>,
    /// From this moment on (RFC 3339).
    from: Option<DateTime<Utc>>,
    /// Before this moment (RFC 3339).
    to: Option<DateTime<Utc>>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl From<AuditRecord> for AuditEvent {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id.as_uuid(),
            tenant_id: record.tenant_id.as_uuid(),
            user_id: record.user_id.map(|id| id.as_uuid()),
            session_id: record.session_id.map(|id| id.as_uuid()),
            event_type: record.event_type,
            resource_type: record.resource_type,
            resource_id: record.resource_id,
            model: record.model,
            tools_used: record.tools_used,
            request_hash: record.request_hash,
            result_status: record.result_status,
            latency_ms: record.latency_ms,
            correlation_id: record.correlation_id,
            request_id: record.request_id.map(|id| id.to_string()),
            metadata: record.metadata,
            created_at: record.created_at,
        }
    }
}

/// Reads the audit log, the newest rows first: admins and auditors their tenant's, others their own.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = Listing<AuditEvent>))
)]
async fn list(call: Call, ApiQuery(query): ApiQuery<AuditQuery>) -> Result<Json<Listing<AuditEvent>>, ApiError> {
    let event_type: Option<Label> = wire::optional_text("/event_type", query.event_type.as_deref())?;
    let command = ListAudit {
        filter: AuditFilter {
            event_type: event_type.map(Label::into_string),
            user_id: query.user_id.map(UserId::from),
            resource_id: query.resource_id,
            from: page::moment("/from", query.from)?,
            to: page::moment("/to", query.to)?,
        },
        page: page::parse(query.limit, query.cursor.as_deref())?,
    };
    let found = call.admin.list_audit(&call.caller, command).await?;
    Ok(Json(Listing::of(found, Into::into)))
}
