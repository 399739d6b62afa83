//! The vector side of the search: an exact scan where that is fast, the tenant's HNSW index where it is not.
//!
//! The number of passages that the caller's filters leave is known from their documents before any vector is compared.
//! If there are few, all are compared: the result is exact, and a narrow filter costs no recall. If there are many, the
//! index is walked until enough of them have passed the filter (iterative scan); if the walk gives up before, all are
//! compared after all, so that the caller always gets as many as there are.
//!
//! An exact scan costs in proportion to the passages that the filters leave; a walk, in inverse proportion to their
//! share of the tenant's. So the index is faster where `allowed / threshold > all / allowed`; without a filter, where
//! `all > threshold`. The threshold is measured (ADR 18).

use super::sql::{columns, in_scope};
use super::{PassageRow, document_ids};
use crate::rows::visible_classifications;
use crate::statement::{Joined, Query, Statement, row, statements};
use crate::tx::PgTenantTx;
use domain::ports::StoreError;
use domain::search::{RankedPassage, SearchScope};
use pgvector::Vector;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// Candidates that the index keeps for each passage that is wanted.
const CANDIDATES_PER_PASSAGE: u32 = 4;
/// Fewest candidates, for recall of short lists.
const MIN_CANDIDATES: u32 = 400;
/// Most candidates that pgvector takes.
const MAX_CANDIDATES: u32 = 1000;
/// Passages after which the walk gives up, because an exact scan is faster from there on.
const MAX_SCAN_TUPLES: &str = "20000";
/// The vector type as [`NEAREST_BY_INDEX`] spells it. A type modifier cannot be a parameter, and the index is over the
/// type with its modifier.
const VECTOR_TYPE: &str = "vector(384)";

row! {
    /// Passages by which the way of searching is chosen.
    struct CountsRow {
        allowed: i64,
        all_passages: i64,
        threshold: i64,
    }
}

row! {
    /// Cosine similarity, -1 to 1.
    struct ScoreRow {
        score: f32,
    }
}

