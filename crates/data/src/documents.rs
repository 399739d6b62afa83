//! Documents of the transaction's tenant.

use crate::error::failed;
use crate::rows::{Start, id, word, words_up_to};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::document::{Document, DocumentFailure, DocumentFilter, NewDocument, Progress};
use domain::ids::DocumentId;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{DocumentRepo, InsertedDocument, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

#[async_trait]
impl DocumentRepo for PgTenantTx {
    async fn insert(&mut self, document: &NewDocument, now: Timestamp) -> Result<InsertedDocument, StoreError> {
        if let Some(new) = insert_unless_there(self, document, now).await? {
            return Ok(InsertedDocument::New(new));
        }
        let same = sqlx::query("SELECT * FROM documents WHERE sha256 = $1")
            .bind(&document.sha256)
            .try_map(read)
            .fetch_optional(self.connection())
            .await
            .map_err(failed("finding a document by its bytes"))?;
        // Deleted between the two statements: the caller may try again.
        let same = same.ok_or(StoreError::Conflict { what: "a document with the same bytes" })?;
        Ok(InsertedDocument::Duplicate(same))
    }

    async fn get(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError> {
        sqlx::query("SELECT * FROM documents WHERE id = $1 AND classification = ANY($2)")
            .bind(id.as_uuid())
            .bind(words_up_to(clearance))
            .try_map(read)
            .fetch_optional(self.connection())
            .await
            .map_err(failed("reading a document"))
    }

    async fn list(
        &mut self,
        filter: &DocumentFilter,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Document>, StoreError> {
        let start = Start::of(page);
        let rows = sqlx::query(
            "SELECT * FROM documents
             WHERE classification = ANY($4)
               AND ($5::text IS NULL OR status = $5)
               AND ($6::text IS NULL OR $6 = ANY(tags))
               AND ($7::text IS NULL OR doc_type = $7)
               AND (created_at, id) < (coalesce($1, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3",
        )
        .bind(start.at)
        .bind(start.id)
        .bind(start.fetch)
        .bind(words_up_to(clearance))
        .bind(filter.status.map(|status| status.as_str()))
        .bind(&filter.tag)
        .bind(&filter.doc_type)
        .try_map(read)
        .fetch_all(self.connection())
        .await
        .map_err(failed("listing documents"))?;
        Ok(Page::from_rows(rows, page, |row| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn advance(&mut self, id: DocumentId, progress: &Progress, now: Timestamp) -> Result<bool, StoreError> {
        let statement = match progress {
            Progress::Processing => {
                sqlx::query("UPDATE documents SET status = 'processing', failure = NULL, updated_at = $2 WHERE id = $1")
                    .bind(id.as_uuid())
                    .bind(now)
            }
            Progress::Ready { title, page_count, chunk_count } => sqlx::query(
                "UPDATE documents
                 SET status = 'ready', failure = NULL, title = coalesce($3, title), page_count = $4, chunk_count = $5,
                     updated_at = $2
                 WHERE id = $1",
            )
            .bind(id.as_uuid())
            .bind(now)
            .bind(title)
            .bind(page_count)
            .bind(chunk_count),
            Progress::Failed(failure) => {
                sqlx::query("UPDATE documents SET status = 'failed', failure = $3, updated_at = $2 WHERE id = $1")
                    .bind(id.as_uuid())
                    .bind(now)
                    .bind(Json(failure))
            }
        };
        let done = statement.execute(self.connection()).await.map_err(failed("moving a document on"))?;
        Ok(done.rows_affected() > 0)
    }

    async fn delete(&mut self, id: DocumentId) -> Result<Option<Document>, StoreError> {
        sqlx::query("DELETE FROM documents WHERE id = $1 RETURNING *")
            .bind(id.as_uuid())
            .try_map(read)
            .fetch_optional(self.connection())
            .await
            .map_err(failed("deleting a document"))
    }
}

async fn insert_unless_there(
    tx: &mut PgTenantTx,
    document: &NewDocument,
    now: Timestamp,
) -> Result<Option<Document>, StoreError> {
    sqlx::query(
        "INSERT INTO documents
             (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256, storage_path, doc_type,
              tags, classification, metadata, created_at, updated_at)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
         ON CONFLICT (tenant_id, sha256) DO NOTHING
         RETURNING *",
    )
    .bind(document.id.as_uuid())
    .bind(document.uploaded_by.as_uuid())
    .bind(&document.filename)
    .bind(&document.title)
    .bind(&document.mime_type)
    .bind(document.file_size_bytes)
    .bind(&document.sha256)
    .bind(&document.storage_path)
    .bind(&document.doc_type)
    .bind(&document.tags)
    .bind(document.classification.as_str())
    .bind(&document.metadata)
    .bind(now)
    .try_map(read)
    .fetch_optional(tx.connection())
    .await
    .map_err(failed("storing a document"))
}

fn read(row: PgRow) -> Result<Document, sqlx::Error> {
    let failure: Option<Json<DocumentFailure>> = row.try_get("failure")?;
    Ok(Document {
        id: id(&row, "id")?,
        filename: row.try_get("filename")?,
        title: row.try_get("title")?,
        mime_type: row.try_get("mime_type")?,
        file_size_bytes: row.try_get("file_size_bytes")?,
        sha256: row.try_get("sha256")?,
        storage_path: row.try_get("storage_path")?,
        doc_type: row.try_get("doc_type")?,
        tags: row.try_get("tags")?,
        classification: word(&row, "classification")?,
        status: word(&row, "status")?,
        failure: failure.map(|Json(failure)| failure),
        page_count: row.try_get("page_count")?,
        chunk_count: row.try_get("chunk_count")?,
        metadata: row.try_get("metadata")?,
        uploaded_by: id(&row, "uploaded_by")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
