//! Documents of the transaction's tenant.

use crate::error::failed;
use crate::rows::{Start, id, word, words_up_to};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::document::{
    Document, DocumentFailure, DocumentFilter, DocumentPatch, IngestionProgress, NewDocument, Revision, StatusChange,
};
use domain::ids::DocumentId;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{DocumentRepo, InsertedDocument, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::{Json, Uuid};
use sqlx::{Postgres, Row};

#[async_trait]
impl DocumentRepo for PgTenantTx {
    async fn insert(
        &mut self,
        document: &NewDocument,
        clearance: Classification,
        now: Timestamp,
    ) -> Result<InsertedDocument, StoreError> {
        if let Some(known) = same_bytes(self, &document.sha256, clearance).await? {
            return Ok(InsertedDocument::Duplicate(known));
        }
        if let Some(new) = insert_unless_there(self, document, now).await? {
            return Ok(InsertedDocument::New(new));
        }
        // Stored since, or above the clearance. Copies are stored one at a time, so that there is one for all who do not
        // see the first.
        hold_bytes(self, &document.sha256).await?;
        if let Some(known) = same_bytes(self, &document.sha256, clearance).await? {
            return Ok(InsertedDocument::Duplicate(known));
        }
        insert_copy(self, document, now).await.map(InsertedDocument::New)
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

    async fn lock(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError> {
        sqlx::query("SELECT * FROM documents WHERE id = $1 AND classification = ANY($2) FOR UPDATE")
            .bind(id.as_uuid())
            .bind(words_up_to(clearance))
            .try_map(read)
            .fetch_optional(self.connection())
            .await
            .map_err(failed("locking a document"))
    }

    async fn update(
        &mut self,
        id: DocumentId,
        patch: &DocumentPatch,
        now: Timestamp,
    ) -> Result<Option<Document>, StoreError> {
        sqlx::query(
            "UPDATE documents
             SET title = coalesce($2, title), title_given = title_given OR $2 IS NOT NULL,
                 doc_type = coalesce($3, doc_type), tags = coalesce($4, tags),
                 classification = coalesce($5, classification), metadata = coalesce($6, metadata), updated_at = $7
             WHERE id = $1
             RETURNING *",
        )
        .bind(id.as_uuid())
        .bind(&patch.title)
        .bind(&patch.doc_type)
        .bind(&patch.tags)
        .bind(patch.classification.map(|class| class.as_str()))
        .bind(&patch.metadata)
        .bind(now)
        .try_map(read)
        .fetch_optional(self.connection())
        .await
        .map_err(failed("changing a document"))
    }

    async fn classes(&mut self, ids: &[DocumentId]) -> Result<Vec<(DocumentId, Classification)>, StoreError> {
        sqlx::query(
            "SELECT id, classification FROM documents WHERE id = ANY($1)
             UNION ALL
             SELECT document_id, classification FROM document_tombstones WHERE document_id = ANY($1)",
        )
        .bind(ids.iter().map(|id| id.as_uuid()).collect::<Vec<_>>())
        .try_map(|row: PgRow| Ok((id(&row, "id")?, word(&row, "classification")?)))
        .fetch_all(self.connection())
        .await
        .map_err(failed("reading classifications"))
    }

    async fn advance(&mut self, id: DocumentId, progress: &StatusChange, now: Timestamp) -> Result<bool, StoreError> {
        let statement = match progress {
            StatusChange::Queued | StatusChange::Processing => {
                let status = if *progress == StatusChange::Queued { "pending" } else { "processing" };
                sqlx::query(
                    "UPDATE documents SET status = $3, failure = NULL, progress = NULL, updated_at = $2 WHERE id = $1",
                )
                .bind(id.as_uuid())
                .bind(now)
                .bind(status)
            }
            // One statement: the revision before leaves the search when this one enters it.
            StatusChange::Ready { title, page_count, chunk_count, warnings } => sqlx::query(
                "WITH ready AS (
                     UPDATE documents
                     SET status = 'ready', failure = NULL, progress = NULL,
                         title = CASE WHEN title_given THEN title ELSE coalesce($3, title) END,
                         page_count = $4, chunk_count = $5, warnings = $6, updated_at = $2
                     WHERE id = $1
                     RETURNING id, tenant_id, supersedes, effective_from
                 ), superseded AS (
                     UPDATE documents AS old
                     SET superseded_by = ready.id, updated_at = $2,
                         superseded_from = coalesce(ready.effective_from, ($2 AT TIME ZONE 'UTC')::date)
                     FROM ready
                     WHERE old.tenant_id = ready.tenant_id AND old.id = ready.supersedes
                       AND (old.superseded_by IS NULL OR old.superseded_by = ready.id))
                 SELECT 1 FROM ready",
            )
            .bind(id.as_uuid())
            .bind(now)
            .bind(title)
            .bind(page_count)
            .bind(chunk_count)
            .bind(Json(warnings)),
            StatusChange::Failed(failure) => sqlx::query(
                "UPDATE documents SET status = 'failed', failure = $3, progress = NULL, updated_at = $2 WHERE id = $1",
            )
            .bind(id.as_uuid())
            .bind(now)
            .bind(Json(failure)),
        };
        let done = statement.execute(self.connection()).await.map_err(failed("moving a document on"))?;
        Ok(done.rows_affected() > 0)
    }

    async fn report(&mut self, id: DocumentId, progress: IngestionProgress) -> Result<bool, StoreError> {
        sqlx::query("UPDATE documents SET progress = $2 WHERE id = $1 AND status = 'processing'")
            .bind(id.as_uuid())
            .bind(Json(progress))
            .execute(self.connection())
            .await
            .map(|done| done.rows_affected() > 0)
            .map_err(failed("noting progress"))
    }

    async fn delete(&mut self, id: DocumentId) -> Result<Option<Document>, StoreError> {
        sqlx::query(
            "WITH deleted AS (DELETE FROM documents WHERE id = $1 RETURNING *),
                  remembered AS (
                      INSERT INTO document_tombstones (tenant_id, document_id, classification)
                      SELECT tenant_id, id, classification FROM deleted)
             SELECT * FROM deleted",
        )
        .bind(id.as_uuid())
        .try_map(read)
        .fetch_optional(self.connection())
        .await
        .map_err(failed("deleting a document"))
    }
}

/// The document with these bytes that the clearance allows; of several, the first that was stored.
async fn same_bytes(
    tx: &mut PgTenantTx,
    sha256: &str,
    clearance: Classification,
) -> Result<Option<Document>, StoreError> {
    sqlx::query(
        "SELECT * FROM documents WHERE tenant_id = app_tenant() AND sha256 = $1 AND classification = ANY($2)
         ORDER BY copy, created_at, id LIMIT 1",
    )
    .bind(sha256)
    .bind(words_up_to(clearance))
    .try_map(read)
    .fetch_optional(tx.connection())
    .await
    .map_err(failed("finding a document by its bytes"))
}

/// Nobody else of the tenant stores a copy of these bytes until the transaction ends.
async fn hold_bytes(tx: &mut PgTenantTx, sha256: &str) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('copy ' || app_tenant()::text || $1, 0))")
        .bind(sha256)
        .execute(tx.connection())
        .await
        .map(drop)
        .map_err(failed("holding a document's bytes"))
}

