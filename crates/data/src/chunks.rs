//! Passages (chunks of documents). This file implements the lexical search and reads passages by document, position or
//! id. The submodules store passages, search them by vector, and switch the embedding model.
//!
//! Each tenant has its own partition of passages. Every statement binds the tenant id, so that the planner can prune
//! all other partitions: for speed, and because a statement locks each partition that it does not prune. What is
//! visible is decided by row-level security. See `docs/adr/0018-a-partition-and-an-index-per-tenant.md`.

pub(crate) mod model_switch;
pub(crate) mod nearest;
pub(crate) mod publish;
mod sql;

use crate::rows::{TextEnum, visible_classifications};
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::document::NewChunk;
use domain::identifiers::{TextKind, normalize_identifiers};
use domain::ids::{ChunkId, DocumentId};
use domain::ports::{ChunkRepo, StoreError};
use domain::role::Classification;
use domain::search::{
    Candidate, LexicalQuery, Passage, PassageTerms, RankedCandidate, SearchScope, SectionKey, TermSource,
};
use domain::time::Timestamp;
use sql::{candidate_columns, has_model_in_use, passage_columns, published};
use std::collections::HashMap;
use uuid::Uuid;

row! {
    /// A passage with the file name and title of its document. The columns are those of `passage_columns!` in [`sql`].
    pub(crate) struct PassageRow {
        id: Uuid,
        document_id: Uuid,
        chunk_index: i32,
        filename: String,
        title: String,
        page: Option<i32>,
        section: Option<String>,
        content: String,
        classification: TextEnum<Classification>,
    }
}

row! {
    /// The row of a [`Candidate`]. The columns are those of `candidate_columns!` in [`sql`].
    pub(crate) struct CandidateRow {
        id: Uuid,
        document_id: Uuid,
        chunk_index: i32,
        page: Option<i32>,
        section: Option<i64>,
        doc_type: Option<String>,
        classification: TextEnum<Classification>,
        terms: Option<Vec<u8>>,
        text: Option<String>,
    }
}

row! {
    /// The position and the BM25 score of a passage, and an upper bound for the scores of the query.
    struct LexicalHitRow {
        document_id: Uuid,
        chunk_index: i32,
        score: f32,
        score_bound: f32,
    }
}

