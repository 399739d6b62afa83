//! Documents of the current tenant: metadata, status and revisions. Every read is limited by the caller's clearance.

mod row;

use crate::rows::{KeysetParams, TextEnum, visible_classifications};
use crate::statement::{Query, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::document::{Document, DocumentFilter, DocumentPatch, IngestionProgress, NewDocument, StatusChange};
use domain::ids::DocumentId;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{DocumentRepo, InsertDocumentOutcome, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use row::{DocumentRow, document_columns};
use sqlx::types::Json;
use uuid::Uuid;

row! {
    struct ClassificationRow {
        id: Uuid,
        classification: TextEnum<Classification>,
    }
}

/// The SQL that stores a document. `$17` is whether it is a copy: a document with the same content as an earlier one
/// that the uploader is not cleared to see.
macro_rules! insert {
    ($on_conflict:literal) => {
        concat!(
            "INSERT INTO documents
                 (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256, storage_path,
                  doc_type, tags, classification, metadata, created_at, updated_at, revision, effective_from,
                  supersedes, copy)
             VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, $15, $16, $17) ",
            $on_conflict,
            " RETURNING ",
            document_columns!()
        )
    };
}

statements! {
    GET: DocumentRow = Statement::select(
        "documents",
        "reading a document",
        concat!("SELECT ", document_columns!(), " FROM documents WHERE id = $1 AND classification = ANY($2)"),
    );
    LIST: DocumentRow = Statement::select(
        "documents",
        "listing documents",
        concat!(
            "SELECT ",
            document_columns!(),
            " FROM documents
             WHERE classification = ANY($4)
               AND ($5::text IS NULL OR status = $5)
               AND ($6::text IS NULL OR $6 = ANY(tags))
               AND ($7::text IS NULL OR doc_type = $7)
               AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    LOCK: DocumentRow = Statement::select(
        "documents",
        "locking a document",
        concat!(
            "SELECT ",
            document_columns!(),
            " FROM documents WHERE id = $1 AND classification = ANY($2) FOR UPDATE"
        ),
    );
    UPDATE: DocumentRow = Statement::update(
        "documents",
        "changing a document",
        concat!(
            "UPDATE documents
             SET title = coalesce($2, title), title_given = title_given OR $2 IS NOT NULL,
                 doc_type = coalesce($3, doc_type), tags = coalesce($4, tags),
                 classification = coalesce($5, classification), metadata = coalesce($6, metadata), updated_at = $7
             WHERE id = $1
             RETURNING ",
            document_columns!()
        ),
    );
    CLASSIFICATIONS: ClassificationRow = Statement::select(
        "documents",
        "reading classifications",
        "SELECT id, classification FROM documents WHERE id = ANY($1)
         UNION ALL
         SELECT document_id, classification FROM document_tombstones WHERE document_id = ANY($1)",
    );
    SET_PENDING_OR_PROCESSING: () = Statement::update(
        "documents",
        "changing a document's status",
        "UPDATE documents SET status = $3, failure = NULL, progress = NULL, updated_at = $2 WHERE id = $1",
    );
    /// A single statement, so that the new revision replaces the old one in search without a gap.
    SET_READY: () = Statement::update(
        "documents",
        "changing a document's status",
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
    );
    SET_FAILED: () = Statement::update(
        "documents",
        "changing a document's status",
        "UPDATE documents SET status = 'failed', failure = $3, progress = NULL, updated_at = $2 WHERE id = $1",
    );
    SET_PROGRESS: () = Statement::update(
        "documents",
        "recording progress",
        "UPDATE documents SET progress = $2 WHERE id = $1 AND status = 'processing'",
    );
    DELETE: DocumentRow = Statement::delete(
        "documents",
        "deleting a document",
        concat!(
            "WITH deleted AS (DELETE FROM documents WHERE id = $1 RETURNING *),
                  remembered AS (
                      INSERT INTO document_tombstones (tenant_id, document_id, classification)
                      SELECT tenant_id, id, classification FROM deleted)
             SELECT ",
            document_columns!(),
            " FROM deleted"
        ),
    );
    /// If several visible documents have this content, prefers the original to its copies, and the oldest copy to newer
    /// ones.
    FIND_BY_SHA256: DocumentRow = Statement::select(
        "documents",
        "finding a document by its bytes",
        concat!(
            "SELECT ",
            document_columns!(),
            " FROM documents WHERE tenant_id = app_tenant() AND sha256 = $1 AND classification = ANY($2)
             ORDER BY copy, created_at, id LIMIT 1"
        ),
    );
    /// Keeps other transactions of this tenant from storing a copy of the same content until this one ends.
    LOCK_SHA256: () = Statement::call(
        "pg_advisory_xact_lock",
        "locking a document's bytes",
        "SELECT pg_advisory_xact_lock(hashtextextended('copy ' || app_tenant()::text || $1, 0))",
    );
    INSERT_ORIGINAL: DocumentRow = Statement::insert(
        "documents",
        "storing a document",
        insert!("ON CONFLICT (tenant_id, sha256) WHERE NOT copy DO NOTHING"),
    );
    INSERT_COPY: DocumentRow = Statement::insert("documents", "storing a document", insert!(""));
}

#[async_trait]
impl DocumentRepo for PgTenantTx {
    async fn insert(
        &mut self,
        document: &NewDocument,
        clearance: Classification,
        now: Timestamp,
    ) -> Result<InsertDocumentOutcome, StoreError> {
        if let Some(existing) = find_by_sha256(self, &document.sha256, clearance).await? {
            return Ok(InsertDocumentOutcome::Duplicate(existing));
        }
        let original =
            bind_insert(INSERT_ORIGINAL, document, now).bind(false).fetch_optional(self.connection()).await?;
        if let Some(original) = original {
            return Ok(InsertDocumentOutcome::New(original));
        }
        // The content already exists: either another transaction has just stored it, or the existing document is above
        // the caller's clearance. Copies are stored under a lock, so that all callers who cannot see the original share
        // one copy.
        LOCK_SHA256.query().bind(&document.sha256).execute(self.connection()).await?;
        if let Some(existing) = find_by_sha256(self, &document.sha256, clearance).await? {
            return Ok(InsertDocumentOutcome::Duplicate(existing));
        }
        let insert_copy = bind_insert(INSERT_COPY, document, now).bind(true);
        insert_copy.fetch_one(self.connection()).await.map(InsertDocumentOutcome::New)
    }

    async fn get(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError> {
        let query = GET.query().bind(id.as_uuid()).bind(visible_classifications(clearance));
        query.fetch_optional(self.connection()).await
    }

    async fn list(
        &mut self,
        filter: &DocumentFilter,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Document>, StoreError> {
        let keyset = KeysetParams::new(page);
        let rows = LIST
            .query()
            .bind(keyset.created_at)
            .bind(keyset.id)
            .bind(keyset.limit)
            .bind(visible_classifications(clearance))
            .bind(filter.status.map(|status| status.as_str()))
            .bind(&filter.tag)
            .bind(&filter.doc_type)
            .fetch_all(self.connection())
            .await?;
        Ok(Page::from_rows(rows, page, |row: &Document| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn lock(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError> {
        let query = LOCK.query().bind(id.as_uuid()).bind(visible_classifications(clearance));
        query.fetch_optional(self.connection()).await
    }

    async fn update(
        &mut self,
        id: DocumentId,
        patch: &DocumentPatch,
        now: Timestamp,
    ) -> Result<Option<Document>, StoreError> {
        // A new classification cascades to the passages through their foreign key.
        let connection =
            if patch.classification.is_some() { self.custom_plan_connection().await? } else { self.connection() };
        UPDATE
            .query()
            .bind(id.as_uuid())
            .bind(&patch.title)
            .bind(&patch.doc_type)
            .bind(&patch.tags)
            .bind(patch.classification.map(|classification| classification.as_str()))
            .bind(&patch.metadata)
            .bind(now)
            .fetch_optional(connection)
            .await
    }

    async fn classifications(&mut self, ids: &[DocumentId]) -> Result<Vec<(DocumentId, Classification)>, StoreError> {
        let ids = ids.iter().map(|id| id.as_uuid()).collect::<Vec<_>>();
        let rows: Vec<ClassificationRow> = CLASSIFICATIONS.query().bind(ids).fetch_all(self.connection()).await?;
        Ok(rows.into_iter().map(|row| (row.id.into(), row.classification.0)).collect())
    }

    async fn set_status(&mut self, id: DocumentId, change: &StatusChange, now: Timestamp) -> Result<bool, StoreError> {
        let bind_id_and_time = |statement: Statement<()>| statement.query().bind(id.as_uuid()).bind(now);
        let update = match change {
            StatusChange::Queued => bind_id_and_time(SET_PENDING_OR_PROCESSING).bind("pending"),
            StatusChange::Processing => bind_id_and_time(SET_PENDING_OR_PROCESSING).bind("processing"),
            StatusChange::Ready { title, page_count, chunk_count, warnings } => {
                bind_id_and_time(SET_READY).bind(title).bind(page_count).bind(chunk_count).bind(Json(warnings))
            }
            StatusChange::Failed(failure) => bind_id_and_time(SET_FAILED).bind(Json(failure)),
        };
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn update_progress(&mut self, id: DocumentId, progress: IngestionProgress) -> Result<bool, StoreError> {
        let update = SET_PROGRESS.query().bind(id.as_uuid()).bind(Json(progress));
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn delete(&mut self, id: DocumentId) -> Result<Option<Document>, StoreError> {
        DELETE.query().bind(id.as_uuid()).fetch_optional(self.custom_plan_connection().await?).await
    }
}

/// Finds a document by the SHA-256 of its content in hex, among those within `clearance`.
async fn find_by_sha256(
    tx: &mut PgTenantTx,
    sha256: &str,
    clearance: Classification,
) -> Result<Option<Document>, StoreError> {
    let query = FIND_BY_SHA256.query().bind(sha256).bind(visible_classifications(clearance));
    query.fetch_optional(tx.connection()).await
}

/// Binds `$1` to `$16` of an `insert!` statement; the caller binds `$17`.
fn bind_insert(statement: Statement<DocumentRow>, document: &NewDocument, now: Timestamp) -> Query<'_, DocumentRow> {
    statement
        .query()
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
