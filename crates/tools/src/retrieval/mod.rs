//! Retrieval: hybrid search for the passages that answer a question, with an estimate of whether they do.
//!
//! Vector search finds paraphrases, BM25 finds part numbers and tags. Both apply the caller's clearance and filters in
//! the database, before anything is ranked. They return candidates without texts; only the texts of the few that are
//! reranked or can be returned are read (ADR 45).

mod answerable;
mod compare;
mod doc_type;
mod explain;
mod fingerprint;
mod fuse;
mod fused_hit;
mod glossary;
mod neighbors;
mod page;
mod params;
mod question_kind;
mod read_transaction;
mod reciprocal_rank;
mod rerank;
mod select;
mod terms;
#[cfg(test)]
mod testing;
mod words;

pub use answerable::{Evidence, QueryTerms, estimate_evidence};
pub use compare::Comparison;
pub use explain::Explainer;
pub use fuse::fuse;
pub use fused_hit::FusedHit;
pub use glossary::{Expansion, Glossary, GlossaryCache, Synonym};
pub use page::apply_page_bonus;
pub use params::{ConfidenceModel, Fusion, GlossaryWeights, RetrievalParams};
pub use question_kind::QuestionKind;
pub use rerank::Reranking;
pub use select::Selection;
pub use terms::passage_terms;

use crate::calls::CallRecorder;
use doc_type::prefer_doc_types;
use domain::model::{EmbedPurpose, EmbedRequest, ModelError};
use domain::model_call::ModelCaller;
use domain::ports::{Embedder, Embedders, Store, StoreError};
use domain::privacy::PrivacyRules;
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::{Candidate, Hit, LexicalQuery, Passage, Retrieval, SearchScope, SurroundingText, WeightedSynonym};
use fused_hit::CandidateLists;
use question_kind::answer_words;
use read_transaction::ReadTransaction;
use rerank::{PassageScores, RerankCall};
use select::PassagesById;
use std::sync::Arc;

/// Hybrid search: vector search and BM25, fused. Cheap to clone.
#[derive(Clone)]
pub struct HybridSearch {
    store: Arc<dyn Store>,
    embedders: Embedders,
    params: RetrievalParams,
    reranking: Option<Reranking>,
    surroundings: bool,
    max_classifications: MaxModelClassifications,
    privacy: Option<Arc<PrivacyRules>>,
    /// Records the model calls.
    model_call_recorder: CallRecorder,
    glossaries: Arc<GlossaryCache>,
}

/// The highest classifications that models may see, from the tenant's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxModelClassifications {
    /// For every model, wherever it runs.
    pub all_models: Classification,
    /// For models outside the site, in addition to `all_models`.
    pub cloud_models: Classification,
}

impl Default for MaxModelClassifications {
    fn default() -> Self {
        Self { all_models: Classification::Restricted, cloud_models: Classification::Internal }
    }
}

