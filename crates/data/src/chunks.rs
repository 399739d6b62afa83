//! Passages: stored with their document, found by vector and by word.

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
use pgvector::Vector;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

#[async_trait]
impl ChunkRepo for PgTenantTx {
    async fn replace(&mut self, document: DocumentId, chunks: &[NewChunk], now: Timestamp) -> Result<(), StoreError> {
        // Two workers on one document would otherwise interleave; the second waits, and then loses its lease.
        let found = sqlx::query("SELECT 1 FROM documents WHERE id = $1 FOR UPDATE")
            .bind(document.as_uuid())
            .fetch_optional(self.connection())
            .await
            .map_err(failed("locking a document"))?;
        if found.is_none() {
            return Err(StoreError::Conflict { what: "the document" });
        }
        remove(self, document).await?;
        insert_passages(self, document, chunks, now).await?;
        insert_terms(self, document, chunks).await
    }

    async fn nearest(
        &mut self,
        embedding: &[f32],
        model: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedPassage>, StoreError> {
        // Exact: every passage of the tenant is compared. Embeddings lie in the row (STORAGE MAIN), texts beside it, so
        // the scan reads vectors and little else.
        sqlx::query(
            "SELECT c.id, c.document_id, c.chunk_index, d.filename, d.title, c.page, c.section, c.content,
                    c.classification, (1 - (c.embedding <=> $1))::real AS score
             FROM document_chunks c
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.embedding_model = $2 AND c.classification = ANY($3) AND d.status = 'ready'
               AND ($4::uuid[] = '{}' OR c.document_id = ANY($4))
               AND ($5::text[] = '{}' OR d.tags && $5)
               AND ($6::text IS NULL OR d.doc_type = $6)
               AND ($8 OR ((d.effective_from IS NULL OR d.effective_from <= (now() AT TIME ZONE 'UTC')::date)
                           AND (d.superseded_by IS NULL OR d.superseded_from > (now() AT TIME ZONE 'UTC')::date)))
             ORDER BY c.embedding <=> $1, c.id
             LIMIT $7",
        )
        .bind(Vector::from(embedding.to_vec()))
        .bind(model)
        .bind(words_up_to(scope.clearance))
        .bind(document_ids(scope))
        .bind(&scope.filters.tags)
        .bind(&scope.filters.doc_type)
        .bind(i64::from(limit))
        .bind(scope.filters.include_superseded)
        .try_map(ranked)
        .fetch_all(self.connection())
        .await
        .map_err(failed("searching by vector"))
    }

    async fn lexical(
        &mut self,
        query: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedPassage>, StoreError> {
        sqlx::query(include_str!("lexical.sql"))
            .bind(query)
            .bind(fold(query, Source::Query))
            .bind(words_up_to(scope.clearance))
            .bind(document_ids(scope))
            .bind(&scope.filters.tags)
            .bind(&scope.filters.doc_type)
            .bind(i64::from(limit))
            .bind(scope.filters.include_superseded)
            .try_map(ranked)
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
        sqlx::query(
            "SELECT c.id, c.document_id, c.chunk_index, d.filename, d.title, c.page, c.section, c.content,
                    c.classification
             FROM document_chunks c
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.document_id = $1 AND c.classification = ANY($2) AND c.chunk_index >= $3
             ORDER BY c.chunk_index LIMIT $4",
        )
        .bind(document.as_uuid())
        .bind(words_up_to(clearance))
        .bind(from_index)
        .bind(i64::from(limit))
        .try_map(passage)
        .fetch_all(self.connection())
        .await
        .map_err(failed("reading a document's passages"))
    }

    async fn at(
        &mut self,
        places: &[(DocumentId, i32)],
        clearance: Classification,
    ) -> Result<Vec<Passage>, StoreError> {
        sqlx::query(
            "SELECT c.id, c.document_id, c.chunk_index, d.filename, d.title, c.page, c.section, c.content,
                    c.classification
             FROM unnest($1::uuid[], $2::integer[]) AS place (document_id, chunk_index)
             JOIN document_chunks c USING (document_id, chunk_index)
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.classification = ANY($3) AND d.status = 'ready'",
        )
        .bind(places.iter().map(|(document, _)| document.as_uuid()).collect::<Vec<Uuid>>())
        .bind(places.iter().map(|(_, index)| *index).collect::<Vec<i32>>())
        .bind(words_up_to(clearance))
        .try_map(passage)
        .fetch_all(self.connection())
        .await
        .map_err(failed("reading passages by their places"))
    }

    async fn by_ids(&mut self, ids: &[ChunkId], clearance: Classification) -> Result<Vec<Passage>, StoreError> {
        sqlx::query(
            "SELECT c.id, c.document_id, c.chunk_index, d.filename, d.title, c.page, c.section, c.content,
                    c.classification
             FROM document_chunks c
             JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             WHERE c.id = ANY($1) AND c.classification = ANY($2)",
        )
        .bind(ids.iter().map(|id| id.as_uuid()).collect::<Vec<Uuid>>())
        .bind(words_up_to(clearance))
        .try_map(passage)
        .fetch_all(self.connection())
        .await
        .map_err(failed("reading passages"))
    }
}

async fn remove(tx: &mut PgTenantTx, document: DocumentId) -> Result<(), StoreError> {
    for statement in
        ["DELETE FROM document_chunks WHERE document_id = $1", "DELETE FROM document_terms WHERE document_id = $1"]
    {
        let statement = sqlx::query(statement).bind(document.as_uuid());
        statement.execute(tx.connection()).await.map_err(failed("removing old passages"))?;
    }
    Ok(())
}

async fn insert_passages(
    tx: &mut PgTenantTx,
    document: DocumentId,
    chunks: &[NewChunk],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO document_chunks
             (id, tenant_id, document_id, chunk_index, content, token_count, page, section, classification, embedding,
              embedding_model, created_at)
         SELECT new.id, d.tenant_id, d.id, new.chunk_index, new.content, new.token_count, new.page, new.section,
                d.classification, new.embedding, new.embedding_model, $2
         FROM documents d,
              unnest($3::uuid[], $4::integer[], $5::text[], $6::integer[], $7::integer[], $8::text[], $9::vector[],
                     $10::text[])
              AS new (id, chunk_index, content, token_count, page, section, embedding, embedding_model)
         WHERE d.id = $1",
    )
    .bind(document.as_uuid())
    .bind(now)
    .bind(chunks.iter().map(|c| c.id.as_uuid()).collect::<Vec<_>>())
    .bind(chunks.iter().map(|c| c.chunk_index).collect::<Vec<_>>())
    .bind(chunks.iter().map(|c| c.content.as_str()).collect::<Vec<_>>())
    .bind(chunks.iter().map(|c| c.token_count).collect::<Vec<_>>())
    .bind(chunks.iter().map(|c| c.page).collect::<Vec<_>>())
    .bind(chunks.iter().map(|c| c.section.as_deref()).collect::<Vec<_>>())
    .bind(chunks.iter().map(|c| Vector::from(c.embedding.clone())).collect::<Vec<_>>())
    .bind(chunks.iter().map(|c| c.embedding_model.as_str()).collect::<Vec<_>>())
    .execute(tx.connection())
    .await
    .map(drop)
    .map_err(failed("storing passages"))
}

async fn insert_terms(tx: &mut PgTenantTx, document: DocumentId, chunks: &[NewChunk]) -> Result<(), StoreError> {
    let texts: Vec<String> = chunks.iter().map(|c| format!("{}\n{}", c.context, c.content)).collect();
    sqlx::query(
        "WITH term AS (
             SELECT new.chunk_index, v.lexeme, cardinality(v.positions)::smallint AS frequency,
                    (sum(cardinality(v.positions)) OVER (PARTITION BY new.chunk_index))::integer AS length
             FROM unnest($2::integer[], $3::text[], $4::text[]) AS new (chunk_index, words, identifiers),
                  unnest(to_tsvector('english', new.words) || to_tsvector('simple', new.identifiers)) AS v
         ), indexed AS (
             INSERT INTO document_terms (tenant_id, document_id, lexeme, chunk_indexes, frequencies, lengths)
             SELECT app_tenant(), $1, lexeme, array_agg(chunk_index), array_agg(frequency), array_agg(length)
             FROM term GROUP BY lexeme
         )
         UPDATE documents SET term_count = (SELECT coalesce(sum(frequency), 0) FROM term) WHERE id = $1",
    )
    .bind(document.as_uuid())
    .bind(chunks.iter().map(|c| c.chunk_index).collect::<Vec<_>>())
    .bind(&texts)
    .bind(texts.iter().map(|text| fold(text, Source::Passage)).collect::<Vec<_>>())
    .execute(tx.connection())
    .await
    .map(drop)
    .map_err(failed("indexing words"))
}

fn document_ids(scope: &SearchScope) -> Vec<Uuid> {
    scope.filters.document_ids.iter().map(|id| id.as_uuid()).collect()
}

fn ranked(row: PgRow) -> Result<RankedPassage, sqlx::Error> {
    let score = row.try_get("score")?;
    Ok(RankedPassage { passage: passage(row)?, score })
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