statements! {
    /// `$1` to `$7` as `in_scope!` says.
    COUNT: CountsRow = Statement::select(
        "documents",
        "counting passages",
        concat!(
            "SELECT coalesce(sum(d.chunk_count), 0)::bigint AS all_passages, vector_index_above() AS threshold,
                    coalesce(sum(d.chunk_count) FILTER (WHERE ",
            in_scope!(),
            "), 0)::bigint AS allowed
             FROM documents d WHERE d.tenant_id = $1"
        ),
    );
    /// `$1` to `$7` as `in_scope!` says, `$8` the vector, `$9` the limit. Embeddings are stored in the row (STORAGE
    /// MAIN) and texts beside it, so this reads vectors and little else.
    NEAREST_BY_SCAN: Joined<PassageRow, ScoreRow> = Statement::select(
        "document_chunks",
        "searching by vector",
        concat!(
            "WITH near AS MATERIALIZED (
                 SELECT c.id, c.embedding <=> $8 AS distance
                 FROM documents d
                 JOIN document_chunks c ON c.tenant_id = $1 AND c.document_id = d.id AND c.embedding_model = $2
                 WHERE ",
            in_scope!(),
            " ORDER BY distance, c.id LIMIT $9)
             SELECT ",
            columns!(),
            ", (1 - near.distance)::real AS score
             FROM near
             JOIN document_chunks c ON c.tenant_id = $1 AND c.id = near.id
             JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
             ORDER BY near.distance, c.id"
        ),
    );
    /// Parameters as [`NEAREST_BY_SCAN`]. For each passage on the way its document is looked up in a hash table:
    /// OFFSET 0 keeps the planner from making a join of it. Without an index this compares all passages, too.
    NEAREST_BY_INDEX: Joined<PassageRow, ScoreRow> = Statement::select(
        "document_chunks",
        "searching by vector",
        concat!(
            "WITH near AS MATERIALIZED (
                 SELECT c.id, c.embedding::vector(384) <=> $8 AS distance
                 FROM document_chunks c
                 WHERE c.tenant_id = $1 AND c.embedding_model = $2
                   AND c.document_id IN (SELECT d.id FROM documents d WHERE ",
            in_scope!(),
            " OFFSET 0)
                 ORDER BY c.embedding::vector(384) <=> $8
                 LIMIT $9)
             SELECT ",
            columns!(),
            ", (1 - near.distance)::real AS score
             FROM near
             JOIN document_chunks c ON c.tenant_id = $1 AND c.id = near.id
             JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
             ORDER BY near.distance, c.id"
        ),
    );
    /// With sorting off, the planner takes the order from the index, whatever size it estimates for the table.
    PREPARE_INDEX_SCAN: () = Statement::call(
        "set_config",
        "preparing a vector search",
        "SELECT set_config('hnsw.ef_search', $1, true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
                set_config('hnsw.max_scan_tuples', $2, true), set_config('enable_sort', 'off', true)",
    );
    END_INDEX_SCAN: () = Statement::call(
        "set_config",
        "ending a vector search",
        "SELECT set_config('enable_sort', 'on', true)",
    );
}

/// What is searched for, and where.
struct Search<'a> {
    tenant: Uuid,
    model: &'a str,
    scope: &'a SearchScope,
    vector: Vector,
    limit: i64,
}

impl Search<'_> {
    /// Binds `$1` to `$7`.
    fn bind_scope<'q, R>(&'q self, query: Query<'q, R>) -> Query<'q, R> {
        query
            .bind(self.tenant)
            .bind(self.model)
            .bind(visible_classifications(self.scope.clearance))
            .bind(document_ids(self.scope))
            .bind(&self.scope.filters.tags)
            .bind(&self.scope.filters.doc_type)
            .bind(self.scope.filters.include_superseded)
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
    let search = Search { tenant: tx.tenant(), model, scope, vector, limit: i64::from(limit) };
    let counts: CountsRow = search.bind_scope(COUNT.query()).fetch_one(tx.connection()).await?;
    if counts.favour_index() {
        let found = by_index(tx, &search, embedding.len(), limit).await?;
        if i64::try_from(found.len()).is_ok_and(|count| count >= counts.allowed.min(search.limit)) {
            return Ok(found);
        }
    }
    let scan = search.bind_scope(NEAREST_BY_SCAN.query()).bind(&search.vector).bind(search.limit);
    scan.fetch_all(tx.connection()).await
}

impl CountsRow {
    fn favour_index(&self) -> bool {
        i128::from(self.allowed).pow(2) > i128::from(self.threshold) * i128::from(self.all_passages)
    }
}

async fn by_index(
    tx: &mut PgTenantTx,
    search: &Search<'_>,
    dimensions: usize,
    limit: u32,
) -> Result<Vec<RankedPassage>, StoreError> {
    let candidates = limit.saturating_mul(CANDIDATES_PER_PASSAGE).clamp(MIN_CANDIDATES, MAX_CANDIDATES);
    let prepare = PREPARE_INDEX_SCAN.query().bind(candidates.to_string()).bind(MAX_SCAN_TUPLES);
    prepare.execute(tx.connection()).await?;
    let sql = NEAREST_BY_INDEX.sql().replace(VECTOR_TYPE, &format!("vector({dimensions})"));
    // Safe: a literal of this crate, and a number.
    let query = search.bind_scope(NEAREST_BY_INDEX.query_as_sql(AssertSqlSafe(sql)));
    let found = query.bind(&search.vector).bind(search.limit).fetch_all(tx.connection()).await?;
    END_INDEX_SCAN.query().execute(tx.connection()).await?;
    Ok(found)
}

impl From<Joined<PassageRow, ScoreRow>> for RankedPassage {
    fn from(Joined(passage, ScoreRow { score }): Joined<PassageRow, ScoreRow>) -> Self {
        Self { passage: passage.into(), score, share: score.clamp(0.0, 1.0) }
    }
}
