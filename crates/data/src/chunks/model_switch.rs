//! Switches a tenant to its next embedding model: finds the documents that are not embedded with it yet, and switches
//! once there are none.
//!
//! The passages of one embedding model are called a generation. Those of the next model are stored beside the current
//! ones (staged) and are not searched before the switch.

use super::sql::{embedding_model_lock_key, published};
use crate::jobs::enqueue;
use crate::statement::{Scalar, Statement, statements};
use crate::tx::PgTenantTx;
use domain::ids::DocumentId;
use domain::ports::{JobPayload, StoreError};
use domain::time::Timestamp;
use uuid::Uuid;

/// FROM and WHERE clauses for the published documents that have no passages of model `$2`. `$1` is the tenant.
macro_rules! from_unstaged_documents {
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

statements! {
    MODEL_IN_USE: Scalar<Option<String>> = Statement::select(
        "tenants",
        "reading the model in use",
        "SELECT embedding_model FROM tenants WHERE id = app_tenant()",
    );
    UNSTAGED: Scalar<Uuid> = Statement::select(
        "documents",
        "looking for documents to embed with the next model",
        concat!("SELECT d.id", from_unstaged_documents!(), " ORDER BY d.created_at, d.id LIMIT $3"),
    );
    COUNT_UNSTAGED: Scalar<i64> = Statement::select(
        "documents",
        "counting documents to embed with the next model",
        concat!("SELECT count(*)", from_unstaged_documents!()),
    );
    LOCK_DOCUMENTS: () = Statement::select(
        "documents",
        "locking a tenant's passages",
        "SELECT 1 FROM documents WHERE tenant_id = app_tenant() ORDER BY id FOR NO KEY UPDATE",
    );
    LOCK_EMBEDDING_MODEL: () = Statement::call(
        "pg_advisory_xact_lock",
        "locking a tenant's passages",
        concat!("SELECT pg_advisory_xact_lock(", embedding_model_lock_key!(), ")"),
    );
    /// `$1` tenant, `$2` model, `$3` current time. A failed document that has no passages of the new model ends up with
    /// no passages at all. It is not searched anyway, and its old vectors cannot be compared with the new ones.
    SWITCH_DOCUMENTS: () = Statement::update(
        "documents",
        "switching to the next model",
        "WITH passages AS (
             SELECT document_id, count(*) AS number FROM document_chunks
             WHERE tenant_id = $1 AND embedding_model = $2 GROUP BY document_id
         ), words AS (
             SELECT t.document_id, sum(frequency) AS number
             FROM document_terms t, unnest(t.frequencies) AS frequency
             WHERE t.tenant_id = $1 AND t.embedding_model = $2 GROUP BY t.document_id
         )
         UPDATE documents AS d
         SET embedding_model = CASE WHEN passages.number > 0 THEN $2 END, chunk_count = coalesce(passages.number, 0),
             term_count = coalesce(words.number, 0), language = app_language()::text, updated_at = $3
         FROM documents AS old
         LEFT JOIN passages ON passages.document_id = old.id
         LEFT JOIN words ON words.document_id = old.id
         WHERE old.tenant_id = $1 AND d.tenant_id = $1 AND d.id = old.id
           AND old.embedding_model IS DISTINCT FROM $2
           AND (old.embedding_model IS NOT NULL OR passages.number > 0)",
    );
    DELETE_OLD_PASSAGES: () = Statement::delete(
        "document_chunks",
        "removing the previous model's passages",
        "DELETE FROM document_chunks WHERE tenant_id = $1 AND embedding_model IS DISTINCT FROM $2",
    );
    DELETE_OLD_TERMS: () = Statement::delete(
        "document_terms",
        "removing the previous model's words",
        "DELETE FROM document_terms WHERE tenant_id = $1 AND embedding_model <> $2",
    );
    SET_MODEL: () = Statement::update(
        "tenants",
        "switching to the next model",
        "UPDATE tenants SET embedding_model = $2, staged_model = NULL WHERE id = $1",
    );
    HAS_VECTOR_INDEX: Scalar<bool> = Statement::select(
        "pg_index",
        "looking for a vector index",
        "SELECT EXISTS (SELECT FROM pg_index i
                        JOIN pg_class c ON c.oid = i.indexrelid
                        JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw'
                        WHERE i.indrelid = to_regclass('public.' || passage_partition(app_tenant())))",
    );
}

pub(super) async fn model_in_use(tx: &mut PgTenantTx) -> Result<Option<String>, StoreError> {
    MODEL_IN_USE.query().optional_scalar(tx.connection()).await.map(Option::flatten)
}

pub(super) async fn find_unstaged_documents(
    tx: &mut PgTenantTx,
    model: &str,
    limit: u32,
) -> Result<Vec<DocumentId>, StoreError> {
    let query = UNSTAGED.query().bind(tx.tenant()).bind(model).bind(i64::from(limit));
    let ids = query.scalars(tx.custom_plan_connection().await?).await?;
    Ok(ids.into_iter().map(DocumentId::from_uuid).collect())
}

/// Switches the tenant to `model` if all of its documents are staged. Returns the number of documents that are not; 0
/// if it has switched.
pub(super) async fn switch_to(tx: &mut PgTenantTx, model: &str, now: Timestamp) -> Result<usize, StoreError> {
    // Both locks block publishing and staging until the transaction ends. The order, rows before the advisory lock, is
    // the same as in `publish`, so there can be no deadlock.
    LOCK_DOCUMENTS.query().execute(tx.custom_plan_connection().await?).await?;
    LOCK_EMBEDDING_MODEL.query().execute(tx.custom_plan_connection().await?).await?;
    let unstaged_count =
        COUNT_UNSTAGED.query().bind(tx.tenant()).bind(model).scalar(tx.custom_plan_connection().await?).await?;
    if unstaged_count > 0 {
        return Ok(usize::try_from(unstaged_count).unwrap_or(usize::MAX));
    }
    SWITCH_DOCUMENTS
        .query()
        .bind(tx.tenant())
        .bind(model)
        .bind(now)
        .execute(tx.custom_plan_connection().await?)
        .await?;
    for statement in [DELETE_OLD_PASSAGES, DELETE_OLD_TERMS] {
        statement.query().bind(tx.tenant()).bind(model).execute(tx.custom_plan_connection().await?).await?;
    }
    // The tenant has the model of its home space, which is switched last.
    if tx.scope().team().is_none() {
        SET_MODEL.query().bind(tx.tenant()).bind(model).execute(tx.custom_plan_connection().await?).await?;
    }
    // The index over the old vectors must be dropped, which only the owner of the tables may do. The job also drops
    // indexes of models that are no longer used.
    if HAS_VECTOR_INDEX.query().scalar(tx.custom_plan_connection().await?).await? {
        enqueue(tx, None, JobPayload::UpdateVectorIndexes, now).await?;
    }
    Ok(0)
}
