//! The route that uploads a document.

use crate::body::content_length;
use crate::caller::ApiCall;
use crate::error::ApiError;
use crate::form_digest::FormDigest;
use crate::multipart;
use crate::settings::GatewaySettings;
use crate::state::AppState;
use crate::wire;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use domain::command::UploadDocument;
use domain::document::{Document, DocumentStatus};
use domain::error::ErrorKind;
use domain::upload::UploadOutcome;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
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
    /// PDF, DOCX, plain text or Markdown. The type is recognized from the content.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    /// At most 32 tags: a JSON array of strings, or a comma-separated list.
    #[schema(example = "pump, maintenance")]
    tags: Option<String>,
    /// Kind of document: procedure, manual, report, …
    #[schema(min_length = 1, max_length = 128)]
    doc_type: Option<String>,
    /// Classification of the content; `internal` by default.
    #[schema(schema_with = wire::classification)]
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
    /// Client data: a JSON object of at most 16 KiB, as text.
    #[schema(example = "{\"unit\": \"U100\"}")]
    metadata: Option<String>,
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
    post, path = "/v1/documents/upload", tag = "documents",
    request_body(content = UploadFormBody, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "Stored and queued", body = Uploaded, headers(("location" = String))),
        (status = 200, description = "Your tenant already has a document with the same bytes", body = Uploaded,
            headers(("location" = String))),
    )
)]
async fn upload(
    call: ApiCall,
    State(settings): State<Arc<GatewaySettings>>,
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
    let command = UploadDocument { announced_bytes, upload: multipart::into_upload(form, limit) };
    let outcome = call.execute(command).await?;
    let (code, document) = match outcome {
        UploadOutcome::Created(document) => (StatusCode::ACCEPTED, document),
        UploadOutcome::Duplicate(document) => (StatusCode::OK, document),
    };
    Ok(Uploaded::response(code, &document))
}
