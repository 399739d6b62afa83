//! The in-memory repository of passages. Lexical search counts the query's words, without stemming or weights.

use super::{InMemoryTx, Row, State};
use async_trait::async_trait;
use domain::document::{Document, DocumentStatus, NewChunk};
use domain::ids::{ChunkId, DocumentId, TenantId};
use domain::ports::{ChunkRepo, StoreError};
use domain::role::Classification;
use domain::search::{Candidate, LexicalQuery, Passage, RankedCandidate, SearchScope, SectionKey, TermSource};
use domain::time::{Date, Timestamp};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The stop words of PostgreSQL's English dictionary that occur in tests.
const STOP_WORDS: [&str; 12] = ["a", "after", "an", "and", "before", "here", "in", "is", "of", "or", "the", "to"];

/// A passage with its document and embedding model; the passages of one model are a generation.
#[derive(Clone, Debug)]
pub(super) struct StoredChunk {
    pub(super) document: DocumentId,
    model: String,
    chunk: NewChunk,
}

/// A tenant's embedding models.
#[derive(Clone, Debug, Default)]
pub(super) struct EmbeddingModels {
    in_use: Option<String>,
    staged: Option<String>,
}

/// Score of a passage that contains none of the query's own words.
const SYNONYM_SCORE: f32 = 0.01;

#[async_trait]
impl ChunkRepo for InMemoryTx {
    async fn replace(
        &mut self,
        document: DocumentId,
        model: &str,
        chunks: &[NewChunk],
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        let tenant = self.space();
        let state = state_with_document(self, document).await?;
        state.chunks.retain(|r| r.value.document != document);
        state.add(tenant, document, model, chunks);
        state.publish(document, model);
        let models = state.models.entry(tenant).or_default();
        if models.staged.is_none() {
            models.in_use = Some(model.to_owned());
        }
        Ok(())
    }

    async fn stage(
        &mut self,
        document: DocumentId,
        model: &str,
        chunks: &[NewChunk],
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        let tenant = self.space();
        let state = state_with_document(self, document).await?;
        if state.published_models.get(&document).is_none_or(|published| published != model) {
            state.chunks.retain(|r| !(r.value.document == document && r.value.model == model));
            state.add(tenant, document, model, chunks);
            state.models.entry(tenant).or_default().staged = Some(model.to_owned());
        }
        Ok(())
    }

    async fn list_unstaged(&mut self, model: &str, limit: u32) -> Result<Vec<DocumentId>, StoreError> {
        let mut missing = self.read(|s| s.unstaged_documents(self.space(), model));
        missing.truncate(limit as usize);
        Ok(missing)
    }

    async fn switch_model(&mut self, model: &str, now: Timestamp) -> Result<usize, StoreError> {
        let tenant = self.space();
        let missing = self.read(|s| s.unstaged_documents(tenant, model)).len();
        if missing > 0 {
            return Ok(missing);
        }
        let state = self.write().await?;
        state.chunks.retain(|r| r.tenant != tenant || r.value.model == model);
        let ids: Vec<DocumentId> = state.documents.iter().filter(|r| r.tenant == tenant).map(|r| r.value.id).collect();
        for id in ids {
            if state.published_models.get(&id).is_some_and(|published| published != model) {
                state.publish(id, model);
                state.documents.iter_mut().filter(|r| r.value.id == id).for_each(|r| r.value.updated_at = now);
            }
        }
        state.models.insert(tenant, EmbeddingModels { in_use: Some(model.to_owned()), staged: None });
        Ok(0)
    }

