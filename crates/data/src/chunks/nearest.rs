//! The vector side of the search: one by one where that is quick, through the tenant's HNSW index where it is not.
//!
//! How many passages the caller's filters leave is known from their documents before anything is compared. A few are
//! all compared: the result is exact, and a narrow filter costs nothing in recall. Many are looked for in the index,
//! which is walked until enough of them have passed the filter (iterative scan); should it give up before, all are
//! compared after all, so that the caller always gets as many as there are.
//!
//! Comparing costs in proportion to the passages that the filters leave; walking, in inverse proportion to their share
//! of the tenant's. So the index is worth it where `allowed / above > all / allowed`; without a filter, where
//! `all > above`. The number is measured (ADR 18).

use super::sql::{columns, wanted};
use super::{document_ids, ranked};
use crate::error::failed;
use crate::rows::words_up_to;
use crate::tx::PgTenantTx;
use domain::ports::StoreError;
use domain::search::{RankedPassage, SearchScope};
use pgvector::Vector;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row, SqlSafeStr};
use uuid::Uuid;

/// How many candidates the index keeps in view for each passage asked for.
const CANDIDATES_PER_PASSAGE: u32 = 4;
/// The fewest candidates, so that a few passages are the right ones; and the most that pgvector takes.
const CANDIDATES: (u32, u32) = (400, 1000);
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
    let reach = reach(tx, &wanted).await?;
    if reach.is_for_the_index() {
        let found = through_index(tx, &wanted, embedding.len(), limit).await?;
        if i64::try_from(found.len()).is_ok_and(|count| count >= reach.allowed.min(wanted.limit)) {
            return Ok(found);
        }
    }
    one_by_one(tx, &wanted).await
}

/// How far a search reaches, in passages.
struct Reach {
    /// Left by the filters.
    allowed: i64,
    /// Of the tenant.
    all: i64,
    /// Above this, an index is quicker.
    above: i64,
}

impl Reach {
    fn is_for_the_index(&self) -> bool {
        i128::from(self.allowed).pow(2) > i128::from(self.above) * i128::from(self.all)
    }
}

async fn reach(tx: &mut PgTenantTx, wanted: &Wanted<'_>) -> Result<Reach, StoreError> {
    let sql = concat!(
        "SELECT coalesce(sum(d.chunk_count), 0)::bigint AS all_passages, vector_index_above() AS above,
                coalesce(sum(d.chunk_count) FILTER (WHERE ",
        wanted!(),
        "), 0)::bigint AS allowed
         FROM documents d WHERE d.tenant_id = $1"
    );
    let counts = |row: PgRow| {
        Ok(Reach { allowed: row.try_get("allowed")?, all: row.try_get("all_passages")?, above: row.try_get("above")? })
    };
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
        "SELECT set_config('hnsw.ef_search', $1, true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
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
