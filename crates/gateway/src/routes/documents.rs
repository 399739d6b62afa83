//! Routes of documents and their metadata.

use super::upload::Uploaded;
use crate::body::{ApiJson, PathId};
use crate::caller::ApiCall;
use crate::error::ApiError;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use crate::wire;
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
    /// Title, from the file or its name.
    title: String,
    /// Type as recognized from the content.
    mime_type: String,
    file_size_bytes: i64,
    sha256: String,
    /// Kind of document: procedure, manual, report, …
    doc_type: Option<String>,
    tags: Vec<String>,
    #[schema(schema_with = wire::classification)]
    classification: &'static str,
    /// Where it stands in ingestion.
    #[schema(schema_with = wire::document_status)]
    status: &'static str,
    /// Why it failed.
    error: Option<DocumentError>,
    /// How far its ingestion has come, while it is being processed.
    progress: Option<DocumentProgress>,
    /// What to know of how it was read: pages that need text recognition, hidden text that was left out, …
    warnings: Vec<String>,
    /// Which issue it is, as the plant counts.
    revision: Option<String>,
    /// The day (UTC) from which it is in force; from its ingestion on where null.
    effective_from: Option<NaiveDate>,
    /// The document that it takes the place of.
    supersedes: Option<Uuid>,
    /// The document that takes its place.
    superseded_by: Option<Uuid>,
    /// Pages, for formats that have them.
    page_count: Option<i32>,
    /// Passages indexed.
    chunk_count: i32,
    /// Your own data.
    #[schema(value_type = Object)]
    metadata: Value,
    uploaded_by: Uuid,
    created_at: DateTime<Utc>,
    /// When its state changed last.
    updated_at: DateTime<Utc>,
}

/// What to change of a document. A field that is missing or null stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"classification": "confidential", "tags": ["pump", "P-101"]}))]
struct DocumentChange {
    #[schema(min_length = 1, max_length = 512)]
    title: Option<String>,
    /// Kind of document.
    #[schema(min_length = 1, max_length = 128)]
    doc_type: Option<String>,
    /// In place of all before.
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
    /// At most your own clearance; lower than before for admins only.
    #[schema(schema_with = wire::classification_or_null)]
    classification: Option<Classification>,
    /// Replaces your own data.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

impl DocumentChange {
    fn parse(self) -> Result<DocumentPatch, ApiError> {
        let title: Option<Title> = wire::parse_optional_text("/title", self.title.as_deref())?;
        let doc_type: Option<ShortText> = wire::parse_optional_text("/doc_type", self.doc_type.as_deref())?;
        let tags = self.tags.map(|tags| wire::parse_tags("/tags", &tags)).transpose()?;
        Ok(DocumentPatch {
            title: title.map(Title::into_string),
            doc_type: doc_type.map(ShortText::into_string),
            tags: tags.map(|tags| tags.into_iter().map(ShortText::into_string).collect()),
            classification: self.classification,
            metadata: self.metadata.map(|metadata| wire::parse_metadata("/metadata", metadata)).transpose()?,
        })
    }
}

/// How far ingestion has come.
#[derive(Serialize, ToSchema)]
struct DocumentProgress {
    pages_read: u32,
    /// Pages in all, once known.
    page_count: Option<u32>,
    /// Passages embedded.
    chunks_embedded: u32,
    /// Passages in all, once known.
    chunk_count: Option<u32>,
}

/// Why a document could not be ingested.
#[derive(Serialize, ToSchema)]
struct DocumentError {
    #[schema(schema_with = wire::failure_code)]
    code: &'static str,
    /// What to do, in a sentence.
    detail: String,
}

/// Which documents, which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DocumentQuery {
    /// Only in this state.
    #[param(schema_with = wire::document_status)]
    status: Option<DocumentStatus>,
    /// Only with this tag.
    #[param(min_length = 1, max_length = 128)]
    tag: Option<String>,
    /// Only of this kind.
    #[param(min_length = 1, max_length = 128)]
    doc_type: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
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

/// Lists the documents that you may see, the newest first.
#[utoipa::path(
    get, path = "/v1/documents", tag = "documents", params(DocumentQuery),
    responses((status = 200, body = Listing<DocumentBody>))
)]
async fn list(
    call: ApiCall,
    ApiQuery(query): ApiQuery<DocumentQuery>,
) -> Result<Json<Listing<DocumentBody>>, ApiError> {
    let tag: Option<ShortText> = wire::parse_optional_text("/tag", query.tag.as_deref())?;
    let doc_type: Option<ShortText> = wire::parse_optional_text("/doc_type", query.doc_type.as_deref())?;
    let command = ListDocuments {
        filter: DocumentFilter {
            status: query.status,
            tag: tag.map(ShortText::into_string),
            doc_type: doc_type.map(ShortText::into_string),
        },
        page: page::parse(query.limit, query.cursor.as_deref())?,
    };
    let documents = call.execute(command).await?;
    Ok(Json(Listing::from_page(documents, Into::into)))
}

/// Reads a document's metadata.
#[utoipa::path(
    get, path = "/v1/documents/{id}", tag = "documents", params(("id" = Uuid, Path)),
    responses((status = 200, body = DocumentBody))
)]
async fn get(call: ApiCall, PathId(id): PathId<DocumentId>) -> Result<Json<DocumentBody>, ApiError> {
    let document = call.execute(GetDocument { id }).await?;
    Ok(Json(document.into()))
}

/// Changes what is said of a document. A new classification holds at once, in searches too; a new title is read by
/// searches once the document was ingested again.
#[utoipa::path(
    patch, path = "/v1/documents/{id}", tag = "documents", params(("id" = Uuid, Path)), request_body = DocumentChange,
    responses((status = 200, body = DocumentBody))
)]
async fn update(
    call: ApiCall,
    PathId(id): PathId<DocumentId>,
    ApiJson(body): ApiJson<DocumentChange>,
) -> Result<Json<DocumentBody>, ApiError> {
    let command = UpdateDocument { id, patch: body.parse()? };
    let change = call.execute(command).await?;
    Ok(Json(change.after.into()))
}

/// Reads, cuts and embeds a document again. What was found in it before is found until that is done.
#[utoipa::path(
    post, path = "/v1/documents/{id}/reprocess", tag = "documents", params(("id" = Uuid, Path)),
    responses((status = 202, description = "Queued", body = Uploaded, headers(("location" = String))))
)]
async fn reprocess(
    call: ApiCall,
    PathId(id): PathId<DocumentId>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Uploaded>), ApiError> {
    let document = call.execute(ReprocessDocument { id }).await?;
    Ok(Uploaded::response(StatusCode::ACCEPTED, &document))
}

/// Deletes a document with its file and passages.
#[utoipa::path(
    delete, path = "/v1/documents/{id}", tag = "documents", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn delete(call: ApiCall, PathId(id): PathId<DocumentId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteDocument { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