/// A statement that stores a document; `$17` says whether it is a copy.
macro_rules! insert {
    ($end:literal) => {
        concat!(
            "INSERT INTO documents
                 (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256, storage_path, doc_type,
                  tags, classification, metadata, created_at, updated_at, revision, effective_from, supersedes, copy)
             VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, $15, $16, $17) ",
            $end,
            " RETURNING *"
        )
    };
}

async fn insert_unless_there(
    tx: &mut PgTenantTx,
    document: &NewDocument,
    now: Timestamp,
) -> Result<Option<Document>, StoreError> {
    let sql = insert!("ON CONFLICT (tenant_id, sha256) WHERE NOT copy DO NOTHING");
    let stored = bound(sql, document, now).bind(false).try_map(read).fetch_optional(tx.connection());
    stored.await.map_err(failed("storing a document"))
}

async fn insert_copy(tx: &mut PgTenantTx, document: &NewDocument, now: Timestamp) -> Result<Document, StoreError> {
    let stored = bound(insert!(""), document, now).bind(true).try_map(read).fetch_one(tx.connection());
    stored.await.map_err(failed("storing a document"))
}

fn bound<'a>(sql: &'static str, document: &'a NewDocument, now: Timestamp) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(sql)
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
        .bind(&document.revision.label)
        .bind(document.revision.effective_from)
        .bind(document.revision.supersedes.map(|id| id.as_uuid()))
}

fn optional_id(row: &PgRow, column: &str) -> Result<Option<DocumentId>, sqlx::Error> {
    row.try_get::<Option<Uuid>, _>(column).map(|id| id.map(DocumentId::from_uuid))
}

fn read(row: PgRow) -> Result<Document, sqlx::Error> {
    let failure: Option<Json<DocumentFailure>> = row.try_get("failure")?;
    let progress: Option<Json<IngestionProgress>> = row.try_get("progress")?;
    let Json(warnings) = row.try_get("warnings")?;
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
        progress: progress.map(|Json(progress)| progress),
        warnings,
        revision: Revision {
            label: row.try_get("revision")?,
            effective_from: row.try_get("effective_from")?,
            supersedes: optional_id(&row, "supersedes")?,
        },
        superseded_by: optional_id(&row, "superseded_by")?,
        page_count: row.try_get("page_count")?,
        chunk_count: row.try_get("chunk_count")?,
        metadata: row.try_get("metadata")?,
        uploaded_by: id(&row, "uploaded_by")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
