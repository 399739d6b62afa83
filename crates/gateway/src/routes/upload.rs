//! The route that uploads a document.

use crate::body::content_length;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::form_digest::FormDigest;
use crate::multipart::{self, FormUpload};
use crate::query::ApiQuery;
use crate::settings::GatewaySettings;
use crate::state::AppState;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use domain::command::UploadDocument;
use domain::document::{Document, DocumentStatus};
use domain::error::ErrorKind;
use domain::ids::TeamId;
use domain::upload::UploadOutcome;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Maximum size of a form without its file, in bytes: fields and boundaries.
const MAX_FORM_OVERHEAD_BYTES: u64 = 1 << 20;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(upload))
}

/// A file with its metadata.
#[derive(ToSchema)]
#[schema(as = UploadForm)]
#[expect(dead_code, reason = "it exists for the OpenAPI document; the form itself is read chunk by chunk")]
struct UploadFormBody {
    /// PDF, DOCX, XLSX, ODS, PPTX, CSV, HTML, EML, Markdown or plain text. The type is recognized from the content; the
    /// file name only distinguishes formats of text.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    /// At most 32 tags: a JSON array of strings, or a comma-separated list.
    #[schema(example = "pump, maintenance")]
    tags: Option<String>,
    /// Kind of document: procedure, manual, report, …
    #[schema(min_length = 1, max_length = 128)]
    doc_type: Option<String>,
    /// Classification of the content; `internal` by default.
    #[schema(schema_with = fields::classification)]
    classification: Option<String>,
    /// Your plant's own revision label.
    #[schema(min_length = 1, max_length = 64, example = "C")]
    revision: Option<String>,
    /// First day (UTC) on which the document is in force. By default, it is in force as soon as it is ingested.
    #[schema(format = Date, example = "2026-03-01")]
    effective_from: Option<String>,
    /// The document that it replaces: from `effective_from` on, searches find the new document instead.
    #[schema(format = Uuid)]
    supersedes: Option<String>,
    /// The team that the document is for, if no parameter names it. The field must come before the file.
    #[schema(format = Uuid)]
    team_id: Option<String>,
    /// Client data: a JSON object of at most 16 KiB, as text.
    #[schema(example = "{\"unit\": \"U100\"}")]
    metadata: Option<String>,
}

/// Where the document belongs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UploadQuery {
    /// The team that the document is for.
    team_id: Option<Uuid>,
}

/// A document that was uploaded, or queued for processing again.
#[derive(Serialize, ToSchema)]
pub(super) struct Uploaded {
    document_id: Uuid,
    /// `processing` until the document is `ready` or `failed`.
    #[schema(example = "processing")]
    status: &'static str,
}

impl Uploaded {
    /// Builds the response, with the document's path in `Location`.
    pub(super) fn response(
        code: StatusCode,
        document: &Document,
    ) -> (StatusCode, [(HeaderName, String); 1], Json<Self>) {
        let status = match document.status {
            DocumentStatus::Pending => DocumentStatus::Processing,
            other => other,
        };
        let body = Self { document_id: document.id.as_uuid(), status: status.as_str() };
        (code, [(LOCATION, format!("/v1/documents/{}", document.id))], Json(body))
    }
}

/// Uploads a document.
///
/// The file is stored when the response arrives. The document is searchable once its status is `ready`.
#[utoipa::path(
    post, path = "/v1/documents/upload", tag = "documents", params(UploadQuery),
    request_body(content = UploadFormBody, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "Stored and queued", body = Uploaded, headers(("location" = String))),
        (status = 200, description = "Your tenant already has a document with the same bytes", body = Uploaded,
            headers(("location" = String))),
    )
)]
async fn upload(
    call: AuthenticatedRequest,
    State(settings): State<Arc<GatewaySettings>>,
    ApiQuery(query): ApiQuery<UploadQuery>,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Uploaded>), ApiError> {
    let limit = settings.max_upload_bytes;
    let announced_bytes = content_length(request.headers());
    if announced_bytes.is_some_and(|size| size > limit.saturating_add(MAX_FORM_OVERHEAD_BYTES)) {
        let detail = format!("The file is larger than {} MiB.", limit >> 20);
        return Err(ApiError::new(ErrorKind::TooLarge, detail));
    }
    let digest = request.extensions().get::<FormDigest>().cloned();
    let form = multipart::open(request, digest).await?;
    let team = query.team_id.map(TeamId::from);
    let FormUpload { upload, mut redirected } = multipart::into_upload(form, limit, team);
    let outcome = match call.execute(UploadDocument { announced_bytes, upload, team }).await {
        Ok(outcome) => outcome,
        Err(error) => {
            // Each space is decided on by itself, so the rest of the form is a second upload.
            let Ok(form) = redirected.try_recv() else { return Err(error) };
            let team = Some(form.team);
            let FormUpload { upload, .. } = multipart::continue_upload(form, limit);
            call.execute(UploadDocument { announced_bytes, upload, team }).await?
        }
    };
    let (code, document) = match outcome {
        UploadOutcome::Created(document) => (StatusCode::ACCEPTED, document),
        UploadOutcome::Duplicate(document) => (StatusCode::OK, document),
    };
    Ok(Uploaded::response(code, &document))
}
