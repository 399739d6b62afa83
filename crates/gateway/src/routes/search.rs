//! The route of document search.

use crate::body::{ApiJson, JsonObject};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::state::AppState;
use axum::Json;
use domain::command::SearchDocuments;
use domain::error::ErrorKind;
use domain::search::{Hit, HitExplanation, Retrieval, SearchFilters, SynonymMatch};
use domain::text::ShortText;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(search))
}

/// A query, with filters for the documents to search.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": "mechanical seal replacement", "top_k": 5, "filters": {"tags": ["pump"]}}))]
struct SearchRequest {
    #[schema(min_length = 1, max_length = 2000)]
    query: String,
    /// Maximum number of results.
    #[schema(minimum = 1, maximum = 50, default = 5)]
    top_k: Option<u32>,
    #[schema(value_type = Option<Filters>)]
    filters: Option<JsonObject<Filters>>,
    /// Whether each result lists the parts of the query that it contains.
    #[schema(default = false)]
    explain: Option<bool>,
}

/// Filters for the documents to search. A filter that is missing or empty has no effect.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchFilters)]
struct Filters {
    /// Only these documents.
    #[schema(max_items = 100)]
    document_ids: Option<Vec<Uuid>>,
    /// Only documents with at least one of these tags.
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
    /// Only documents of this kind.
    #[schema(min_length = 1, max_length = 128)]
    doc_type: Option<String>,
    /// Whether to also search revisions that are superseded or not yet in force.
    #[schema(default = false)]
    include_superseded: Option<bool>,
    /// Search the documents of these teams instead of your tenant's.
    #[schema(max_items = 10)]
    team_ids: Option<Vec<Uuid>>,
}

/// The results of a search, best first.
#[derive(Serialize, ToSchema)]
struct SearchAnswer {
    results: Vec<SearchResult>,
    /// Duration of the search, in milliseconds.
    took_ms: u64,
    /// How well the best results match the whole query, 0 to 1.
    confidence: f32,
    /// Whether the best results are good enough to answer from. If not, the documents probably contain no answer.
    answerable: bool,
    /// Whether the vector search or the lexical search was unavailable, so that only the other one was used.
    degraded: bool,
}

/// A passage that matches the query.
#[derive(Serialize, ToSchema)]
struct SearchResult {
    /// Id of the passage.
    chunk_id: Uuid,
    document_id: Uuid,
    /// File name of the document.
    doc: String,
    /// Title of the document.
    title: String,
    /// Page in the file, from 1; null for formats without pages.
    page: Option<u32>,
    /// Path of headings that the passage is under.
    section: Option<String>,
    content: String,
    /// Combined score, 0 to 1, multiplied by the confidence. Results are sorted by it.
    score: f32,
    /// Cosine similarity to the query, -1 to 1; null if the vector search did not find the passage.
    similarity: Option<f32>,
    /// BM25 score, at least 0; null if the lexical search did not find the passage.
    bm25: Option<f32>,
    /// Score of the reranking model, 0 to 1; null if the passage was not reranked.
    rerank: Option<f32>,
    /// The parts of the query that the passage contains; missing unless the request asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
}

/// The parts of the query that a passage contains, in its file name, title, section or content. If all lists are empty,
/// the passage was found only by the similarity of its vector.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchExplanation)]
struct Explanation {
    /// Words of the query that occur in the passage, in any inflection.
    words: Vec<String>,
    /// Words of the query that occur only as a synonym of the glossary.
    synonyms: Vec<Synonym>,
    /// Plant tags of the query, normalized: `P101A` for `P-101A`.
    tags: Vec<String>,
}

/// A synonym that stands for words of the query.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchSynonym)]
struct Synonym {
    words: String,
    /// The synonym as the glossary spells it.
    synonym: String,
    /// Whether it is from the built-in glossary or the tenant's own.
    #[schema(schema_with = fields::glossary_source)]
    source: &'static str,
}

