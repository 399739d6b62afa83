//! The vector side of the search: one by one where that is quick, through the tenant's HNSW index where it is not.
//!
//! How many passages the caller's filters leave is known from their documents before anything is compared. Up to
//! `vector_index_above()` all of them are compared, so the result is exact and a narrow filter costs nothing in recall.
//! Above, the index is walked until enough passages have passed the filter (iterative scan), and should it give up
//! before, everything is compared after all: the caller always gets as many as there are.

use super::sql::{columns, wanted};
use super::{document_ids, ranked};
use crate::error::failed;
use crate::rows::words_up_to;
use crate::tx::PgTenantTx;
use domain::ports::StoreError;
use domain::search::{RankedPassage, SearchScope};
use pgvector::Vector;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row, SqlSafeStr};
use uuid::Uuid;

/// How many candidates the index keeps in view for each passage asked for.
const CANDIDATES_PER_PASSAGE: u32 = 2;
/// The fewest candidates, for a few passages asked for; and the most that pgvector takes.
const CANDIDATES: (u32, u32) = (100, 1000);
/// After how many passages the index gives up: comparing all is quicker from there on.
const MOST_VISITED: &str = "20000";

/// What is searched for, and where.
struct Wanted<'a> {
    tenant: Uuid,
    model: &'a str,
    scope: &'a SearchScope,
    vector: Vector,
    limit: i64,
}

impl Wanted<'_> {
    /// A statement with `$1` to `$7` bound as `wanted!` says.
    fn statement(&self, sql: impl SqlSafeStr) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql)
            .bind(self.tenant)
            .bind(self.model)
            .bind(words_up_to(self.scope.clearance))
            .bind(document_ids(self.scope))
            .bind(&self.scope.filters.tags)
            .bind(&self.scope.filters.doc_type)
            .bind(self.scope.filters.include_superseded)
    }

    /// As [`Self::statement`], with `$8` the vector and `$9` the limit; the passages found.
    async fn fetch(&self, tx: &mut PgTenantTx, sql: impl SqlSafeStr) -> Result<Vec<RankedPassage>, StoreError> {
        let statement = self.statement(sql).bind(&self.vector).bind(self.limit);
        statement.try_map(ranked).fetch_all(tx.connection()).await.map_err(failed("searching by vector"))
    }
}

pub(super) async fn nearest(
    tx: &mut PgTenantTx,
    embedding: &[f32],
    model: &str,
    scope: &SearchScope,
    limit: u32,
) -> Result<Vec<RankedPassage>, StoreError> {
    let vector = Vector::from(embedding.to_vec());
    let wanted = Wanted { tenant: tx.tenant(), model, scope, vector, limit: i64::from(limit) };
    let (allowed, above) = reach(tx, &wanted).await?;
    if allowed > above {
        let found = through_index(tx, &wanted, embedding.len(), limit).await?;
        if i64::try_from(found.len()).is_ok_and(|count| count >= allowed.min(wanted.limit)) {
            return Ok(found);
        }
    }
    one_by_one(tx, &wanted).await
}

/// How many passages the filters leave, and above how many the index is used.
async fn reach(tx: &mut PgTenantTx, wanted: &Wanted<'_>) -> Result<(i64, i64), StoreError> {
    let sql = concat!(
        "SELECT coalesce(sum(d.chunk_count), 0)::bigint AS allowed, vector_index_above() AS above
         FROM documents d WHERE ",
        wanted!()
    );
    let counts = |row: sqlx::postgres::PgRow| Ok((row.try_get("allowed")?, row.try_get("above")?));
    wanted.statement(sql).try_map(counts).fetch_one(tx.connection()).await.map_err(failed("counting passages"))
}

/// Everything is compared. Embeddings lie in the row (STORAGE MAIN), texts beside it, so this reads vectors and little
/// else.
async fn one_by_one(tx: &mut PgTenantTx, wanted: &Wanted<'_>) -> Result<Vec<RankedPassage>, StoreError> {
    let sql = concat!(
        "WITH near AS MATERIALIZED (
             SELECT c.id, c.embedding <=> $8 AS distance
             FROM documents d
             JOIN document_chunks c ON c.tenant_id = $1 AND c.document_id = d.id AND c.embedding_model = $2
             WHERE ",
        wanted!(),
        " ORDER BY distance, c.id LIMIT $9)
         SELECT ",
        columns!(),
        ", (1 - near.distance)::real AS score
         FROM near
         JOIN document_chunks c ON c.tenant_id = $1 AND c.id = near.id
         JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
         ORDER BY near.distance, c.id"
    );
    wanted.fetch(tx, sql).await
}

/// Along the index of the tenant's vectors; without one, everything is compared here too.
async fn through_index(
    tx: &mut PgTenantTx,
    wanted: &Wanted<'_>,
    dimensions: usize,
    limit: u32,
) -> Result<Vec<RankedPassage>, StoreError> {
    let candidates = limit.saturating_mul(CANDIDATES_PER_PASSAGE).clamp(CANDIDATES.0, CANDIDATES.1);
    // Without a way to sort, the planner takes the order from the index, whatever it believes the table's size to be.
    sqlx::query(
        "SELECT set_config('hnsw.ef_search', $1, true), set_config('hnsw.iterative_scan', 'strict_order', true),
                set_config('hnsw.max_scan_tuples', $2, true), set_config('enable_sort', 'off', true)",
    )
    .bind(candidates.to_string())
    .bind(MOST_VISITED)
    .execute(tx.connection())
    .await
    .map_err(failed("preparing a vector search"))?;
    // The documents are looked up in a hash table for each passage on the way: OFFSET 0 keeps them out of a join.
    let sql = format!(
        concat!(
            "WITH near AS MATERIALIZED (
                 SELECT c.id, c.embedding::vector({dimensions}) <=> $8 AS distance
                 FROM document_chunks c
                 WHERE c.tenant_id = $1 AND c.embedding_model = $2
                   AND c.document_id IN (SELECT d.id FROM documents d WHERE {documents} OFFSET 0)
                 ORDER BY c.embedding::vector({dimensions}) <=> $8
                 LIMIT $9)
             SELECT ",
            columns!(),
            ", (1 - near.distance)::real AS score
             FROM near
             JOIN document_chunks c ON c.tenant_id = $1 AND c.id = near.id
             JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
             ORDER BY near.distance, c.id"
        ),
        dimensions = dimensions,
        documents = wanted!(),
    );
    // Safe: literals of this crate, and a number. A type's modifier takes no parameter, and the index is over the type.
    let found = wanted.fetch(tx, AssertSqlSafe(sql)).await?;
    sqlx::query("SELECT set_config('enable_sort', 'on', true)")
        .execute(tx.connection())
        .await
        .map_err(failed("ending a vector search"))?;
    Ok(found)
}
