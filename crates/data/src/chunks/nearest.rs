//! Vector search: an exact scan if few passages match the filters, the tenant's HNSW index if many do.
//!
//! The number of passages that match the filters (`allowed`) is computed from the documents' chunk counts, before any
//! vector is compared. If it is small, all of them are compared: the result is exact, and a narrow filter costs no
//! recall. If it is large, the HNSW index is scanned iteratively until enough passages have passed the filters. If that
//! scan stops early with too few results, the exact scan runs as well, so the caller always gets up to `limit` passages
//! if that many match.
//!
//! An exact scan costs O(`allowed`). An index scan costs in proportion to `all / allowed`, where `all` is the number of
//! all passages of the tenant. The index is therefore faster if `allowed / threshold > all / allowed`; without filters,
//! that is `all > threshold`. The threshold was measured (ADR 18).

use super::sql::{in_scope, passage_columns};
use super::{PassageRow, document_ids};
use crate::rows::visible_classifications;
use crate::statement::{Joined, Query, Statement, row, statements};
use crate::tx::PgTenantTx;
use domain::ports::StoreError;
use domain::search::{RankedPassage, SearchScope};
use pgvector::Vector;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// `hnsw.ef_search` per requested passage.
const CANDIDATES_PER_PASSAGE: u32 = 4;
/// Minimum `hnsw.ef_search`; keeps recall high for small limits.
const MIN_CANDIDATES: u32 = 400;
/// Maximum `hnsw.ef_search` that pgvector accepts.
const MAX_CANDIDATES: u32 = 1000;
/// `hnsw.max_scan_tuples`: the index scan stops after this many passages, since an exact scan is faster beyond that.
const MAX_SCAN_TUPLES: &str = "20000";
/// The vector type in the text of [`NEAREST_BY_INDEX`], which is replaced by the type with the actual number of
/// dimensions. A type modifier cannot be a bind parameter, and the index is defined on the type with its modifier.
const VECTOR_TYPE: &str = "vector(384)";

row! {
    /// The numbers that decide between an exact scan and an index scan; see the module documentation.
    struct CountsRow {
        allowed: i64,
        all_passages: i64,
        threshold: i64,
    }
}

row! {
    /// The cosine similarity of passage and query, from -1 to 1.
    struct ScoreRow {
        score: f32,
    }
}

statements! {
    /// `$1` to `$7` are the parameters of `in_scope!`.
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
    /// `$1` to `$7` are the parameters of `in_scope!`, `$8` is the query vector, `$9` the limit. Embeddings are stored
    /// inline in the table (STORAGE MAIN) and long texts out of line (TOAST), so the scan reads little but vectors.
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
            passage_columns!(),
            ", (1 - near.distance)::real AS score
             FROM near
             JOIN document_chunks c ON c.tenant_id = $1 AND c.id = near.id
             JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
             ORDER BY near.distance, c.id"
        ),
    );
    /// Takes the same parameters as [`NEAREST_BY_SCAN`]. OFFSET 0 keeps the planner from turning the subquery into a
    /// join; instead, the document of each scanned passage is looked up in a hash table. If the tenant has no index,
    /// this compares all of its passages.
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
            passage_columns!(),
            ", (1 - near.distance)::real AS score
             FROM near
             JOIN document_chunks c ON c.tenant_id = $1 AND c.id = near.id
             JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
             ORDER BY near.distance, c.id"
        ),
    );
    /// Disables sorting as well, so that the planner reads in index order however small it estimates the table to be.
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

/// The query vector and the scope of a search.
struct Search<'a> {
    tenant: Uuid,
    model: &'a str,
    scope: &'a SearchScope,
    vector: Vector,
    limit: i64,
}

impl Search<'_> {
    /// Binds `$1` to `$7`, the parameters of `in_scope!`.
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
    if counts.prefers_index() {
        let found = search_index(tx, &search, embedding.len(), limit).await?;
        if i64::try_from(found.len()).is_ok_and(|count| count >= counts.allowed.min(search.limit)) {
            return Ok(found);
        }
    }
    let scan = search.bind_scope(NEAREST_BY_SCAN.query()).bind(&search.vector).bind(search.limit);
    scan.fetch_all(tx.connection()).await
}

impl CountsRow {
    fn prefers_index(&self) -> bool {
        i128::from(self.allowed).pow(2) > i128::from(self.threshold) * i128::from(self.all_passages)
    }
}

async fn search_index(
    tx: &mut PgTenantTx,
    search: &Search<'_>,
    dimensions: usize,
    limit: u32,
) -> Result<Vec<RankedPassage>, StoreError> {
    let candidates = limit.saturating_mul(CANDIDATES_PER_PASSAGE).clamp(MIN_CANDIDATES, MAX_CANDIDATES);
    let prepare = PREPARE_INDEX_SCAN.query().bind(candidates.to_string()).bind(MAX_SCAN_TUPLES);
    prepare.execute(tx.connection()).await?;
    let sql = NEAREST_BY_INDEX.sql().replace(VECTOR_TYPE, &format!("vector({dimensions})"));
    // Safe from injection: the SQL is a literal in this crate and the only substitution is an integer.
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
