//! Vector search: an exact scan if few passages match the filters, the tenant's HNSW index if many do.
//!
//! The number of passages that match the filters (`matching`) is computed from the documents' chunk counts, before any
//! vector is compared. If it is small, all of them are compared: the result is exact, and a narrow filter costs no
//! recall. If it is large, the HNSW index is scanned iteratively until enough passages have passed the filters. If that
//! scan stops early with too few results, the exact scan runs as well, so the caller gets `limit` passages, or all
//! if fewer match. The exact scan counts the passages itself and returns nothing if the index is preferred, so a search
//! of few passages, the usual case, takes one statement.
//!
//! Vectors are stored, indexed and compared with two bytes per dimension (ADR 45).
//!
//! The exact scan costs about `matching`. The index scan visits `total / matching` passages per result, so it costs
//! about T · `total / matching`, where `total` is the tenant's passage count and T is `vector_index_above()`, measured
//! in ADR 18. The index is preferred if `matching > T · total / matching`; without filters, if `total > T`.

use super::sql::{candidate_columns, count_passages, in_scope};
use super::{CandidateRow, document_ids};
use crate::rows::visible_classifications;
use crate::statement::{Joined, Query, Statement, row, statements};
use crate::tx::PgTenantTx;
use domain::ports::StoreError;
use domain::search::{RankedCandidate, SearchScope};
use pgvector::Vector;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// `hnsw.ef_search` per requested passage.
const EF_SEARCH_PER_PASSAGE: u32 = 4;
/// Minimum `hnsw.ef_search`; keeps recall high for small limits.
const MIN_EF_SEARCH: u32 = 400;
/// Maximum `hnsw.ef_search` that pgvector accepts.
const MAX_EF_SEARCH: u32 = 1000;
/// `hnsw.max_scan_tuples`: the index scan stops after this many passages, because an exact scan is faster beyond that.
const MAX_SCAN_TUPLES: &str = "20000";
/// The vector type in the text of [`NEAREST_BY_INDEX`]. It is replaced with the type that has the actual number of
/// dimensions. A type modifier cannot be a bind parameter, and the index is defined on the type with its modifier.
const VECTOR_TYPE: &str = "halfvec(384)";

row! {
    /// Number of passages that match the filters, and whether the index scan is expected to be faster.
    struct ScanPlanRow {
        matching: i64,
        prefers_index: bool,
    }
}

row! {
    /// The cosine similarity of passage and query, from -1 to 1.
    struct ScoreRow {
        score: f32,
    }
}

statements! {
    /// `$1` to `$7` are the parameters of `in_scope!`, `$8` is the query vector, `$9` the limit, `$10` whether to scan
    /// even if the index is preferred: if false, the statement returns no rows in that case. Embeddings and terms are
    /// stored inline in the table (STORAGE MAIN) and long texts out of line (TOAST), so the scan reads hardly
    /// anything but vectors.
    NEAREST_BY_SCAN: Joined<CandidateRow, ScoreRow> = Statement::select(
        "document_chunks",
        "searching by vector",
        concat!(
            "WITH counted AS MATERIALIZED (",
            count_passages!(),
            "), near AS MATERIALIZED (
                 SELECT c.id, c.embedding <=> $8::vector::halfvec AS distance
                 FROM documents d
                 JOIN document_chunks c ON c.tenant_id = $1 AND c.document_id = d.id AND c.embedding_model = $2
                 WHERE ($10 OR (SELECT NOT prefers_index FROM counted)) AND ",
            in_scope!(),
            " ORDER BY distance, c.id LIMIT $9)
             SELECT ",
            candidate_columns!(),
            ", (1 - near.distance)::real AS score
             FROM near
             JOIN document_chunks c ON c.tenant_id = $1 AND c.id = near.id
             JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
             ORDER BY near.distance, c.id"
        ),
    );
    /// Takes the first nine parameters of [`NEAREST_BY_SCAN`]. OFFSET 0 keeps the planner from turning the subquery
    /// into a join; instead, the document of each scanned passage is looked up in a hash table. If the tenant has no
    /// index, this compares all of its passages.
    NEAREST_BY_INDEX: Joined<CandidateRow, ScoreRow> = Statement::select(
        "document_chunks",
        "searching by vector",
        concat!(
            "WITH near AS MATERIALIZED (
                 SELECT c.id, c.embedding::halfvec(384) <=> $8::vector::halfvec AS distance
                 FROM document_chunks c
                 WHERE c.tenant_id = $1 AND c.embedding_model = $2
                   AND c.document_id IN (SELECT d.id FROM documents d WHERE ",
            in_scope!(),
            " OFFSET 0)
                 ORDER BY c.embedding::halfvec(384) <=> $8::vector::halfvec
                 LIMIT $9)
             SELECT ",
            candidate_columns!(),
            ", (1 - near.distance)::real AS score
             FROM near
             JOIN document_chunks c ON c.tenant_id = $1 AND c.id = near.id
             JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
             ORDER BY near.distance, c.id"
        ),
    );
    /// `$1` to `$7` are the parameters of `in_scope!`, `$8` is `hnsw.ef_search`, `$9` `hnsw.max_scan_tuples`. If the
    /// index is preferred, this also changes the settings for its scan until the transaction ends. Sorting is disabled,
    /// so that the planner reads in index order however small it estimates the table to be.
    PREPARE_INDEX_SCAN: ScanPlanRow = Statement::select(
        "documents",
        "preparing a vector search",
        concat!(
            "SELECT matching, prefers_index,
                    CASE WHEN prefers_index
                         THEN array[set_config('hnsw.ef_search', $8, true),
                                    set_config('hnsw.iterative_scan', 'relaxed_order', true),
                                    set_config('hnsw.max_scan_tuples', $9, true),
                                    set_config('enable_sort', 'off', true)]
                    END AS settings
             FROM (",
            count_passages!(),
            ") AS counted"
        ),
    );
}

/// The query vector and the scope of a search.
struct VectorSearch<'a> {
    tenant: Uuid,
    model: &'a str,
    scope: &'a SearchScope,
    vector: Vector,
    limit: i64,
}

