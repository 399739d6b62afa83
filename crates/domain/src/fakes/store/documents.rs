//! Documents and their passages in memory. The lexical side counts the query's words, without stems or weights.

use super::{MemoryTx, Row, State, page_of};
use crate::document::{Document, DocumentFilter, DocumentStatus, IngestionProgress, NewChunk, NewDocument, Progress};
use crate::ids::{ChunkId, DocumentId, TenantId};
use crate::page::{Page, PageKey, PageRequest};
use crate::ports::{ChunkRepo, DocumentRepo, InsertedDocument, StoreError};
use crate::role::Classification;
use crate::search::{Passage, RankedPassage, SearchScope};
use crate::time::{Date, Timestamp};
use async_trait::async_trait;
use std::collections::BTreeSet;

/// What PostgreSQL's English dictionary drops, as far as tests need it.
const STOP_WORDS: [&str; 12] = ["a", "after", "an", "and", "before", "here", "in", "is", "of", "or", "the", "to"];

#[async_trait]
impl DocumentRepo for MemoryTx {
    async fn insert(&mut self, document: &NewDocument, now: Timestamp) -> Result<InsertedDocument, StoreError> {
        let (sees, tenant) = (self.sees(), self.tenant());
        let state = self.write().await?;
        if let Some(same) = state.documents.iter().find(|r| sees(r) && r.value.sha256 == document.sha256) {
            return Ok(InsertedDocument::Duplicate(same.value.clone()));
        }
        let value = recorded(document, now);
        state.documents.push(Row { tenant, user: None, value: value.clone() });
        Ok(InsertedDocument::New(value))
    }

