//! From one embedding model to the next: what is still missing, and the switch.

use super::sql::published;
use crate::error::failed;
use crate::jobs::enqueue;
use crate::tx::PgTenantTx;
use domain::ids::DocumentId;
use domain::ports::{StoreError, Work};
use domain::time::Timestamp;

/// Published documents without passages of model $2. $1 is the tenant.
macro_rules! missing {
    () => {
        concat!(
            " FROM documents d
             WHERE d.tenant_id = $1 AND d.embedding_model IS DISTINCT FROM $2 AND d.chunk_count > 0 AND ",
            published!(),
            " AND NOT EXISTS (SELECT FROM document_chunks c
                              WHERE c.tenant_id = $1 AND c.document_id = d.id AND c.embedding_model = $2)"
        )
    };
}

pub(super) async fn model_in_use(tx: &mut PgTenantTx) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar("SELECT embedding_model FROM tenants WHERE id = app_tenant()")
        .fetch_optional(tx.connection())
        .await
        .map(Option::flatten)
        .map_err(failed("reading the model in use"))
}

pub(super) async fn unstaged(tx: &mut PgTenantTx, model: &str, limit: u32) -> Result<Vec<DocumentId>, StoreError> {
    sqlx::query_scalar(concat!("SELECT d.id", missing!(), " ORDER BY d.created_at, d.id LIMIT $3"))
        .bind(tx.tenant())
        .bind(model)
        .bind(i64::from(limit))
        .fetch_all(tx.connection())
        .await
        .map(|ids: Vec<uuid::Uuid>| ids.into_iter().map(DocumentId::from_uuid).collect())
        .map_err(failed("looking for documents to embed anew"))
}

pub(super) async fn switch_to(tx: &mut PgTenantTx, model: &str, now: Timestamp) -> Result<usize, StoreError> {
    lock(tx).await?;
    let missing: i64 = sqlx::query_scalar(concat!("SELECT count(*)", missing!()))
        .bind(tx.tenant())
        .bind(model)
        .fetch_one(tx.connection())
        .await
        .map_err(failed("counting documents to embed anew"))?;
    if missing > 0 {
        return Ok(usize::try_from(missing).unwrap_or(usize::MAX));
    }
    let statement = sqlx::query(FLIP).bind(tx.tenant()).bind(model).bind(now);
    statement.execute(tx.connection()).await.map_err(failed("switching to the next model"))?;
    for statement in SWEEP {
        let statement = sqlx::query(*statement).bind(tx.tenant()).bind(model);
        statement.execute(tx.connection()).await.map_err(failed("removing what the model before made"))?;
    }
    drop_index_later(tx, now).await?;
    Ok(0)
}

/// Nobody publishes or stages until the transaction ends. The rows first, as publishing does.
async fn lock(tx: &mut PgTenantTx) -> Result<(), StoreError> {
    for statement in [
        "SELECT 1 FROM documents WHERE tenant_id = app_tenant() ORDER BY id FOR NO KEY UPDATE",
        "SELECT pg_advisory_xact_lock(hashtextextended('generations of ' || app_tenant(), 0))",
    ] {
        sqlx::query(statement).execute(tx.connection()).await.map_err(failed("locking a tenant's passages"))?;
    }
    Ok(())
}

/// $1 tenant, $2 model, $3 now. A document that failed and has nothing of the new model loses what it had: it is not
/// searched, and would not be compared.
const FLIP: &str = "
    WITH passages AS (
        SELECT document_id, count(*) AS number FROM document_chunks
        WHERE tenant_id = $1 AND embedding_model = $2 GROUP BY document_id
    ), words AS (
        SELECT t.document_id, sum(frequency) AS number FROM document_terms t, unnest(t.frequencies) AS frequency
        WHERE t.tenant_id = $1 AND t.embedding_model = $2 GROUP BY t.document_id
    )
    UPDATE documents AS d
    SET embedding_model = CASE WHEN passages.number > 0 THEN $2 END, chunk_count = coalesce(passages.number, 0),
        term_count = coalesce(words.number, 0), language = app_language()::text, updated_at = $3
    FROM documents AS old
    LEFT JOIN passages ON passages.document_id = old.id
    LEFT JOIN words ON words.document_id = old.id
    WHERE old.tenant_id = $1 AND d.tenant_id = $1 AND d.id = old.id AND old.embedding_model IS DISTINCT FROM $2
      AND (old.embedding_model IS NOT NULL OR passages.number > 0)";

/// $1 tenant, $2 model.
const SWEEP: &[&str] = &[
    "DELETE FROM document_chunks WHERE tenant_id = $1 AND embedding_model IS DISTINCT FROM $2",
    "DELETE FROM document_terms WHERE tenant_id = $1 AND embedding_model <> $2",
    "UPDATE tenants SET embedding_model = $2, staged_model = NULL WHERE id = $1",
];

/// Only the tables' owner may drop the index over the old vectors: a job of the worker's does.
async fn drop_index_later(tx: &mut PgTenantTx, now: Timestamp) -> Result<(), StoreError> {
    let indexed: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_index i
                        JOIN pg_class c ON c.oid = i.indexrelid
                        JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw'
                        WHERE i.indrelid = to_regclass('public.' || passage_partition(app_tenant())))",
    )
    .fetch_one(tx.connection())
    .await
    .map_err(failed("looking for a vector index"))?;
    if indexed { enqueue(tx, None, Work::BuildVectorIndex, now).await } else { Ok(()) }
}