impl HybridSearch {
    /// Creates a search of `store` with query vectors from `embedders`, without a reranker.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, embedders: Embedders, params: RetrievalParams) -> Self {
        Self {
            store,
            embedders,
            params,
            reranking: None,
            surroundings: false,
            max_classifications: MaxModelClassifications::default(),
            privacy: None,
            model_call_recorder: CallRecorder::default(),
            glossaries: Arc::default(),
        }
    }

    /// Sets the reranker that reorders the best candidates; `None` disables reranking.
    #[must_use]
    pub fn with_reranking(self, reranking: Option<Reranking>) -> Self {
        Self { reranking, ..self }
    }

    /// Sets whether each hit comes with the text before and after it, as far as the search's clearance allows. The
    /// cited passages do not change.
    #[must_use]
    pub fn with_surroundings(self, surroundings: bool) -> Self {
        Self { surroundings, ..self }
    }

    /// Sets the highest classifications that the models may see which the search calls.
    #[must_use]
    pub fn with_max_classifications(self, max_classifications: MaxModelClassifications) -> Self {
        Self { max_classifications, ..self }
    }

    /// Sets the tenant's privacy rules for the models that the search calls.
    #[must_use]
    pub fn with_privacy(self, privacy: Option<Arc<PrivacyRules>>) -> Self {
        Self { privacy, ..self }
    }

    /// Sets the recorder of the search's model calls.
    #[must_use]
    pub fn with_model_call_recorder(self, model_call_recorder: CallRecorder) -> Self {
        Self { model_call_recorder, ..self }
    }

    /// The embedding models of the search.
    pub(crate) fn embedders(&self) -> &Embedders {
        &self.embedders
    }

    fn caller(&self, scope: &TenantScope) -> ModelCaller {
        ModelCaller {
            tenant: scope.tenant(),
            user: scope.user(),
            max_cloud_classification: self.max_classifications.cloud_models,
            conversation: None,
            privacy: self.privacy.clone(),
        }
    }

    /// Returns the `top_k` best passages for `query`, best first. If the embedder fails, only the lexical search runs,
    /// and the result is marked as degraded.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn search(
        &self,
        scope: &TenantScope,
        query: &str,
        search_scope: &SearchScope,
        top_k: usize,
    ) -> Result<Retrieval, StoreError> {
        // Embed before the transaction starts: no transaction may be open during a model call.
        let vector = self.embed(scope, query).await?;
        if let Err(error) = &vector {
            tracing::warn!(%error, "query embedding failed; searching by words only");
        }
        let degraded = vector.is_err();
        let mut read_tx = ReadTransaction::new(&*self.store, scope, search_scope.clearance);
        let query = self.expand(&mut read_tx, query).await?;
        let lists = self.candidates(&mut read_tx, &query, vector.ok(), search_scope).await?;
        let fused = fuse(lists.nearest, lists.lexical, &self.params);
        let preferred = prefer_doc_types(fused, query.text, &self.params);
        let ranked = self.rerank(&mut read_tx, query.text, preferred).await?;
        let found = self.select(&mut read_tx, &query, ranked, top_k).await?;
        read_tx.end().await?;
        Ok(Retrieval { degraded, ..found })
    }

    /// Embeds the query with the model that the tenant's passages were embedded with. The outer error is the
    /// database's, the inner one the model's.
    async fn embed(&self, scope: &TenantScope, query: &str) -> Result<Result<QueryVector, ModelError>, StoreError> {
        let embedder = self.embedder(scope).await?;
        let model = embedder.model().name;
        // Every question is treated as internal content.
        let caller = self.caller(scope);
        if embedder.max_input_classification(&caller) < Classification::Internal {
            return Ok(Err(ModelError::NotConfigured { requested: "internal content".to_owned() }));
        }
        let invalid = |reason: &str| ModelError::InvalidResponse { backend: model.clone(), reason: reason.to_owned() };
        let (texts, classification) = (vec![query.to_owned()], Classification::Internal);
        let request = EmbedRequest { caller, purpose: EmbedPurpose::Query, texts, classification };
        let embedded = self.model_call_recorder.embed(&*embedder, request).await;
        Ok(embedded.and_then(|embedded| {
            let components = embedded.vectors.into_iter().next().ok_or_else(|| invalid("no vector"))?;
            if components.iter().all(|component| component.is_finite()) {
                // Read the name again: it contains the dimension, which may only be known after the first call.
                Ok(QueryVector { components, model: embedder.model().name })
            } else {
                Err(invalid("a vector component is not finite"))
            }
        }))
    }

    /// The embedder that the tenant's passages were embedded with. Queries the database only if tenants use
    /// different models.
    async fn embedder(&self, scope: &TenantScope) -> Result<Arc<dyn Embedder>, StoreError> {
        if self.embedders.is_single() {
            return Ok(Arc::clone(&self.embedders.current));
        }
        let mut tx = self.store.begin(scope).await?;
        let model_in_use = tx.chunks().model_in_use().await?;
        tx.commit().await?;
        Ok(Arc::clone(self.embedders.for_tenant(model_in_use.as_deref(), None)))
    }

    /// The candidates of both searches. The lexical search runs first, as [`ChunkRepo`](domain::ports::ChunkRepo)
    /// requires.
    async fn candidates(
        &self,
        read_tx: &mut ReadTransaction<'_>,
        query: &ExpandedQuery<'_>,
        vector: Option<QueryVector>,
        search_scope: &SearchScope,
    ) -> Result<CandidateLists, StoreError> {
        let limit = self.params.candidates;
        let tx = read_tx.tx().await?;
        let lexical_query = query.lexical(&self.params);
        let lexical = tx.chunks().search_lexical(&lexical_query, search_scope, limit).await?;
        let nearest = match vector {
            Some(QueryVector { components, model }) => {
                tx.chunks().search_vector(&components, &model, search_scope, limit).await?
            }
            None => Vec::new(),
        };
        Ok(CandidateLists { nearest, lexical })
    }

    /// The query with the synonyms that the tenant's glossary has for its words, if synonyms are used.
    async fn expand<'q>(
        &self,
        read_tx: &mut ReadTransaction<'_>,
        text: &'q str,
    ) -> Result<ExpandedQuery<'q>, StoreError> {
        let weights = self.params.glossary;
        if weights == GlossaryWeights::OFF {
            return Ok(ExpandedQuery { text, expansions: Vec::new() });
        }
        let tenant = read_tx.scope.tenant();
        let glossary = self.glossaries.get(read_tx.tx().await?, tenant).await?;
        let mut expansions = glossary.expand(text);
        for expansion in &mut expansions {
            expansion.synonyms.retain(|synonym| weights.of(synonym) > 0.0);
        }
        expansions.retain(|expansion| !expansion.synonyms.is_empty());
        Ok(ExpandedQuery { text, expansions })
    }

    /// Reranks the best candidates, if a reranker is set and may see them. Ends the transaction before the call: none
    /// may be open during a model call.
    async fn rerank(
        &self,
        read_tx: &mut ReadTransaction<'_>,
        query: &str,
        mut fused: Vec<FusedHit<Candidate>>,
    ) -> Result<Ranking, StoreError> {
        let max_classification = self.max_classifications.all_models;
        let mut texts = PassagesById::new();
        let mut scores = None;
        if let Some(reranking) = &self.reranking {
            let to_rerank = reranking.candidates_to_rerank(&fused, max_classification);
            if !to_rerank.is_empty() {
                let passages = read_tx.passages(&to_rerank).await?;
                read_tx.end().await?;
                texts.extend(passages.into_iter().map(|passage| (passage.chunk_id, passage)));
                let call = RerankCall {
                    query,
                    max_classification,
                    caller: self.caller(read_tx.scope),
                    model_call_recorder: &self.model_call_recorder,
                };
                scores = reranking.apply(&mut fused, &to_rerank, &texts, call).await;
            }
        }
        Ok(Ranking { fused, texts, scores })
    }

    /// Selects the best passages, reads the texts needed for that, and estimates whether they answer the query.
    async fn select(
        &self,
        read_tx: &mut ReadTransaction<'_>,
        query: &ExpandedQuery<'_>,
        ranked: Ranking,
        top_k: usize,
    ) -> Result<Retrieval, StoreError> {
        let Ranking { fused, texts, scores } = ranked;
        let terms = QueryTerms::new(query.text, &query.expansions, fused.iter().map(|hit| &hit.passage));
        // Texts that were read for the reranker have no neighbors, which must then be loaded separately.
        let reads_neighbors_with_texts = self.surroundings && texts.is_empty();
        let mut neighbors = Vec::new();
        let mut selection =
            Selection::new(apply_page_bonus(fused, &self.params), top_k, &self.params).with_texts(texts);
        loop {
            let requested = selection.candidates_without_text();
            if requested.is_empty() {
                break;
            }
            let passage_texts = read_tx.texts(&requested, reads_neighbors_with_texts).await?;
            selection.supply_texts(passage_texts.requested);
            neighbors.extend(passage_texts.neighbors);
        }
        let selected = selection.take_selected();
        let Evidence { confidence, answerable, .. } = estimate_evidence(&terms, &selected, &self.params);
        let mut hits: Vec<Hit> = selected.into_iter().map(|fused| to_hit(fused, confidence)).collect();
        if reads_neighbors_with_texts {
            // A neighbor of a hit may itself be a candidate whose text was read.
            neighbors.extend(selection.into_unselected());
            neighbors::attach_read_together(&mut hits, neighbors);
        } else if self.surroundings {
            let clearance = read_tx.clearance;
            neighbors::load_and_attach(read_tx.tx().await?, &mut hits, clearance).await?;
        }
        let mut found = Retrieval { hits, confidence, answerable, ..Retrieval::default() };
        if let Some(scores) = scores {
            scores.annotate(&mut found);
        }
        Ok(found)
    }
}