    async fn model_in_use(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.read(|s| s.models.get(&self.space()).and_then(|models| models.in_use.clone())))
    }

    async fn lock_model_in_use(&mut self) -> Result<Option<String>, StoreError> {
        // The first write takes the single write lock, and the transaction holds it until it ends.
        self.write().await?;
        self.model_in_use().await
    }

    async fn search_vector(
        &mut self,
        embedding: &[f32],
        model: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedCandidate>, StoreError> {
        let similarity = |stored: &StoredChunk| {
            let pairs = stored.chunk.embedding.iter().zip(embedding);
            (stored.model == model).then(|| pairs.map(|(a, b)| a * b).sum())
        };
        Ok(self.read(|s| rank_candidates(s, self.space(), self.today(), scope, limit, similarity)))
    }

    async fn search_lexical(
        &mut self,
        query: &LexicalQuery,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedCandidate>, StoreError> {
        let query_words: BTreeSet<String> = tokenize(&query.text).collect();
        let matching_share = |stored: &StoredChunk| {
            let chunk = &stored.chunk;
            let match_count = tokenize(&chunk.context)
                .chain(tokenize(&chunk.content))
                .filter(|word| query_words.contains(word))
                .count();
            let is_synonym = || {
                let texts = query.synonyms.iter().filter(|synonym| synonym.weight > 0.0).map(|synonym| &synonym.text);
                let words: BTreeSet<String> = texts.flat_map(|text| tokenize(text)).collect();
                tokenize(&chunk.content).any(|word| words.contains(&word))
            };
            match match_count {
                0 => is_synonym().then_some(SYNONYM_SCORE),
                count => Some(count as f32 / query_words.len() as f32),
            }
        };
        Ok(self.read(|s| rank_candidates(s, self.space(), self.today(), scope, limit, matching_share)))
    }

    async fn list_by_document(
        &mut self,
        document: DocumentId,
        clearance: Classification,
        from_index: i32,
        limit: u32,
    ) -> Result<Vec<Passage>, StoreError> {
        let mut found = self.read(|s| matching_passages(s, self.space(), clearance, |d, _| d.id == document));
        found.retain(|passage| passage.chunk_index >= from_index);
        found.sort_by_key(|passage| passage.chunk_index);
        found.truncate(limit as usize);
        Ok(self.store.record_text_read(found))
    }

    async fn get_by_positions(
        &mut self,
        positions: &[(DocumentId, i32)],
        clearance: Classification,
    ) -> Result<Vec<Passage>, StoreError> {
        let is_match = |document: &Document, chunk: &NewChunk| {
            document.status != DocumentStatus::Failed && positions.contains(&(document.id, chunk.chunk_index))
        };
        Ok(self.store.record_text_read(self.read(|s| matching_passages(s, self.space(), clearance, is_match))))
    }

    async fn get_by_ids(&mut self, ids: &[ChunkId], clearance: Classification) -> Result<Vec<Passage>, StoreError> {
        let found = self.read(|s| matching_passages(s, self.space(), clearance, |_, chunk| ids.contains(&chunk.id)));
        Ok(self.store.record_text_read(found))
    }
}

/// Returns the writable state; [`StoreError::Conflict`] if the tenant has no such document.
async fn state_with_document(tx: &mut InMemoryTx, document: DocumentId) -> Result<&mut State, StoreError> {
    let in_tenant = tx.space_filter();
    let state = tx.write().await?;
    if !state.documents.iter().any(|r| in_tenant(r) && r.value.id == document) {
        return Err(StoreError::Conflict { reason: "The document has been deleted." });
    }
    Ok(state)
}

impl State {
    fn add(&mut self, tenant: TenantId, document: DocumentId, model: &str, chunks: &[NewChunk]) {
        self.chunks.extend(chunks.iter().map(|chunk| {
            let value = StoredChunk { document, model: model.to_owned(), chunk: chunk.clone() };
            Row { tenant, user: None, value }
        }));
    }

    /// Makes the passages embedded with `model` the generation of a document that searches use.
    fn publish(&mut self, document: DocumentId, model: &str) {
        let in_generation = |r: &&Row<StoredChunk>| r.value.document == document && r.value.model == model;
        let count = i32::try_from(self.chunks.iter().filter(in_generation).count()).unwrap_or(i32::MAX);
        self.documents.iter_mut().filter(|r| r.value.id == document).for_each(|r| r.value.chunk_count = count);
        self.published_models.insert(document, model.to_owned());
    }

    fn unstaged_documents(&self, tenant: TenantId, model: &str) -> Vec<DocumentId> {
        let has_passages =
            |id: DocumentId| self.chunks.iter().any(|r| r.value.document == id && r.value.model == model);
        let documents = self.documents.iter().filter(|r| r.tenant == tenant).map(|r| &r.value);
        let candidates = documents.filter(|d| d.status != DocumentStatus::Failed && d.chunk_count > 0);
        let mut missing: Vec<&Document> =
            candidates.filter(|d| self.published_models.contains_key(&d.id) && !has_passages(d.id)).collect();
        missing.sort_by_key(|d| (d.created_at, d.id));
        missing.into_iter().map(|d| d.id).collect()
    }
}

impl InMemoryTx {
    fn today(&self) -> Date {
        self.store.clock.now().date_naive()
    }
}

/// Whether a document is in force today: it has taken effect, and its successor, if any, has not.
fn in_force(state: &State, document: &Document, today: Date) -> bool {
    let is_effective = |d: &Document| d.revision.effective_from.is_none_or(|from| from <= today);
    let mut documents = state.documents.iter().map(|r| &r.value);
    let successor = documents.find(|d| Some(d.id) == document.superseded_by);
    is_effective(document) && !successor.is_some_and(is_effective)
}

/// The tenant's published passages within a clearance, with their documents.
fn visible_passages(
    state: &State,
    tenant: TenantId,
    clearance: Classification,
) -> impl Iterator<Item = (&Document, &StoredChunk)> {
    let is_searchable = |stored: &StoredChunk| state.published_models.get(&stored.document) == Some(&stored.model);
    state.chunks.iter().filter(move |r| r.tenant == tenant && is_searchable(&r.value)).filter_map(move |row| {
        let stored = &row.value;
        let mut documents = state.documents.iter().filter(|d| d.tenant == tenant && d.value.id == stored.document);
        documents.next().map(|d| (&d.value, stored)).filter(|(d, _)| d.classification <= clearance)
    })
}

fn matching_passages(
    state: &State,
    tenant: TenantId,
    clearance: Classification,
    is_match: impl Fn(&Document, &NewChunk) -> bool,
) -> Vec<Passage> {
    let found =
        visible_passages(state, tenant, clearance).filter(|(document, stored)| is_match(document, &stored.chunk));
    found.map(|(document, stored)| to_passage(document, &stored.chunk)).collect()
}

fn rank_candidates(
    state: &State,
    tenant: TenantId,
    today: Date,
    scope: &SearchScope,
    limit: u32,
    score: impl Fn(&StoredChunk) -> Option<f32>,
) -> Vec<RankedCandidate> {
    let filters = &scope.filters;
    let mut hits: Vec<RankedCandidate> = visible_passages(state, tenant, scope.clearance)
        .filter(|(d, _)| d.status != DocumentStatus::Failed)
        .filter(|(d, _)| filters.include_superseded || in_force(state, d, today))
        .filter(|(d, _)| filters.document_ids.is_empty() || filters.document_ids.contains(&d.id))
        .filter(|(d, _)| filters.tags.is_empty() || d.tags.iter().any(|tag| filters.tags.contains(tag)))
        .filter(|(d, _)| filters.doc_type.is_none() || d.doc_type == filters.doc_type)
        .filter_map(|(d, c)| {
            let candidate = to_candidate(d, &c.chunk);
            score(c).map(|score| RankedCandidate { candidate, score, normalized_score: score.clamp(0.0, 1.0) })
        })
        .collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    hits.truncate(limit as usize);
    hits
}

fn to_candidate(document: &Document, chunk: &NewChunk) -> Candidate {
    let heading = chunk.section.as_deref();
    let text = [&document.filename, &document.title, heading.unwrap_or_default(), &chunk.content].join("\n");
    Candidate {
        chunk_id: chunk.id,
        document_id: document.id,
        chunk_index: chunk.chunk_index,
        page: chunk.page.and_then(|page| u32::try_from(page).ok()),
        section: heading.map(section_key),
        doc_type: document.doc_type.clone(),
        classification: document.classification,
        term_source: chunk.term_hashes.clone().map_or(TermSource::Text(text), TermSource::Terms),
    }
}

fn section_key(heading: &str) -> SectionKey {
    let mut hasher = DefaultHasher::new();
    heading.hash(&mut hasher);
    SectionKey(hasher.finish().cast_signed())
}

fn to_passage(document: &Document, chunk: &NewChunk) -> Passage {
    Passage {
        chunk_id: chunk.id,
        document_id: document.id,
        chunk_index: chunk.chunk_index,
        file_name: document.filename.clone(),
        title: document.title.clone(),
        page: chunk.page.and_then(|page| u32::try_from(page).ok()),
        section: chunk.section.clone(),
        content: chunk.content.clone(),
        classification: document.classification,
    }
}

fn tokenize(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    parts.map(str::to_lowercase).filter(|word| !STOP_WORDS.contains(&word.as_str()))
}
