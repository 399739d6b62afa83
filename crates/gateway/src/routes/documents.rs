//! Routes of documents and their metadata.

use super::upload::Uploaded;
use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::{HeaderName, StatusCode};
use chrono::{DateTime, NaiveDate, Utc};
use domain::command::{DeleteDocument, GetDocument, ListDocuments, ReprocessDocument, UpdateDocument};
use domain::document::{Document, DocumentFailure, DocumentFilter, DocumentPatch, DocumentStatus, IngestionProgress};
use domain::ids::DocumentId;
use domain::role::Classification;
use domain::text::{ShortText, Title};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, update, delete)).routes(routes!(reprocess))
}

/// A document's metadata.
#[derive(Serialize, ToSchema)]
#[schema(as = Document)]
struct DocumentBody {
    id: Uuid,
    filename: String,
    /// Title, from the file's metadata or its name.
    title: String,
    /// Type as recognized from the content.
    mime_type: String,
    file_size_bytes: i64,
    sha256: String,
    /// Kind of document: procedure, manual, report, …
    doc_type: Option<String>,
    tags: Vec<String>,
    #[schema(schema_with = fields::classification)]
    classification: &'static str,
    /// Status of ingestion.
    #[schema(schema_with = fields::document_status)]
    status: &'static str,
    /// Why ingestion failed; null unless `status` is `failed`.
    error: Option<DocumentError>,
    /// Progress of ingestion; null unless the document is being processed.
    progress: Option<DocumentProgress>,
    /// Warnings from text extraction, such as pages that need text recognition or hidden text that was left out.
    warnings: Vec<String>,
    /// The plant's own revision label.
    revision: Option<String>,
    /// First day (UTC) on which it is in force; null means as soon as it is ingested.
    effective_from: Option<NaiveDate>,
    /// The document that this one replaces.
    supersedes: Option<Uuid>,
    /// The document that replaces this one.
    superseded_by: Option<Uuid>,
    /// Number of pages, for formats that have them.
    page_count: Option<i32>,
    /// Number of searchable passages.
    chunk_count: i32,
    /// Client data, which the platform stores but does not use.
    #[schema(value_type = Object)]
    metadata: Value,
    uploaded_by: Uuid,
    /// The team that it belongs to; null in your tenant's home space.
    team_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    /// When its status or metadata last changed.
    updated_at: DateTime<Utc>,
}