/// A query with the synonyms of its words.
struct ExpandedQuery<'q> {
    text: &'q str,
    expansions: Vec<Expansion>,
}

impl ExpandedQuery<'_> {
    fn lexical(&self, params: &RetrievalParams) -> LexicalQuery {
        let weighted =
            |synonym: &Synonym| WeightedSynonym { text: synonym.text.clone(), weight: params.glossary.of(synonym) };
        let answer_word = |word: &&str| WeightedSynonym { text: (*word).to_owned(), weight: params.answer_word_weight };
        let synonyms = self.expansions.iter().flat_map(|expansion| &expansion.synonyms).map(weighted);
        let answer_words = answer_words(self.text).iter().filter(|_| params.answer_word_weight > 0.0).map(answer_word);
        LexicalQuery { text: self.text.to_owned(), synonyms: synonyms.chain(answer_words).collect() }
    }
}

/// The candidates in the order in which they are considered.
struct Ranking {
    fused: Vec<FusedHit<Candidate>>,
    /// The texts that were read for the reranker.
    texts: PassagesById,
    scores: Option<PassageScores>,
}

/// A query vector and the name of the model that computed it.
struct QueryVector {
    components: Vec<f32>,
    model: String,
}

/// Converts a candidate to a hit. The score is multiplied by the overall confidence, so that hits of an unanswerable
/// query score low.
fn to_hit(fused: FusedHit<Passage>, confidence: f32) -> Hit {
    Hit {
        passage: fused.passage,
        score: (fused.score * confidence).clamp(0.0, 1.0),
        similarity: fused.similarity,
        bm25: fused.bm25,
        rerank_score: None,
        surrounding_text: SurroundingText::default(),
        explanation: None,
    }
}
