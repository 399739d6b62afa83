//! Storing passages: those that take the place of a document's (published), and those of the next model (staged).
//!
//! Lock order: the document's row, then the tenant's generations (shared; [`super::generations`] takes them alone).

use crate::error::failed;
use crate::identifiers::{Source, fold};
use crate::jobs::enqueue;
use crate::tx::PgTenantTx;
use domain::document::NewChunk;
use domain::ids::DocumentId;
use domain::ports::{StoreError, Work};
use domain::time::Timestamp;
use pgvector::Vector;
use sqlx::Row;

/// Passages stored by one statement: entering them into an index takes a millisecond or two each, and a statement has
/// a time limit.
const SLICE: usize = 500;

pub(super) async fn replace(
    tx: &mut PgTenantTx,
    document: DocumentId,
    model: &str,
    chunks: &[NewChunk],
    now: Timestamp,
) -> Result<(), StoreError> {
    lock(tx, document).await?;
    // A generation that was staged goes too: it was made from what is being replaced.
    remove(tx, document, None).await?;
    insert_passages(tx, document, model, chunks, now).await?;
    let words = insert_terms(tx, document, model, chunks).await?;
    sqlx::query(
        "UPDATE documents
         SET embedding_model = $2, language = app_language()::text, chunk_count = $3, term_count = $4
         WHERE id = $1",
    )
    .bind(document.as_uuid())
    .bind(model)
    .bind(i32::try_from(chunks.len()).unwrap_or(i32::MAX))
    .bind(words)
    .execute(tx.connection())
    .await
    .map_err(failed("publishing passages"))?;
    // While everything is being embedded anew, the model in use changes by switch_to alone.
    sqlx::query(
        "UPDATE tenants SET embedding_model = $1
         WHERE id = app_tenant() AND embedding_model IS DISTINCT FROM $1 AND staged_model IS NULL",
    )
    .bind(model)
    .execute(tx.connection())
    .await
    .map_err(failed("noting the model in use"))?;
    queue_index(tx, model, chunks, now).await
}

pub(super) async fn stage(
    tx: &mut PgTenantTx,
    document: DocumentId,
    model: &str,
    chunks: &[NewChunk],
    now: Timestamp,
) -> Result<(), StoreError> {
    if lock(tx, document).await?.as_deref() == Some(model) {
        // Published with this model meanwhile: that is what is searched, and newer.
        return Ok(());
    }
    remove(tx, document, Some(model)).await?;
    insert_passages(tx, document, model, chunks, now).await?;
    insert_terms(tx, document, model, chunks).await?;
    sqlx::query("UPDATE tenants SET staged_model = $1 WHERE id = app_tenant() AND staged_model IS DISTINCT FROM $1")
        .bind(model)
        .execute(tx.connection())
        .await
        .map_err(failed("noting the next model"))?;
    queue_index(tx, model, chunks, now).await
}

/// Takes the locks and returns the model that the document is published with. Two workers on one document would
/// otherwise interleave; the second waits, and then loses its lease.
async fn lock(tx: &mut PgTenantTx, document: DocumentId) -> Result<Option<String>, StoreError> {
    let doing = "locking a document";
    let found = sqlx::query("SELECT embedding_model FROM documents WHERE id = $1 FOR UPDATE")
        .bind(document.as_uuid())
        .try_map(|row: sqlx::postgres::PgRow| row.try_get("embedding_model"))
        .fetch_optional(tx.connection())
        .await
        .map_err(failed(doing))?;
    let published = found.ok_or(StoreError::Conflict { what: "the document" })?;
    hold_generations(tx).await?;
    Ok(published)
}

/// Keeps the tenant's model in use from being changed until the transaction ends.
pub(super) async fn hold_generations(tx: &mut PgTenantTx) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared(hashtextextended('generations of ' || app_tenant(), 0))")
        .execute(tx.connection())
        .await
        .map(drop)
        .map_err(failed("holding the model in use"))
}

/// Removes a document's passages and words, of one model or of all.
async fn remove(tx: &mut PgTenantTx, document: DocumentId, model: Option<&str>) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM document_chunks
         WHERE tenant_id = $1 AND document_id = $2 AND ($3::text IS NULL OR embedding_model = $3)",
        "DELETE FROM document_terms
         WHERE tenant_id = $1 AND document_id = $2 AND ($3::text IS NULL OR embedding_model = $3)",
    ] {
        let statement = sqlx::query(statement).bind(tx.tenant()).bind(document.as_uuid()).bind(model);
        statement.execute(tx.connection()).await.map_err(failed("removing old passages"))?;
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
    for slice in chunks.chunks(SLICE) {
        sqlx::query(
            "INSERT INTO document_chunks
                 (id, tenant_id, document_id, chunk_index, content, token_count, page, section, classification,
                  embedding, embedding_model, created_at)
             SELECT new.id, d.tenant_id, d.id, new.chunk_index, new.content, new.token_count, new.page, new.section,
                    d.classification, new.embedding, $2, $3
             FROM documents d,
                  unnest($4::uuid[], $5::integer[], $6::text[], $7::integer[], $8::integer[], $9::text[],
                         $10::vector[])
                  AS new (id, chunk_index, content, token_count, page, section, embedding)
             WHERE d.id = $1",
        )
        .bind(document.as_uuid())
        .bind(model)
        .bind(now)
        .bind(slice.iter().map(|c| c.id.as_uuid()).collect::<Vec<_>>())
        .bind(slice.iter().map(|c| c.chunk_index).collect::<Vec<_>>())
        .bind(slice.iter().map(|c| c.content.as_str()).collect::<Vec<_>>())
        .bind(slice.iter().map(|c| c.token_count).collect::<Vec<_>>())
        .bind(slice.iter().map(|c| c.page).collect::<Vec<_>>())
        .bind(slice.iter().map(|c| c.section.as_deref()).collect::<Vec<_>>())
        .bind(slice.iter().map(|c| Vector::from(c.embedding.clone())).collect::<Vec<_>>())
        .execute(tx.connection())
        .await
        .map_err(failed("storing passages"))?;
    }
    Ok(())
}

/// Indexes the words in the tenant's language; returns how many there are.
async fn insert_terms(
    tx: &mut PgTenantTx,
    document: DocumentId,
    model: &str,
    chunks: &[NewChunk],
) -> Result<i64, StoreError> {
    let texts: Vec<String> = chunks.iter().map(|c| format!("{}\n{}", c.context, c.content)).collect();
    sqlx::query_scalar(
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
    )
    .bind(document.as_uuid())
    .bind(model)
    .bind(chunks.iter().map(|c| c.chunk_index).collect::<Vec<_>>())
    .bind(&texts)
    .bind(texts.iter().map(|text| fold(text, Source::Passage)).collect::<Vec<_>>())
    .fetch_one(tx.connection())
    .await
    .map_err(failed("indexing words"))
}

/// Queues the building of the tenant's index, should the tenant have grown past the limit without one.
async fn queue_index(tx: &mut PgTenantTx, model: &str, chunks: &[NewChunk], now: Timestamp) -> Result<(), StoreError> {
    let Some(first) = chunks.first() else { return Ok(()) };
    let due: bool = sqlx::query_scalar("SELECT vector_index_due($1, $2)")
        .bind(model)
        .bind(i32::try_from(first.embedding.len()).unwrap_or(i32::MAX))
        .fetch_one(tx.connection())
        .await
        .map_err(failed("looking for a vector index"))?;
    if due { enqueue(tx, None, Work::BuildVectorIndex, now).await } else { Ok(()) }
}
