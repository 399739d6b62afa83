//! Stores passages: published ones, which replace the current passages of a document, and staged ones, which are
//! embedded with the next model and not searched yet.
//!
//! Lock order: first the document's row, then the advisory lock on the tenant's embedding model. The advisory lock is
//! taken in shared mode here and in exclusive mode by [`super::model_switch`].

use super::sql::embedding_model_lock_key;
use crate::jobs::enqueue;
use crate::statement::{Scalar, Statement, statements};
use crate::tx::PgTenantTx;
use domain::document::NewChunk;
use domain::identifiers::{TextKind, normalize_identifiers};
use domain::ids::DocumentId;
use domain::ports::{JobPayload, StoreError};
use domain::search::PassageTerms;
use domain::time::Timestamp;
use pgvector::Vector;

/// Maximum number of passages inserted by one statement. Adding a passage to an HNSW index takes 1 to 2 ms, and a
/// statement must finish within the statement timeout.
const BATCH_SIZE: usize = 500;

statements! {
    PUBLISH: () = Statement::update(
        "documents",
        "publishing passages",
        "UPDATE documents
         SET embedding_model = $2, language = app_language()::text, chunk_count = $3, term_count = $4
         WHERE id = $1",
    );
    /// Changes nothing while documents are being embedded with the next model. Only `switch_to` may change the model in
    /// use in that case.
    SET_MODEL_IN_USE: () = Statement::update(
        "tenants",
        "recording the model in use",
        "UPDATE tenants SET embedding_model = $1
         WHERE id = app_tenant() AND embedding_model IS DISTINCT FROM $1 AND staged_model IS NULL",
    );
    SET_STAGED_MODEL: () = Statement::update(
        "tenants",
        "recording the next model",
        "UPDATE tenants SET staged_model = $1 WHERE id = app_tenant() AND staged_model IS DISTINCT FROM $1",
    );
    LOCK_DOCUMENT: Scalar<Option<String>> = Statement::select(
        "documents",
        "locking a document",
        "SELECT embedding_model FROM documents WHERE id = $1 FOR UPDATE",
    );
    LOCK_EMBEDDING_MODEL_SHARED: () = Statement::call(
        "pg_advisory_xact_lock_shared",
        "locking the model in use",
        concat!("SELECT pg_advisory_xact_lock_shared(", embedding_model_lock_key!(), ")"),
    );
    DELETE_PASSAGES: () = Statement::delete(
        "document_chunks",
        "removing old passages",
        "DELETE FROM document_chunks
         WHERE tenant_id = $1 AND document_id = $2 AND ($3::text IS NULL OR embedding_model = $3)",
    );
    DELETE_TERMS: () = Statement::delete(
        "document_terms",
        "removing old index terms",
        "DELETE FROM document_terms
         WHERE tenant_id = $1 AND document_id = $2 AND ($3::text IS NULL OR embedding_model = $3)",
    );
    INSERT_PASSAGES: () = Statement::insert(
        "document_chunks",
        "storing passages",
        "INSERT INTO document_chunks
             (id, tenant_id, document_id, chunk_index, content, token_count, page, section, classification,
              embedding, terms, embedding_model, created_at)
         SELECT new.id, d.tenant_id, d.id, new.chunk_index, new.content, new.token_count, new.page, new.section,
                d.classification, new.embedding::halfvec, new.terms, $2, $3
         FROM documents d,
              unnest($4::uuid[], $5::integer[], $6::text[], $7::integer[], $8::integer[], $9::text[],
                     $10::vector[], $11::bytea[])
              AS new (id, chunk_index, content, token_count, page, section, embedding, terms)
         WHERE d.id = $1",
    );
    INSERT_TERMS: Scalar<i64> = Statement::insert(
        "document_terms",
        "storing index terms",
        "WITH term AS (
             SELECT new.chunk_index, v.lexeme, cardinality(v.positions)::smallint AS frequency,
                    (sum(cardinality(v.positions)) OVER (PARTITION BY new.chunk_index))::integer AS length
             FROM (SELECT app_language() AS config OFFSET 0) AS language,
                  unnest($3::integer[], $4::text[], $5::text[]) AS new (chunk_index, words, identifiers),
                  unnest(to_tsvector(language.config, new.words) || to_tsvector('simple', new.identifiers)) AS v
         ), indexed AS (
             INSERT INTO document_terms
                 (tenant_id, document_id, embedding_model, lexeme, chunk_indexes, frequencies, lengths)
             SELECT app_tenant(), $1, $2, lexeme, array_agg(chunk_index), array_agg(frequency), array_agg(length)
             FROM term GROUP BY lexeme
         )
         SELECT coalesce(sum(frequency), 0)::bigint FROM term",
    );
    VECTOR_INDEX_DUE: Scalar<bool> = Statement::call(
        "vector_index_due",
        "checking whether a vector index is due",
        "SELECT vector_index_due($1, $2)",
    );
}

pub(super) async fn replace(
    tx: &mut PgTenantTx,
    document: DocumentId,
    model: &str,
    chunks: &[NewChunk],
    now: Timestamp,
) -> Result<(), StoreError> {
    lock_document(tx, document).await?;
    // Also removes staged passages, because they were made from the content that is being replaced.
    delete_passages(tx, document, None).await?;
    insert_passages(tx, document, model, chunks, now).await?;
    let term_count = insert_terms(tx, document, model, chunks).await?;
    PUBLISH
        .query()
        .bind(document.as_uuid())
        .bind(model)
        .bind(i32::try_from(chunks.len()).unwrap_or(i32::MAX))
        .bind(term_count)
        .execute(tx.custom_plan_connection().await?)
        .await?;
    SET_MODEL_IN_USE.query().bind(model).execute(tx.custom_plan_connection().await?).await?;
    enqueue_index_build(tx, model, chunks, now).await
}

