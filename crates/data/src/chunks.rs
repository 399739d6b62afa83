//! Passages: read by document, by place or by id here; stored and searched in the files below.
//!
//! They lie in one partition per tenant. Each statement names the tenant as a value, so that the planner opens this
//! tenant's partition alone; without it, it would look into a thousand. Row security decides what may be seen either
//! way. Why it is built like this: `docs/adr/0018-a-partition-and-an-index-per-tenant.md`.

mod generations;
mod nearest;
mod publish;
mod sql;

use crate::error::failed;
use crate::identifiers::{Source, fold};
use crate::rows::{id, word, words_up_to};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::document::NewChunk;
use domain::ids::{ChunkId, DocumentId};
use domain::ports::{ChunkRepo, StoreError};
use domain::role::Classification;
use domain::search::{Passage, RankedPassage, SearchScope};
use domain::time::Timestamp;
use sql::{columns, published, searched_generation};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

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
        publish::hold_generations(self).await?;
        generations::model_in_use(self).await
    }

    async fn nearest(
        &mut self,
        embedding: &[f32],
        model: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedPassage>, StoreError> {
        nearest::nearest(self, embedding, model, scope, limit).await
    }

    async fn lexical(
        &mut self,
        query: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedPassage>, StoreError> {
        sqlx::query(include_str!("lexical.sql"))
            .bind(self.tenant())
            .bind(query)
            .bind(words_up_to(scope.clearance))
            .bind(document_ids(scope))
            .bind(&scope.filters.tags)
            .bind(&scope.filters.doc_type)
            .bind(scope.filters.include_superseded)
            .bind(fold(query, Source::Query))
            .bind(i64::from(limit))
            .try_map(ranked_by_words)
            .fetch_all(self.connection())
            .await
            .map_err(failed("searching by word"))
    }

    async fn of_document(
        &mut self,
        document: DocumentId,
        clearance: Classification,
        from_index: i32,
        limit: u32,
    ) -> Result<Vec<Passage>, StoreError> {
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM document_chunks c
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.tenant_id = $1 AND c.document_id = $2 AND c.classification = ANY($3) AND c.chunk_index >= $4
               AND ",
            searched_generation!(),
            " ORDER BY c.chunk_index LIMIT $5"
        ))
        .bind(self.tenant())
        .bind(document.as_uuid())
        .bind(words_up_to(clearance))
        .bind(from_index)
        .bind(i64::from(limit))
        .try_map(passage)
        .fetch_all(self.connection())
        .await
        .map_err(failed("reading a document's passages"))
    }

    async fn at_positions(
        &mut self,
        places: &[(DocumentId, i32)],
        clearance: Classification,
    ) -> Result<Vec<Passage>, StoreError> {
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM unnest($2::uuid[], $3::integer[]) AS place (document_id, chunk_index)
             JOIN document_chunks c USING (document_id, chunk_index)
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.tenant_id = $1 AND c.classification = ANY($4) AND ",
            published!(),
            " AND ",
            searched_generation!()
        ))
        .bind(self.tenant())
        .bind(places.iter().map(|(document, _)| document.as_uuid()).collect::<Vec<Uuid>>())
        .bind(places.iter().map(|(_, index)| *index).collect::<Vec<i32>>())
        .bind(words_up_to(clearance))
        .try_map(passage)
        .fetch_all(self.connection())
        .await
        .map_err(failed("reading passages by their places"))
    }

    async fn by_ids(&mut self, ids: &[ChunkId], clearance: Classification) -> Result<Vec<Passage>, StoreError> {
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM document_chunks c
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.tenant_id = $1 AND c.id = ANY($2) AND c.classification = ANY($3) AND ",
            searched_generation!()
        ))
        .bind(self.tenant())
        .bind(ids.iter().map(|id| id.as_uuid()).collect::<Vec<Uuid>>())
        .bind(words_up_to(clearance))
        .try_map(passage)
        .fetch_all(self.connection())
        .await
        .map_err(failed("reading passages"))
    }
}

impl PgTenantTx {
    /// The tenant, to be bound where a statement names document_chunks or document_terms.
    fn tenant(&self) -> Uuid {
        self.scope().tenant().as_uuid()
    }
}

fn document_ids(scope: &SearchScope) -> Vec<Uuid> {
    scope.filters.document_ids.iter().map(|id| id.as_uuid()).collect()
}

fn ranked(row: PgRow) -> Result<RankedPassage, sqlx::Error> {
    let score: f32 = row.try_get("score")?;
    Ok(RankedPassage { passage: passage(row)?, score, share: score.clamp(0.0, 1.0) })
}

fn ranked_by_words(row: PgRow) -> Result<RankedPassage, sqlx::Error> {
    let (score, highest): (f32, f32) = (row.try_get("score")?, row.try_get("highest")?);
    Ok(RankedPassage { passage: passage(row)?, score, share: (score / highest).clamp(0.0, 1.0) })
}

fn passage(row: PgRow) -> Result<Passage, sqlx::Error> {
    let page: Option<i32> = row.try_get("page")?;
    Ok(Passage {
        chunk_id: id(&row, "id")?,
        document_id: id(&row, "document_id")?,
        chunk_index: row.try_get("chunk_index")?,
        doc: row.try_get("filename")?,
        title: row.try_get("title")?,
        page: page.and_then(|page| u32::try_from(page).ok()),
        section: row.try_get("section")?,
        content: row.try_get("content")?,
        classification: word(&row, "classification")?,
    })
}