    async fn get(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError> {
        let sees = self.sees();
        let found = self.read(|s| {
            let mut rows = s.documents.iter().filter(|r| sees(r) && r.value.classification <= clearance);
            rows.find(|r| r.value.id == id).map(|r| r.value.clone())
        });
        Ok(found)
    }

    async fn list(
        &mut self,
        filter: &DocumentFilter,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Document>, StoreError> {
        let sees = self.sees();
        let passes = |d: &Document| {
            d.classification <= clearance
                && filter.status.is_none_or(|status| d.status == status)
                && filter.tag.as_ref().is_none_or(|tag| d.tags.contains(tag))
                && (filter.doc_type.is_none() || d.doc_type == filter.doc_type)
        };
        let rows = self
            .read(|s| s.documents.iter().filter(|r| sees(r) && passes(&r.value)).map(|r| r.value.clone()).collect());
        Ok(page_of(rows, page, |row: &Document| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn advance(&mut self, id: DocumentId, progress: &Progress, now: Timestamp) -> Result<bool, StoreError> {
        let sees = self.sees();
        let state = self.write().await?;
        let Some(row) = state.documents.iter_mut().find(|r| sees(r) && r.value.id == id) else { return Ok(false) };
        let document = &mut row.value;
        document.updated_at = now;
        document.failure = None;
        document.progress = None;
        let mut superseded = None;
        match progress {
            Progress::Queued => document.status = DocumentStatus::Pending,
            Progress::Processing => document.status = DocumentStatus::Processing,
            Progress::Ready { title, page_count, chunk_count, warnings } => {
                document.status = DocumentStatus::Ready;
                document.title = title.clone().unwrap_or_else(|| document.title.clone());
                (document.page_count, document.chunk_count) = (*page_count, *chunk_count);
                document.warnings.clone_from(warnings);
                superseded = document.revision.supersedes;
            }
            Progress::Failed(failure) => {
                document.status = DocumentStatus::Failed;
                document.failure = Some(failure.clone());
            }
        }
        let old = state.documents.iter_mut().find(|r| sees(r) && Some(r.value.id) == superseded);
        if let Some(old) = old {
            old.value.superseded_by = Some(id);
        }
        Ok(true)
    }

    async fn report(&mut self, id: DocumentId, progress: IngestionProgress) -> Result<bool, StoreError> {
        let sees = self.sees();
        let state = self.write().await?;
        let processing = |d: &Document| d.id == id && d.status == DocumentStatus::Processing;
        let Some(row) = state.documents.iter_mut().find(|r| sees(r) && processing(&r.value)) else { return Ok(false) };
        row.value.progress = Some(progress);
        Ok(true)
    }

    async fn delete(&mut self, id: DocumentId) -> Result<Option<Document>, StoreError> {
        let sees = self.sees();
        let state = self.write().await?;
        let Some(at) = state.documents.iter().position(|r| sees(r) && r.value.id == id) else { return Ok(None) };
        state.chunks.retain(|r| r.value.0 != id);
        state.jobs.retain(|job| job.work.document() != Some(id));
        for other in state.documents.iter_mut().map(|r| &mut r.value) {
            other.superseded_by = other.superseded_by.filter(|by| *by != id);
            other.revision.supersedes = other.revision.supersedes.filter(|superseded| *superseded != id);
        }
        Ok(Some(state.documents.remove(at).value))
    }
}

#[async_trait]
impl ChunkRepo for MemoryTx {
    async fn replace(&mut self, document: DocumentId, chunks: &[NewChunk], _now: Timestamp) -> Result<(), StoreError> {
        let (sees, tenant) = (self.sees(), self.tenant());
        let state = self.write().await?;
        if !state.documents.iter().any(|r| sees(r) && r.value.id == document) {
            return Err(StoreError::Conflict { what: "the document" });
        }
        state.chunks.retain(|r| r.value.0 != document);
        state.chunks.extend(chunks.iter().map(|c| Row { tenant, user: None, value: (document, c.clone()) }));
        Ok(())
    }

    async fn nearest(
        &mut self,
        embedding: &[f32],
        model: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedPassage>, StoreError> {
        let similarity = |chunk: &NewChunk| {
            let pairs = chunk.embedding.iter().zip(embedding);
            (chunk.embedding_model == model).then(|| pairs.map(|(one, other)| one * other).sum())
        };
        Ok(self.read(|s| ranked(s, (self.tenant(), self.today()), scope, limit, similarity)))
    }

    async fn lexical(
        &mut self,
        query: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedPassage>, StoreError> {
        let wanted: BTreeSet<String> = words(query).collect();
        let count = |chunk: &NewChunk| {
            let found = words(&chunk.context).chain(words(&chunk.content)).filter(|word| wanted.contains(word)).count();
            (found > 0).then_some(found as f32)
        };
        Ok(self.read(|s| ranked(s, (self.tenant(), self.today()), scope, limit, count)))
    }

    async fn of_document(
        &mut self,
        document: DocumentId,
        clearance: Classification,
        from_index: i32,
        limit: u32,
    ) -> Result<Vec<Passage>, StoreError> {
        let mut found = self.read(|s| passages(s, self.tenant(), clearance, |d, _| d.id == document));
        found.retain(|passage| passage.chunk_index >= from_index);
        found.sort_by_key(|passage| passage.chunk_index);
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn at(
        &mut self,
        places: &[(DocumentId, i32)],
        clearance: Classification,
    ) -> Result<Vec<Passage>, StoreError> {
        let wanted = |document: &Document, chunk: &NewChunk| {
            document.status == DocumentStatus::Ready && places.contains(&(document.id, chunk.chunk_index))
        };
        Ok(self.read(|s| passages(s, self.tenant(), clearance, wanted)))
    }

    async fn by_ids(&mut self, ids: &[ChunkId], clearance: Classification) -> Result<Vec<Passage>, StoreError> {
        Ok(self.read(|s| passages(s, self.tenant(), clearance, |_, chunk| ids.contains(&chunk.id))))
    }
}

fn recorded(new: &NewDocument, now: Timestamp) -> Document {
    Document {
        id: new.id,
        filename: new.filename.clone(),
        title: new.title.clone(),
        mime_type: new.mime_type.clone(),
        file_size_bytes: new.file_size_bytes,
        sha256: new.sha256.clone(),
        storage_path: new.storage_path.clone(),
        doc_type: new.doc_type.clone(),
        tags: new.tags.clone(),
        classification: new.classification,
        status: DocumentStatus::Pending,
        failure: None,
        progress: None,
        warnings: Vec::new(),
        revision: new.revision.clone(),
        superseded_by: None,
        page_count: None,
        chunk_count: 0,
        metadata: new.metadata.clone(),
        uploaded_by: new.uploaded_by,
        created_at: now,
        updated_at: now,
    }
}

impl MemoryTx {
    fn today(&self) -> Date {
        self.store.clock.now().date_naive()
    }
}

/// Whether a document is in force today: it has begun to be, and what takes its place, if anything, has not.
fn in_force(state: &State, document: &Document, today: Date) -> bool {
    let begun = |d: &Document| d.revision.effective_from.is_none_or(|from| from <= today);
    let mut all = state.documents.iter().map(|r| &r.value);
    let next = all.find(|d| Some(d.id) == document.superseded_by);
    begun(document) && !next.is_some_and(begun)
}

/// The tenant's chunks with their documents, within a clearance.
fn visible(state: &State, tenant: TenantId, clearance: Classification) -> impl Iterator<Item = (&Document, &NewChunk)> {
    state.chunks.iter().filter(move |r| r.tenant == tenant).filter_map(move |row| {
        let (id, chunk) = &row.value;
        let mut documents = state.documents.iter().filter(|d| d.tenant == tenant && d.value.id == *id);
        documents.next().map(|d| (&d.value, chunk)).filter(|(d, _)| d.classification <= clearance)
    })
}

fn passages(
    state: &State,
    tenant: TenantId,
    clearance: Classification,
    wanted: impl Fn(&Document, &NewChunk) -> bool,
) -> Vec<Passage> {
    let found = visible(state, tenant, clearance).filter(|(document, chunk)| wanted(document, chunk));
    found.map(|(document, chunk)| passage(document, chunk)).collect()
}

fn ranked(
    state: &State,
    (tenant, today): (TenantId, Date),
    scope: &SearchScope,
    limit: u32,
    score: impl Fn(&NewChunk) -> Option<f32>,
) -> Vec<RankedPassage> {
    let filters = &scope.filters;
    let mut hits: Vec<RankedPassage> = visible(state, tenant, scope.clearance)
        .filter(|(d, _)| d.status == DocumentStatus::Ready)
        .filter(|(d, _)| filters.include_superseded || in_force(state, d, today))
        .filter(|(d, _)| filters.document_ids.is_empty() || filters.document_ids.contains(&d.id))
        .filter(|(d, _)| filters.tags.is_empty() || d.tags.iter().any(|tag| filters.tags.contains(tag)))
        .filter(|(d, _)| filters.doc_type.is_none() || d.doc_type == filters.doc_type)
        .filter_map(|(d, c)| score(c).map(|score| RankedPassage { passage: passage(d, c), score }))
        .collect();
    hits.sort_by(|one, other| other.score.total_cmp(&one.score));
    hits.truncate(limit as usize);
    hits
}

fn passage(document: &Document, chunk: &NewChunk) -> Passage {
    Passage {
        chunk_id: chunk.id,
        document_id: document.id,
        chunk_index: chunk.chunk_index,
        doc: document.filename.clone(),
        title: document.title.clone(),
        page: chunk.page.and_then(|page| u32::try_from(page).ok()),
        section: chunk.section.clone(),
        content: chunk.content.clone(),
        classification: document.classification,
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    parts.map(str::to_lowercase).filter(|word| !STOP_WORDS.contains(&word.as_str()))
}