pub(super) async fn stage(
    tx: &mut PgTenantTx,
    document: DocumentId,
    model: &str,
    chunks: &[NewChunk],
    now: Timestamp,
) -> Result<(), StoreError> {
    if lock_document(tx, document).await?.as_deref() == Some(model) {
        // The document has been published with this model since the job started; the published passages are newer.
        return Ok(());
    }
    delete_passages(tx, document, Some(model)).await?;
    insert_passages(tx, document, model, chunks, now).await?;
    insert_terms(tx, document, model, chunks).await?;
    SET_STAGED_MODEL.query().bind(model).execute(tx.custom_plan_connection().await?).await?;
    enqueue_index_build(tx, model, chunks, now).await
}

/// Takes the locks and returns the model that the document is published with, if any. The row lock keeps two workers
/// from writing passages of the same document at the same time: the second one waits, and then finds its lease lost.
async fn lock_document(tx: &mut PgTenantTx, document: DocumentId) -> Result<Option<String>, StoreError> {
    let locked_model =
        LOCK_DOCUMENT.query().bind(document.as_uuid()).optional_scalar(tx.custom_plan_connection().await?).await?;
    let published_model = locked_model.ok_or(StoreError::Conflict { reason: "The document has been deleted." })?;
    lock_embedding_model_shared(tx).await?;
    Ok(published_model)
}

/// Takes the shared lock that keeps the tenant's model in use from being switched until the transaction ends.
pub(super) async fn lock_embedding_model_shared(tx: &mut PgTenantTx) -> Result<(), StoreError> {
    LOCK_EMBEDDING_MODEL_SHARED.query().execute(tx.connection()).await
}

/// Deletes a document's passages and index terms: those of `model`, or of all models for `None`.
async fn delete_passages(tx: &mut PgTenantTx, document: DocumentId, model: Option<&str>) -> Result<(), StoreError> {
    for statement in [DELETE_PASSAGES, DELETE_TERMS] {
        let delete = statement.query().bind(tx.tenant()).bind(document.as_uuid()).bind(model);
        delete.execute(tx.custom_plan_connection().await?).await?;
    }
    Ok(())
}

async fn insert_passages(
    tx: &mut PgTenantTx,
    document: DocumentId,
    model: &str,
    chunks: &[NewChunk],
    now: Timestamp,
) -> Result<(), StoreError> {
    for batch in chunks.chunks(BATCH_SIZE) {
        INSERT_PASSAGES
            .query()
            .bind(document.as_uuid())
            .bind(model)
            .bind(now)
            .bind(batch.iter().map(|c| c.id.as_uuid()).collect::<Vec<_>>())
            .bind(batch.iter().map(|c| c.chunk_index).collect::<Vec<_>>())
            .bind(batch.iter().map(|c| c.content.as_str()).collect::<Vec<_>>())
            .bind(batch.iter().map(|c| c.token_count).collect::<Vec<_>>())
            .bind(batch.iter().map(|c| c.page).collect::<Vec<_>>())
            .bind(batch.iter().map(|c| c.section.as_deref()).collect::<Vec<_>>())
            .bind(batch.iter().map(|c| Vector::from(c.embedding.clone())).collect::<Vec<_>>())
            .bind(batch.iter().map(|c| c.term_hashes.as_ref().map(PassageTerms::as_bytes)).collect::<Vec<_>>())
            .execute(tx.custom_plan_connection().await?)
            .await?;
    }
    Ok(())
}

/// Builds the lexical index of the passages in the tenant's language; returns the total number of terms, counting
/// repetitions.
async fn insert_terms(
    tx: &mut PgTenantTx,
    document: DocumentId,
    model: &str,
    chunks: &[NewChunk],
) -> Result<i64, StoreError> {
    let texts: Vec<String> = chunks.iter().map(|c| format!("{}\n{}", c.context, c.content)).collect();
    INSERT_TERMS
        .query()
        .bind(document.as_uuid())
        .bind(model)
        .bind(chunks.iter().map(|c| c.chunk_index).collect::<Vec<_>>())
        .bind(&texts)
        .bind(texts.iter().map(|text| normalize_identifiers(text, TextKind::Passage)).collect::<Vec<_>>())
        .scalar(tx.custom_plan_connection().await?)
        .await
}

/// Enqueues a job that builds the tenant's vector index, if the tenant now has enough passages and no index yet.
async fn enqueue_index_build(
    tx: &mut PgTenantTx,
    model: &str,
    chunks: &[NewChunk],
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(first_chunk) = chunks.first() else { return Ok(()) };
    let dimensions = i32::try_from(first_chunk.embedding.len()).unwrap_or(i32::MAX);
    let is_due =
        VECTOR_INDEX_DUE.query().bind(model).bind(dimensions).scalar(tx.custom_plan_connection().await?).await?;
    if is_due { enqueue(tx, None, JobPayload::UpdateVectorIndexes, now).await } else { Ok(()) }
}
