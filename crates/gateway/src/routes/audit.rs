//! Routes of the audit log.

use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::audit::chain::ChainPage;
use domain::audit::export::ExportLine;
use domain::audit::ocsf;
use domain::audit::{AuditFilter, AuditRecord, ResultStatus};
use domain::command::{ExportAudit, ListAudit};
use domain::ids::UserId;
use domain::text::{BoundedText, ShortText};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(export))
}

/// A row of the audit log. Most operations have two rows with the same `correlation_id`: their intent and outcome.
#[derive(Serialize, ToSchema)]
struct AuditEvent {
    id: Uuid,
    tenant_id: Uuid,
    /// Null for the worker, the system and refused tokens.
    user_id: Option<Uuid>,
    /// Id of the session or of the personal access token. Null in rows from before the platform recorded sessions.
    session_id: Option<Uuid>,
    conversation_id: Option<Uuid>,
    #[schema(example = "chat.request")]
    event_type: String,
    resource_type: Option<String>,
    resource_id: Option<Uuid>,
    /// Name of the model that was used.
    model: Option<String>,
    tools_used: Vec<String>,
    /// Keyed hash of the request's content, which the log does not contain.
    request_hash: Option<String>,
    /// `pending` for an intent, otherwise the result of the operation.
    result_status: Option<String>,
    /// Milliseconds from intent to outcome.
    latency_ms: Option<i32>,
    correlation_id: Uuid,
    request_id: Option<String>,
    /// `intent`, `outcome`, or `event` for an operation that has only one row.
    phase: String,
    #[schema(value_type = Object)]
    metadata: Value,
    created_at: DateTime<Utc>,
}

/// Filter and page of the audit log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only rows with this event type, such as `chat.request`.
    #[param(min_length = 1, max_length = 128)]
    event_type: Option<String>,
    /// Only rows of this user.
    user_id: Option<Uuid>,
    /// Only rows about this resource.
    resource_id: Option<Uuid>,
    /// Only rows from this time on (RFC 3339).
    from: Option<DateTime<Utc>>,
    /// Only rows before this time (RFC 3339).
    to: Option<DateTime<Utc>>,
    /// Only rows with this result.
    #[param(schema_with = fields::result_status)]
    result_status: Option<ResultStatus>,
    /// Only rows of this session.
    session_id: Option<Uuid>,
    /// Only rows of this conversation.
    conversation_id: Option<Uuid>,
    /// Only the intent and outcome of this operation.
    correlation_id: Option<Uuid>,
    /// Only rows of the request with this `x-request-id`.
    #[param(min_length = 1, max_length = 64)]
    request_id: Option<String>,
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<AuditRecord> for AuditEvent {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id.as_uuid(),
            tenant_id: record.tenant_id.as_uuid(),
            user_id: record.user_id.map(|id| id.as_uuid()),
            session_id: record.session_id.map(|id| id.as_uuid()),
            conversation_id: record.conversation_id.map(|id| id.as_uuid()),
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
            phase: record.phase,
            metadata: record.metadata,
            created_at: record.created_at,
        }
    }
}

/// Lists the audit log, newest rows first. Admins and auditors see their tenant's rows, other users only their own.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = Listing<AuditEvent>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<Listing<AuditEvent>>, ApiError> {
    let event_type: Option<ShortText> = fields::parse_optional_text("/event_type", query.event_type.as_deref())?;
    let request_id: Option<BoundedText<64>> = fields::parse_optional_text("/request_id", query.request_id.as_deref())?;
    let command = ListAudit {
        filter: AuditFilter {
            event_type: event_type.map(ShortText::into_string),
            user_id: query.user_id.map(UserId::from),
            resource_id: query.resource_id,
            from: page::check_timestamp("/from", query.from)?,
            to: page::check_timestamp("/to", query.to)?,
            result_status: query.result_status,
            session_id: query.session_id.map(Into::into),
            conversation_id: query.conversation_id.map(Into::into),
            correlation_id: query.correlation_id,
            request_id: request_id.map(BoundedText::into_string),
        },
        page: page::parse(query.limit, query.cursor.as_deref())?,
    };
    let rows = call.execute(command).await?;
    Ok(Json(Listing::from_page(rows, Into::into)))
}

/// The format of an audit export.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ExportFormat {
    /// Rows with their position in the hash chain, and the signed checkpoints. `audit verify` checks them offline.
    #[default]
    Ndjson,
    /// Events of the Open Cybersecurity Schema Framework, for a SIEM.
    Ocsf,
}

/// Format and start of an audit export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `ndjson` by default.
    #[param(inline)]
    format: Option<ExportFormat>,
    /// Only rows after this position in the hash chain: the last `seq` of the previous export.
    #[param(minimum = 0, default = 0)]
    after: Option<i64>,
}

/// Exports the tenant's audit log in the order of its hash chain, one JSON object per line. For admins and auditors.
///
/// The newest rows appear one or two seconds after they were written. Use `after` to resume an interrupted export.
#[utoipa::path(
    get, path = "/v1/audit/export", tag = "audit", params(ExportQuery),
    responses((status = 200, body = String, content_type = "application/x-ndjson"))
)]
async fn export(call: AuthenticatedRequest, ApiQuery(query): ApiQuery<ExportQuery>) -> Result<Response, ApiError> {
    let after = query.after.unwrap_or(0);
    if after < 0 {
        return Err(ApiError::invalid_field("/after", "must not be negative"));
    }
    let (tenant, format) = (call.caller.tenant().id.as_uuid(), query.format.unwrap_or_default());
    let pages = call.execute(ExportAudit { after }).await?;
    let mut resumed_after = after;
    let chunks = pages.map(move |page| {
        let page = page.map_err(io::Error::other)?;
        let text = write_page(tenant, std::mem::take(&mut resumed_after), page, format)?;
        Ok::<_, io::Error>(Bytes::from(text))
    });
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CONTENT_DISPOSITION, "attachment; filename=\"audit.ndjson\""),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// Writes the lines of one page. On the first page, `after` is the start of a resumed export; on the others it is 0.
fn write_page(tenant: Uuid, after: i64, page: ChainPage, format: ExportFormat) -> io::Result<String> {
    let mut text = String::new();
    for line in ExportLine::from_page(tenant, after, page) {
        let json = match (format, &line) {
            (ExportFormat::Ndjson, line) => line.to_json()?,
            (ExportFormat::Ocsf, ExportLine::Event(event)) => ocsf::to_ocsf(event).to_string(),
            (ExportFormat::Ocsf, _) => continue,
        };
        text.push_str(&json);
        text.push('\n');
    }
    Ok(text)
}