statements! {
    LEXICAL: LexicalHitRow = Statement::select(
        "document_terms",
        "searching by word",
        include_str!("lexical.sql"),
    );
    // LATERAL with OFFSET 0 makes the planner fetch the passages one by one from the index, even before the tables have
    // been analyzed.
    CANDIDATES_AT: CandidateRow = Statement::select(
        "document_chunks",
        "reading candidates by their positions",
        concat!(
            "SELECT hit.*
             FROM unnest($2::uuid[], $3::integer[]) AS position (document_id, chunk_index)
             JOIN documents d ON d.tenant_id = $1 AND d.id = position.document_id
             CROSS JOIN LATERAL (
                 SELECT ",
            candidate_columns!(),
            " FROM document_chunks c
                 WHERE c.tenant_id = $1 AND c.document_id = d.id AND c.chunk_index = position.chunk_index
                   AND c.classification = ANY($4) AND ",
            has_model_in_use!(),
            " OFFSET 0) AS hit"
        ),
    );
    BY_DOCUMENT: PassageRow = Statement::select(
        "document_chunks",
        "reading a document's passages",
        concat!(
            "SELECT ",
            passage_columns!(),
            " FROM document_chunks c
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.tenant_id = $1 AND c.document_id = $2 AND c.classification = ANY($3) AND c.chunk_index >= $4
               AND ",
            has_model_in_use!(),
            " ORDER BY c.chunk_index LIMIT $5"
        ),
    );
    AT_POSITIONS: PassageRow = Statement::select(
        "document_chunks",
        "reading passages by their positions",
        concat!(
            "SELECT ",
            passage_columns!(),
            " FROM unnest($2::uuid[], $3::integer[]) AS place (document_id, chunk_index)
             JOIN document_chunks c USING (document_id, chunk_index)
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.tenant_id = $1 AND c.classification = ANY($4) AND ",
            published!(),
            " AND ",
            has_model_in_use!()
        ),
    );
    BY_IDS: PassageRow = Statement::select(
        "document_chunks",
        "reading passages",
        concat!(
            "SELECT ",
            passage_columns!(),
            " FROM document_chunks c
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.tenant_id = $1 AND c.id = ANY($2) AND c.classification = ANY($3) AND ",
            has_model_in_use!()
        ),
    );
}

#[async_trait]
impl ChunkRepo for PgTenantTx {
    async fn replace(
        &mut self,
        document: DocumentId,
        model: &str,
        chunks: &[NewChunk],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        publish::replace(self, document, model, chunks, now).await
    }

    async fn stage(
        &mut self,
        document: DocumentId,
        model: &str,
        chunks: &[NewChunk],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        publish::stage(self, document, model, chunks, now).await
    }

    async fn list_unstaged(&mut self, model: &str, limit: u32) -> Result<Vec<DocumentId>, StoreError> {
        model_switch::find_unstaged_documents(self, model, limit).await
    }

    async fn switch_model(&mut self, model: &str, now: Timestamp) -> Result<usize, StoreError> {
        model_switch::switch_to(self, model, now).await
    }

    async fn model_in_use(&mut self) -> Result<Option<String>, StoreError> {
        model_switch::model_in_use(self).await
    }

    async fn lock_model_in_use(&mut self) -> Result<Option<String>, StoreError> {
        publish::lock_embedding_model_shared(self).await?;
        model_switch::model_in_use(self).await
    }

    async fn search_vector(
        &mut self,
        embedding: &[f32],
        model: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedCandidate>, StoreError> {
        nearest::search_nearest(self, embedding, model, scope, limit).await
    }

    async fn search_lexical(
        &mut self,
        query: &LexicalQuery,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedCandidate>, StoreError> {
        let hits = LEXICAL
            .query()
            .bind(self.tenant())
            .bind(&query.text)
            .bind(visible_classifications(scope.clearance))
            .bind(document_ids(scope))
            .bind(&scope.filters.tags)
            .bind(&scope.filters.doc_type)
            .bind(scope.filters.include_superseded)
            .bind(normalize_identifiers(&query.text, TextKind::Query))
            .bind(i64::from(limit))
            .bind(query.synonyms.iter().map(|synonym| synonym.text.clone()).collect::<Vec<String>>())
            .bind(query.synonyms.iter().map(|synonym| f64::from(synonym.weight)).collect::<Vec<f64>>())
            .fetch_all(self.connection())
            .await?;
        self.lexical_candidates(hits, scope.clearance).await
    }

    async fn list_by_document(
        &mut self,
        document: DocumentId,
        clearance: Classification,
        from_index: i32,
        limit: u32,
    ) -> Result<Vec<Passage>, StoreError> {
        BY_DOCUMENT
            .query()
            .bind(self.tenant())
            .bind(document.as_uuid())
            .bind(visible_classifications(clearance))
            .bind(from_index)
            .bind(i64::from(limit))
            .fetch_all(self.custom_plan_connection().await?)
            .await
    }

    async fn get_by_positions(
        &mut self,
        positions: &[(DocumentId, i32)],
        clearance: Classification,
    ) -> Result<Vec<Passage>, StoreError> {
        AT_POSITIONS
            .query()
            .bind(self.tenant())
            .bind(positions.iter().map(|(document, _)| document.as_uuid()).collect::<Vec<Uuid>>())
            .bind(positions.iter().map(|(_, index)| *index).collect::<Vec<i32>>())
            .bind(visible_classifications(clearance))
            .fetch_all(self.custom_plan_connection().await?)
            .await
    }

    async fn get_by_ids(&mut self, ids: &[ChunkId], clearance: Classification) -> Result<Vec<Passage>, StoreError> {
        BY_IDS
            .query()
            .bind(self.tenant())
            .bind(ids.iter().map(|id| id.as_uuid()).collect::<Vec<Uuid>>())
            .bind(visible_classifications(clearance))
            .fetch_all(self.custom_plan_connection().await?)
            .await
    }
}

impl PgTenantTx {
    /// The tenant id, which every statement on `document_chunks` or `document_terms` must bind (partition pruning).
    fn tenant(&self) -> Uuid {
        self.scope().tenant().as_uuid()
    }

    /// Fetches the candidates at the positions of the hits, in the order of the hits. A passage that was replaced
    /// between the two statements is left out.
    async fn lexical_candidates(
        &mut self,
        hits: Vec<LexicalHitRow>,
        clearance: Classification,
    ) -> Result<Vec<RankedCandidate>, StoreError> {
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        // If lexical.sql returns rows, it has also forced custom plans with `set_config`.
        self.set_uses_custom_plans();
        let candidates: Vec<Candidate> = CANDIDATES_AT
            .query()
            .bind(self.tenant())
            .bind(hits.iter().map(|hit| hit.document_id).collect::<Vec<Uuid>>())
            .bind(hits.iter().map(|hit| hit.chunk_index).collect::<Vec<i32>>())
            .bind(visible_classifications(clearance))
            .fetch_all(self.custom_plan_connection().await?)
            .await?;
        let mut at_position: HashMap<(Uuid, i32), Candidate> = candidates
            .into_iter()
            .map(|candidate| ((candidate.document_id.as_uuid(), candidate.chunk_index), candidate))
            .collect();
        let ranked = |LexicalHitRow { document_id, chunk_index, score, score_bound }| {
            let candidate = at_position.remove(&(document_id, chunk_index))?;
            Some(RankedCandidate { candidate, score, normalized_score: (score / score_bound).clamp(0.0, 1.0) })
        };
        Ok(hits.into_iter().filter_map(ranked).collect())
    }
}

fn document_ids(scope: &SearchScope) -> Vec<Uuid> {
    scope.filters.document_ids.iter().map(|id| id.as_uuid()).collect()
}

impl From<PassageRow> for Passage {
    fn from(row: PassageRow) -> Self {
        Self {
            chunk_id: row.id.into(),
            document_id: row.document_id.into(),
            chunk_index: row.chunk_index,
            file_name: row.filename,
            title: row.title,
            page: row.page.and_then(|page| u32::try_from(page).ok()),
            section: row.section,
            content: row.content,
            classification: row.classification.0,
        }
    }
}

impl From<CandidateRow> for Candidate {
    fn from(row: CandidateRow) -> Self {
        Self {
            chunk_id: row.id.into(),
            document_id: row.document_id.into(),
            chunk_index: row.chunk_index,
            page: row.page.and_then(|page| u32::try_from(page).ok()),
            section: row.section.map(SectionKey),
            doc_type: row.doc_type,
            classification: row.classification.0,
            term_source: match row.terms {
                Some(terms) => TermSource::Terms(PassageTerms::from_bytes(terms)),
                None => TermSource::Text(row.text.unwrap_or_default()),
            },
        }
    }
}