/// A change of a document's metadata. Fields that are missing or null are not changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"classification": "confidential", "tags": ["pump", "P-101"]}))]
struct DocumentChange {
    #[schema(min_length = 1, max_length = 512)]
    title: Option<String>,
    /// Kind of document: procedure, manual, report, …
    #[schema(min_length = 1, max_length = 128)]
    doc_type: Option<String>,
    /// Replaces all tags.
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
    /// At most your own clearance. Only admins can lower it.
    #[schema(schema_with = fields::classification_or_null)]
    classification: Option<Classification>,
    /// Replaces the client data.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

impl DocumentChange {
    fn parse(self) -> Result<DocumentPatch, ApiError> {
        let title: Option<Title> = fields::parse_optional_text("/title", self.title.as_deref())?;
        let doc_type: Option<ShortText> = fields::parse_optional_text("/doc_type", self.doc_type.as_deref())?;
        let tags = self.tags.map(|tags| fields::parse_tags("/tags", &tags)).transpose()?;
        Ok(DocumentPatch {
            title: title.map(Title::into_string),
            doc_type: doc_type.map(ShortText::into_string),
            tags: tags.map(|tags| tags.into_iter().map(ShortText::into_string).collect()),
            classification: self.classification,
            metadata: self.metadata.map(|metadata| fields::parse_metadata("/metadata", metadata)).transpose()?,
        })
    }
}

/// Progress of a document's ingestion.
#[derive(Serialize, ToSchema)]
struct DocumentProgress {
    pages_read: u32,
    /// Total number of pages, once known.
    page_count: Option<u32>,
    /// Number of passages embedded so far.
    chunks_embedded: u32,
    /// Total number of passages, once known.
    chunk_count: Option<u32>,
}

/// Why a document could not be ingested.
#[derive(Serialize, ToSchema)]
struct DocumentError {
    #[schema(schema_with = fields::failure_code)]
    code: &'static str,
    /// What to do about it, as a sentence.
    detail: String,
}

/// Filter and page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DocumentQuery {
    /// Only documents with this status.
    #[param(schema_with = fields::document_status)]
    status: Option<DocumentStatus>,
    /// Only documents with this tag.
    #[param(min_length = 1, max_length = 128)]
    tag: Option<String>,
    /// Only documents of this kind.
    #[param(min_length = 1, max_length = 128)]
    doc_type: Option<String>,
    /// The documents of this team instead of your tenant's.
    team_id: Option<Uuid>,
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<Document> for DocumentBody {
    fn from(document: Document) -> Self {
        Self {
            id: document.id.as_uuid(),
            filename: document.filename,
            title: document.title,
            mime_type: document.mime_type,
            file_size_bytes: document.file_size_bytes,
            sha256: document.sha256,
            doc_type: document.doc_type,
            tags: document.tags,
            classification: document.classification.as_str(),
            status: document.status.as_str(),
            error: document.failure.map(Into::into),
            progress: document.progress.map(Into::into),
            warnings: document.warnings,
            revision: document.revision.label,
            effective_from: document.revision.effective_from,
            supersedes: document.revision.supersedes.map(|id| id.as_uuid()),
            superseded_by: document.superseded_by.map(|id| id.as_uuid()),
            page_count: document.page_count,
            chunk_count: document.chunk_count,
            metadata: document.metadata,
            uploaded_by: document.uploaded_by.as_uuid(),
            team_id: document.team_id.map(|id| id.as_uuid()),
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

impl From<IngestionProgress> for DocumentProgress {
    fn from(progress: IngestionProgress) -> Self {
        let IngestionProgress { pages_read, page_count, chunks_embedded, chunk_count } = progress;
        Self { pages_read, page_count, chunks_embedded, chunk_count }
    }
}

impl From<DocumentFailure> for DocumentError {
    fn from(failure: DocumentFailure) -> Self {
        Self { code: failure.code.as_str(), detail: failure.detail }
    }
}

/// Lists the documents that you may see, newest first.
#[utoipa::path(
    get, path = "/v1/documents", tag = "documents", params(DocumentQuery),
    responses((status = 200, body = Listing<DocumentBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<DocumentQuery>,
) -> Result<Json<Listing<DocumentBody>>, ApiError> {
    let tag: Option<ShortText> = fields::parse_optional_text("/tag", query.tag.as_deref())?;
    let doc_type: Option<ShortText> = fields::parse_optional_text("/doc_type", query.doc_type.as_deref())?;
    let command = ListDocuments {
        filter: DocumentFilter {
            status: query.status,
            tag: tag.map(ShortText::into_string),
            doc_type: doc_type.map(ShortText::into_string),
        },
        page: page::parse(query.limit, query.cursor.as_deref())?,
        team: query.team_id.map(Into::into),
    };
    let documents = call.execute(command).await?;
    Ok(Json(Listing::from_page(documents, Into::into)))
}

/// Returns a document's metadata.
#[utoipa::path(
    get, path = "/v1/documents/{id}", tag = "documents", params(("id" = Uuid, Path)),
    responses((status = 200, body = DocumentBody))
)]
async fn get(call: AuthenticatedRequest, PathId(id): PathId<DocumentId>) -> Result<Json<DocumentBody>, ApiError> {
    let document = call.execute(GetDocument { id }).await?;
    Ok(Json(document.into()))
}

/// Changes a document's metadata.
///
/// A new classification takes effect at once, in searches too. Searches use a new title only after the document has
/// been processed again.
#[utoipa::path(
    patch, path = "/v1/documents/{id}", tag = "documents", params(("id" = Uuid, Path)), request_body = DocumentChange,
    responses((status = 200, body = DocumentBody))
)]
async fn update(
    call: AuthenticatedRequest,
    PathId(id): PathId<DocumentId>,
    ApiJson(body): ApiJson<DocumentChange>,
) -> Result<Json<DocumentBody>, ApiError> {
    let command = UpdateDocument { id, patch: body.parse()? };
    let change = call.execute(command).await?;
    Ok(Json(change.after.into()))
}

/// Processes a document again: extracts its text, splits it into passages and embeds them.
///
/// Until that is done, searches use the previous passages.
#[utoipa::path(
    post, path = "/v1/documents/{id}/reprocess", tag = "documents", params(("id" = Uuid, Path)),
    responses((status = 202, description = "Queued", body = Uploaded, headers(("location" = String))))
)]
async fn reprocess(
    call: AuthenticatedRequest,
    PathId(id): PathId<DocumentId>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Uploaded>), ApiError> {
    let document = call.execute(ReprocessDocument { id }).await?;
    Ok(Uploaded::response(StatusCode::ACCEPTED, &document))
}

/// Deletes a document with its file and passages.
#[utoipa::path(
    delete, path = "/v1/documents/{id}", tag = "documents", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn delete(call: AuthenticatedRequest, PathId(id): PathId<DocumentId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteDocument { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
