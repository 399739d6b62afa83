//! The row type of the table `documents` and its conversion to [`Document`].

use crate::rows::TextEnum;
use crate::statement::row;
use domain::document::{Document, DocumentFailure, DocumentStatus, IngestionProgress, Revision};
use domain::ids::DocumentId;
use domain::role::Classification;
use domain::time::{Date, Timestamp};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

row! {
    pub(crate) struct DocumentRow, columns = document_columns {
        id: Uuid,
        filename: String,
        title: String,
        mime_type: String,
        file_size_bytes: i64,
        sha256: String,
        storage_path: String,
        doc_type: Option<String>,
        tags: Vec<String>,
        classification: TextEnum<Classification>,
        status: TextEnum<DocumentStatus>,
        failure: Option<Json<DocumentFailure>>,
        progress: Option<Json<IngestionProgress>>,
        warnings: Json<Vec<String>>,
        revision: Option<String>,
        effective_from: Option<Date>,
        supersedes: Option<Uuid>,
        superseded_by: Option<Uuid>,
        page_count: Option<i32>,
        chunk_count: i32,
        metadata: Value,
        uploaded_by: Uuid,
        team_id: Option<Uuid>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}
#[expect(clippy::single_component_path_imports, reason = "makes the macro visible to the repository")]
pub(super) use document_columns;

impl From<DocumentRow> for Document {
    fn from(row: DocumentRow) -> Self {
        Self {
            id: row.id.into(),
            filename: row.filename,
            title: row.title,
            mime_type: row.mime_type,
            file_size_bytes: row.file_size_bytes,
            sha256: row.sha256,
            storage_path: row.storage_path,
            doc_type: row.doc_type,
            tags: row.tags,
            classification: row.classification.0,
            status: row.status.0,
            failure: row.failure.map(|Json(failure)| failure),
            progress: row.progress.map(|Json(progress)| progress),
            warnings: row.warnings.0,
            revision: Revision {
                label: row.revision,
                effective_from: row.effective_from,
                supersedes: row.supersedes.map(DocumentId::from_uuid),
            },
            superseded_by: row.superseded_by.map(DocumentId::from_uuid),
            page_count: row.page_count,
            chunk_count: row.chunk_count,
            metadata: row.metadata,
            uploaded_by: row.uploaded_by.into(),
            team_id: row.team_id.map(Into::into),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