impl SearchRequest {
    /// Returns one search for each space.
    fn parse(self) -> Result<Vec<SearchDocuments>, ApiError> {
        let top_k = self.top_k.unwrap_or(SearchDocuments::DEFAULT_TOP_K);
        if !(1..=SearchDocuments::MAX_TOP_K).contains(&top_k) {
            let detail = format!("must be from 1 to {}", SearchDocuments::MAX_TOP_K);
            return Err(ApiError::invalid_field("/top_k", detail));
        }
        let mut filters = self.filters.unwrap_or_default().0;
        let teams = fields::parse_team_ids("/filters/team_ids", filters.team_ids.take().unwrap_or_default())?;
        let search = SearchDocuments {
            query: fields::parse_text("/query", &self.query)?,
            top_k,
            filters: filters.parse()?,
            explain: self.explain.unwrap_or(false),
            team: None,
        };
        if teams.is_empty() {
            return Ok(vec![search]);
        }
        Ok(teams.into_iter().map(|team| SearchDocuments { team: Some(team), ..search.clone() }).collect())
    }
}

/// Merges what was found in several spaces: the best hits of all, as comparable scores order them.
fn merge(mut found: Vec<Retrieval>, top_k: usize) -> Option<Retrieval> {
    let first = found.pop()?;
    let mut merged = found.into_iter().fold(first, |mut merged, next| {
        merged.merge(next);
        merged
    });
    merged.hits.truncate(top_k);
    Some(merged)
}

impl Filters {
    fn parse(self) -> Result<SearchFilters, ApiError> {
        let tags = fields::parse_tags("/filters/tags", self.tags.iter().flatten())?;
        let doc_type: Option<ShortText> = fields::parse_optional_text("/filters/doc_type", self.doc_type.as_deref())?;
        Ok(SearchFilters {
            document_ids: fields::parse_document_ids("/filters/document_ids", self.document_ids.unwrap_or_default())?,
            tags: tags.into_iter().map(ShortText::into_string).collect(),
            doc_type: doc_type.map(ShortText::into_string),
            include_superseded: self.include_superseded.unwrap_or(false),
        })
    }
}

impl From<Hit> for SearchResult {
    fn from(hit: Hit) -> Self {
        Self {
            chunk_id: hit.passage.chunk_id.as_uuid(),
            document_id: hit.passage.document_id.as_uuid(),
            doc: hit.passage.file_name,
            title: hit.passage.title,
            page: hit.passage.page,
            section: hit.passage.section,
            content: hit.passage.content,
            score: hit.score,
            similarity: hit.similarity,
            bm25: hit.bm25,
            rerank: hit.rerank_score,
            explain: hit.explanation.map(Into::into),
        }
    }
}

impl From<HitExplanation> for Explanation {
    fn from(HitExplanation { words, synonyms, tags }: HitExplanation) -> Self {
        let synonym =
            |SynonymMatch { words, synonym, source }: SynonymMatch| Synonym { words, synonym, source: source.as_str() };
        Self { words, synonyms: synonyms.into_iter().map(synonym).collect(), tags }
    }
}

/// Searches the documents that you may see: your tenant's, or with `team_ids` those of your teams.
#[utoipa::path(
    post, path = "/v1/search", tag = "search", request_body = SearchRequest,
    responses((status = 200, body = SearchAnswer))
)]
async fn search(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<SearchRequest>,
) -> Result<Json<SearchAnswer>, ApiError> {
    let started = Instant::now();
    let searches = body.parse()?;
    let top_k = searches.first().map_or(0, |search| search.top_k as usize);
    let mut found = Vec::with_capacity(searches.len());
    for search in searches {
        found.push(call.execute(search).await?);
    }
    let retrieval = merge(found, top_k).ok_or_else(|| ApiError::from_kind(ErrorKind::Internal))?;
    Ok(Json(SearchAnswer {
        results: retrieval.hits.into_iter().map(Into::into).collect(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        confidence: retrieval.confidence,
        answerable: retrieval.answerable,
        degraded: retrieval.degraded,
    }))
}
