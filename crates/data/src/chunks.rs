//! Passages (chunks of documents): this file has the lexical search and reads passages by document, position or id;
//! the submodules store passages, search them by vector, and switch the embedding model.
//!
//! Each tenant has its own partition of passages. Every statement binds the tenant id, so that the planner can prune
//! all other partitions. That is for speed only: row-level security decides what is visible. The reasons are in
//! `docs/adr/0018-a-partition-and-an-index-per-tenant.md`.

pub(crate) mod generations;
pub(crate) mod nearest;
pub(crate) mod publish;
mod sql;

use crate::identifiers::{TextKind, normalize_identifiers};
use crate::rows::{TextEnum, visible_classifications};
use crate::statement::{Joined, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::document::NewChunk;
use domain::ids::{ChunkId, DocumentId};
use domain::ports::{ChunkRepo, StoreError};
use domain::role::Classification;
use domain::search::{Candidate, Passage, PassageTerms, PassageWords, RankedCandidate, SearchScope, SectionKey};
use domain::time::Timestamp;
use sql::{passage_columns, published, searched_generation};
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
    /// A candidate. The columns are those of `candidate_columns!` in [`sql`].
    pub(crate) struct CandidateRow {
        id: Uuid,
        document_id: Uuid,
        chunk_index: i32,
        page: Option<i32>,
        section: Option<i64>,
        classification: TextEnum<Classification>,
        terms: Option<Vec<u8>>,
        text: Option<String>,
    }
}

row! {
    /// The BM25 score of a passage, and an upper bound for the scores of the query.
    struct LexicalScoreRow {
        score: f32,
        highest: f32,
    }
}

statements! {
    LEXICAL: Joined<CandidateRow, LexicalScoreRow> = Statement::select(
        "document_terms",
        "searching by word",
        include_str!("lexical.sql"),
    );
    OF_DOCUMENT: PassageRow = Statement::select(
        "document_chunks",
        "reading a document's passages",
        concat!(
            "SELECT ",
            passage_columns!(),
            " FROM document_chunks c
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.tenant_id = $1 AND c.document_id = $2 AND c.classification = ANY($3) AND c.chunk_index >= $4
               AND ",
            searched_generation!(),
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
            searched_generation!()
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
            searched_generation!()
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

    async fn unstaged(&mut self, model: &str, limit: u32) -> Result<Vec<DocumentId>, StoreError> {
        generations::unstaged(self, model, limit).await
    }

    async fn switch_to(&mut self, model: &str, now: Timestamp) -> Result<usize, StoreError> {
        generations::switch_to(self, model, now).await
    }

    async fn model_in_use(&mut self) -> Result<Option<String>, StoreError> {
        generations::model_in_use(self).await
    }

    async fn lock_model_in_use(&mut self) -> Result<Option<String>, StoreError> {
        publish::share_generations_lock(self).await?;
        generations::model_in_use(self).await
    }

    async fn nearest(
        &mut self,
        embedding: &[f32],
        model: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedCandidate>, StoreError> {
        nearest::nearest(self, embedding, model, scope, limit).await
    }

    async fn lexical(
        &mut self,
        query: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedCandidate>, StoreError> {
        LEXICAL
            .query()
            .bind(self.tenant())
            .bind(query)
            .bind(visible_classifications(scope.clearance))
            .bind(document_ids(scope))
            .bind(&scope.filters.tags)
            .bind(&scope.filters.doc_type)
            .bind(scope.filters.include_superseded)
            .bind(normalize_identifiers(query, TextKind::Query))
            .bind(i64::from(limit))
            .fetch_all(self.passage_connection().await?)
            .await
    }

    async fn of_document(
        &mut self,
        document: DocumentId,
        clearance: Classification,
        from_index: i32,
        limit: u32,
    ) -> Result<Vec<Passage>, StoreError> {
        OF_DOCUMENT
            .query()
            .bind(self.tenant())
            .bind(document.as_uuid())
            .bind(visible_classifications(clearance))
            .bind(from_index)
            .bind(i64::from(limit))
            .fetch_all(self.passage_connection().await?)
            .await
    }

    async fn at_positions(
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
            .fetch_all(self.passage_connection().await?)
            .await
    }

    async fn by_ids(&mut self, ids: &[ChunkId], clearance: Classification) -> Result<Vec<Passage>, StoreError> {
        BY_IDS
            .query()
            .bind(self.tenant())
            .bind(ids.iter().map(|id| id.as_uuid()).collect::<Vec<Uuid>>())
            .bind(visible_classifications(clearance))
            .fetch_all(self.passage_connection().await?)
            .await
    }
}

impl PgTenantTx {
    /// The tenant id, which every statement on `document_chunks` or `document_terms` must bind (partition pruning).
    fn tenant(&self) -> Uuid {
        self.scope().tenant().as_uuid()
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
            doc: row.filename,
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
            classification: row.classification.0,
            words: match row.terms {
                Some(terms) => PassageWords::Terms(PassageTerms::from_bytes(terms)),
                None => PassageWords::Text(row.text.unwrap_or_default()),
            },
        }
    }
}

impl From<Joined<CandidateRow, LexicalScoreRow>> for RankedCandidate {
    fn from(Joined(candidate, score): Joined<CandidateRow, LexicalScoreRow>) -> Self {
        let LexicalScoreRow { score, highest } = score;
        Self { candidate: candidate.into(), score, share: (score / highest).clamp(0.0, 1.0) }
    }
}