impl VectorSearch<'_> {
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

pub(super) async fn search_nearest(
    tx: &mut PgTenantTx,
    embedding: &[f32],
    model: &str,
    scope: &SearchScope,
    limit: u32,
) -> Result<Vec<RankedCandidate>, StoreError> {
    let vector = Vector::from(embedding.to_vec());
    let search = VectorSearch { tenant: tx.tenant(), model, scope, vector, limit: i64::from(limit) };
    let hits = exact_scan(tx, &search, ScanCondition::UnlessIndexPreferred).await?;
    if !hits.is_empty() {
        return Ok(hits);
    }
    // Either nothing matches, or the index is preferred.
    let ef_search = limit.saturating_mul(EF_SEARCH_PER_PASSAGE).clamp(MIN_EF_SEARCH, MAX_EF_SEARCH);
    let prepare_query = search.bind_scope(PREPARE_INDEX_SCAN.query()).bind(ef_search.to_string()).bind(MAX_SCAN_TUPLES);
    let plan: ScanPlanRow = prepare_query.fetch_one(tx.custom_plan_connection().await?).await?;
    if !plan.prefers_index {
        return Ok(hits);
    }
    let hits = index_scan(tx, &search, embedding.len()).await?;
    if i64::try_from(hits.len()).is_ok_and(|count| count >= plan.matching.min(search.limit)) {
        return Ok(hits);
    }
    exact_scan(tx, &search, ScanCondition::Always).await
}

/// When the exact scan runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanCondition {
    /// Only if the index is not preferred; otherwise the result is empty.
    UnlessIndexPreferred,
    Always,
}

async fn exact_scan(
    tx: &mut PgTenantTx,
    search: &VectorSearch<'_>,
    condition: ScanCondition,
) -> Result<Vec<RankedCandidate>, StoreError> {
    let query = search
        .bind_scope(NEAREST_BY_SCAN.query())
        .bind(&search.vector)
        .bind(search.limit)
        .bind(condition == ScanCondition::Always);
    query.fetch_all(tx.custom_plan_connection().await?).await
}

async fn index_scan(
    tx: &mut PgTenantTx,
    search: &VectorSearch<'_>,
    dimensions: usize,
) -> Result<Vec<RankedCandidate>, StoreError> {
    let sql = NEAREST_BY_INDEX.sql().replace(VECTOR_TYPE, &format!("halfvec({dimensions})"));
    // Safe from injection: the SQL is a literal in this crate and the only substitution is an integer.
    let query = search.bind_scope(NEAREST_BY_INDEX.query_as_sql(AssertSqlSafe(sql)));
    query.bind(&search.vector).bind(search.limit).fetch_all(tx.custom_plan_connection().await?).await
}

impl From<Joined<CandidateRow, ScoreRow>> for RankedCandidate {
    fn from(Joined(candidate, ScoreRow { score }): Joined<CandidateRow, ScoreRow>) -> Self {
        Self { candidate: candidate.into(), score, normalized_score: score.clamp(0.0, 1.0) }
    }
}
